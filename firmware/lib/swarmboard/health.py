"""Whether a board makes progress, and whether it has memory left. Pure: what is seen comes in, what to do goes out.

The watchdog is fed because the node got further, not because a timer ran: a board whose loop runs while its node is stuck
is reset like one that hangs.
"""

STUCK_MS = 20_000  # without progress of the node before the watchdog is left hungry
LOW = 8192  # bytes of free heap after a collection
LOW_TIMES = 6  # in a row, before the board is restarted in order


class Health:
    """`step` once a second or so. `low`: how often in a row the heap was found low."""

    def __init__(self, low_bytes=LOW):
        self.low = 0
        self._low_bytes = low_bytes
        self._progress = None
        self._stuck_ms = 0

    def step(self, passed_ms, progress):
        """Whether to feed the watchdog. `progress`: a number that changes as the node works; None while there is none."""
        if progress is None or progress != self._progress:
            self._progress = progress
            self._stuck_ms = 0
        else:
            self._stuck_ms = min(self._stuck_ms + passed_ms, 1 << 28)
        return self._stuck_ms < STUCK_MS

    def memory(self, free):
        """What a reading of the free heap, after a collection, asks for: "" nothing, "low" a word in the log, "restart"."""
        if free >= self._low_bytes:
            self.low = 0
            return ""
        self.low += 1
        if self.low >= LOW_TIMES:
            return "restart"
        return "low" if self.low == 1 else ""
