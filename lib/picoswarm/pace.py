"""How the tasks of a node share the loop: a turn that takes long is followed by those of others, not by another long
one, and garbage is collected in a turn of its own (docs/rationale.md). With sessions only."""

from .compat import const, threshold, ticks_diff, ticks_ms

LINKS = const(3)  # who has turns: the driver's reader is 1 and its timer 2, see net.py
READER = const(4)
_LONG_MS = const(4)
_RECENT_MS = const(10)


class Pace:
    """`while pace.waits(who, now): await sleep_ms(0)` before a turn, `pace.ended(who, ms, now)` after it."""

    _last = _next = 0  # who had the last long turn; who waits since, before all others
    _at = 0

    def waits(self, who, now):
        """Whether others come first: somebody else's long turn has just ended, in which turns of others became due."""
        if not 0 <= ticks_diff(now, self._at) <= _RECENT_MS or self._next == who:
            self._next = 0
            return False
        if not self._next and self._last != who:
            self._next = who
        return self._next > 0

    def ended(self, who, ms, now):
        """A turn of `ms` is over."""
        if ms > _LONG_MS:
            self._last = who
            self._at = now

    def sweep(self, who):
        """Collect the garbage, where there is half as much as makes MicroPython do so by itself, in anyone's turn. True: it
        did, and that was a turn."""
        most = threshold()
        if most < 0:
            return False
        began = ticks_ms()
        threshold(most >> 1)
        try:
            object()  # each allocation looks
        finally:
            threshold(most)
        now = ticks_ms()
        self.ended(who, ticks_diff(now, began), now)
        return now == self._at
