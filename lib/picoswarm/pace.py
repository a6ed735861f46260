"""How the tasks of a node share the loop: a turn that takes long is followed by those of others, not by another long
one, and garbage is collected in a turn of its own (docs/rationale.md). With sessions only."""

from .compat import const, threshold, ticks_diff, ticks_ms

LINKS = const(3)  # who has turns: the driver's reader is 1 and its timer 2, see net.py
READER = const(4)
_LONG_MS = const(4)
_RECENT_MS = const(10)
_LATE_MS = const(2)
_HELD = const(0)  # in the place of a time: it waited already; it waited for garbage
_SWEPT = const(-1)


def _allocate():
    """Let MicroPython look whether it is time to collect, as each allocation does."""
    try:
        object()
    except MemoryError:
        pass


class Pace:
    """`while (due := pace.holds(who, due)): await sleep_ms(0)` before a turn; `pace.ended(who, began, now)` after it."""

    def __init__(self):
        # Here and not in the class: what stores them later would need memory then.
        self._last = self._next = self._at = 0  # who had the last long turn; who waits since, before all others; its end

    def holds(self, who, due):
        """Whether a turn that is due since a time, ms, is held up: 0 if not, else what to ask with again. Others come first,
        or garbage is collected in its place, once: who made room for that has its turn, however much there is again."""
        now = ticks_ms()
        if self.waits(who, now):
            return due if due == _SWEPT else now or 1
        if due > _HELD and self.sweep(who, due):
            return _SWEPT
        return _HELD

    def waits(self, who, now):
        """Whether others come first: somebody else's long turn has just ended, in which turns of others became due."""
        if not 0 <= ticks_diff(now, self._at) <= _RECENT_MS or self._next == who:
            self._next = 0
            return False
        if not self._next and self._last != who:
            self._next = who
        return self._next > 0

    def ended(self, who, began, now):
        """A turn is over. Returns whether it took long."""
        is_long = ticks_diff(now, began) > _LONG_MS
        if is_long:
            self._last = who
            self._at = now
        return is_long

    def sweep(self, who, due):
        """Collect the garbage, where there is half as much as makes MicroPython do so by itself, in anyone's turn. True: it
        did, and that was a turn. Not where the caller, who waits since `due`, comes late: whoever made it wait made others
        wait too, and these would wait for the collection besides."""
        # It is asked before each turn: a larger frame, as with a `try`, would come from the heap (see mux.py).
        most = threshold()
        began = ticks_ms()
        if most < 0 or ticks_diff(began, due) > _LATE_MS:
            return False
        threshold(most >> 1)
        _allocate()
        threshold(most)
        due = ticks_ms()
        if ticks_diff(due, began) <= _LONG_MS:
            return False
        self._last = who
        self._at = due
        return True
