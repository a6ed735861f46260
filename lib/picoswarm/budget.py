"""Budgets: how much of a node's time and airtime others may take (docs/protocol.md, limits). Pure."""

from .compat import const, ticks_diff

_IPS = const(8)  # addresses whose last key agreement is remembered


class Budget:
    """A token bucket in whole milliseconds: `size` at once, then one each `interval_ms`."""

    def __init__(self, size, interval_ms, now):
        self._interval = interval_ms
        self._full = self._level = size * interval_ms
        self._last = now

    def wait_ms(self, now):
        """Milliseconds until `take` will succeed, 0 for now."""
        passed = ticks_diff(now, self._last)
        if passed:
            self._last = now
            if passed > 0:
                self._level = min(self._full, self._level + min(passed, self._full))
        return max(0, self._interval - self._level)

    def take(self, now):
        """Take one if there is one."""
        if self.wait_ms(now):
            return False
        self._level -= self._interval
        return True


class PerAddress:
    """One each `interval_ms` for one IP address, over the addresses that came last."""

    def __init__(self, interval_ms):
        self._interval = interval_ms
        self._ips = [None] * _IPS
        self._since = [0] * _IPS
        self._next = 0

    def take(self, ip, now):
        """Whether `ip` (bytes) may now; if so it is remembered."""
        for i in range(_IPS):
            if self._ips[i] == ip:
                passed = ticks_diff(now, self._since[i])
                if 0 <= passed < self._interval:
                    return False
                self._since[i] = now
                return True
        self._ips[self._next] = ip
        self._since[self._next] = now
        self._next = (self._next + 1) % _IPS
        return True


def spend(spent, uptime, limit):
    """A peer's own share, kept in one byte: (second of uptime modulo 64) << 2 | datagrams served in it. Returns the new
    byte, or -1 when `limit` (at most 3) datagrams were served in this second already."""
    second = (uptime & 63) << 2
    if spent & 0xFC != second:
        return second | 1
    return -1 if spent & 3 >= limit else spent + 1
