"""Which table entry to ping when, so that dead nodes leave soon and live ones cost little (docs/protocol.md 3, row D22).

One entry each `revalidate_s`, the longest unasked first; in a table of more than 128 entries as much more often. One that
missed a ping is a suspect: asked again after 1, 2 and 4 s, and not handed out meanwhile (table.is_live), so that a silent
node is gone after the miss and its three repeats. Pure.
"""

from .compat import const, ticks_add, ticks_diff

_SUSPECTS = const(4)
_REPEAT_MS = const(1000)  # before the first repeat; doubled for each further one
_NEVER = const(-1)
_TURNS = const(128)  # a round of turns takes no longer than one of so many entries


class Revalidation:
    """The schedule. Records are named by their offset in the table's pool."""

    def __init__(self, profile, rng, now):
        self._rng = rng
        self._interval_ms = profile.revalidate_s * 1000
        self.suspects = [_NEVER] * _SUSPECTS
        self._due = [0] * _SUSPECTS
        self.due = 0  # the next turn
        self._plan(now, 0)

    def _plan(self, now, entries):
        """The next turn, up to a tenth early: nodes that start together must not ping together for ever."""
        wait = self._interval_ms
        if entries > _TURNS:
            wait = wait // entries * _TURNS
        self._next = ticks_add(now, wait - (wait // 10 * self._rng(1)[0] >> 8))
        self._look()

    def _look(self):
        best = self._next
        for i in range(_SUSPECTS):
            if self.suspects[i] >= 0 and ticks_diff(self._due[i], best) < 0:
                best = self._due[i]
        self.due = best

    def run(self, table, now, uptime):
        """The record to ping now, or -1. Called until it gives -1."""
        for i in range(_SUSPECTS):
            record = self.suspects[i]
            if record >= 0 and ticks_diff(now, self._due[i]) >= 0:
                self.suspects[i] = _NEVER
                self._look()
                return record
        if ticks_diff(now, self._next) < 0:
            return -1
        self._plan(now, table.entries)
        return table.longest_unasked(uptime)

    def suspect(self, record, misses, now):
        """Ask this entry soon: it left `misses` pings (0-3) in a row unanswered."""
        self.acquit(record)
        slot = self.suspects.index(_NEVER) if _NEVER in self.suspects else 0
        self.suspects[slot] = record
        self._due[slot] = ticks_add(now, _REPEAT_MS << max(0, misses - 1))
        self._look()

    def acquit(self, record):
        """The record answered, or is gone."""
        if record in self.suspects:
            self.suspects[self.suspects.index(record)] = _NEVER
            self._look()
