"""Endpoint tokens: proof that a peer receives at the address it sends from, without a record of it (docs/protocol.md 3).

A token is a keyed hash of the peer's id and address, so that a node recognises every token it gave out in the last two to
four hours of uptime and remembers none. Pure.
"""

from .compat import const
from .crypto import Hmac
from .wire import copy, put_u16

_TOKEN = const(8)
_SECRET = const(32)


class Tokens:
    """This node's token secrets: the present one, and the one before, which is still good."""

    def __init__(self, rng, lifetime_s):
        self._rng = rng
        self._lifetime = lifetime_s
        self._present = self._previous = Hmac(rng(_SECRET), _TOKEN)
        self._since = 0
        self._place = bytearray(58)  # id 32 | ip 4 or 16 | port 2 | token 8

    def rotate(self, uptime):
        """Make a new secret when the present one is old enough; after a long sleep both are forgotten."""
        age = uptime - self._since
        if age >= self._lifetime:
            fresh = Hmac(self._rng(_SECRET), _TOKEN)
            self._previous = self._present if age < 2 * self._lifetime else fresh
            self._present = fresh
            self._since = uptime

    def _fill(self, buf, at, d):
        n = len(d.ip)
        copy(self._place, 0, buf, at, 32)
        copy(self._place, 32, d.ip, 0, n)
        put_u16(self._place, 32 + n, d.port)
        return 34 + n

    def make(self, peer, d):
        """Write to peer[48:56] the token of the id peer[0:32] at the source of the datagram in hand `d`."""
        n = self._fill(peer, 0, d)
        self._present.sign(self._place, 0, n, n)
        copy(peer, 48, self._place, n, _TOKEN)

    def is_valid(self, buf, at, d):
        """Whether the datagram in hand `d` carries a token of the id buf[at:at+32] at its source: 0 no, 1 an old one, 2 the
        one that `make` would give."""
        if not d.token:
            return 0
        n = self._fill(buf, at, d)
        copy(self._place, n, d.buf, d.token, _TOKEN)
        if self._present.check(self._place, 0, n, n):
            return 2
        return self._previous.check(self._place, 0, n, n) + 0
