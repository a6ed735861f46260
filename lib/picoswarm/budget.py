"""Budgets: how much of a node's time and airtime others may take (docs/protocol.md, limits). Pure."""

from .compat import const, ticks_add, ticks_diff

# Time that ran back further is a silence beyond what ticks tell apart (6 to 12 days), in which the bucket became full.
_BACK_MS = const(60000)


class Budget:
    """A token bucket in whole milliseconds: `size` at once, then one each `interval_ms`."""

    def __init__(self, size, interval_ms, now):
        self.interval = interval_ms
        self.full = size * interval_ms
        self.empty = ticks_add(now, -self.full)  # when the bucket was empty, had nobody taken since

    def wait_ms(self, now):
        """Milliseconds until `take` will succeed, 0 for now."""
        level = ticks_diff(now, self.empty)
        if not 0 <= level <= self.full:  # full; or the clock jumped back, which gains nothing
            level = 0 if 0 > level > -_BACK_MS else self.full
            self.empty = ticks_add(now, -level)
        return max(0, self.interval - level)

    def take(self, now):
        """Take one if there is one."""
        level = ticks_diff(now, self.empty)
        if level > self.full:
            self.empty = ticks_add(now, self.interval - self.full)
            return True
        if level < self.interval:
            if level > -_BACK_MS:
                if level < 0:
                    self.empty = now  # the clock jumped back, which gains nothing
                return False
            self.empty = ticks_add(now, -self.full)
        self.empty = ticks_add(self.empty, self.interval)
        return True


def spend(spent, uptime, limit):
    """A peer's own share, kept in one byte: (second of uptime modulo 64) << 2 | datagrams served in it. Returns the new
    byte, or -1 when `limit` (at most 3) datagrams were served in this second already."""
    second = (uptime & 63) << 2
    if spent & 0xFC != second:
        return second | 1
    return -1 if spent & 3 >= limit else spent + 1
