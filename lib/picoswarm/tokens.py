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
        self._present = self._previous = Hmac(rng(_SECRET))
        self._since = 0
        self.is_present = False
        self._place = bytearray(50)  # id 32 | ip 4 or 16 | port 2
        self._place_n = (None, memoryview(self._place)[:38], memoryview(self._place))

    def rotate(self, uptime):
        """Make a new secret when the present one is old enough; after a long sleep both are forgotten."""
        age = uptime - self._since
        if age < self._lifetime:
            return
        fresh = Hmac(self._rng(_SECRET))
        self._previous = self._present if age < 2 * self._lifetime else fresh
        self._present = fresh
        self._since = uptime

    def _fill(self, buf, at, ip, port):
        place = self._place
        n = len(ip)
        copy(place, 0, buf, at, 32)
        copy(place, 32, ip, 0, n)
        put_u16(place, 32 + n, port)
        return self._place_n[1 if n == 4 else 2]

    def make(self, token, buf, at, ip, port):
        """Write to `token` (8 bytes) the token of the id buf[at:at+32] at an unwrapped address."""
        copy(token, 0, self._present.digest(self._fill(buf, at, ip, port)), 0, _TOKEN)

    def is_valid(self, datagram, token_at, buf, at, ip, port):
        """Whether datagram[token_at:token_at+8] is a token of the id buf[at:at+32] at this address. `is_present` then
        says whether `make` would give the same one."""
        place = self._fill(buf, at, ip, port)
        self.is_present = _is_tag(self._present.digest(place), datagram, token_at)
        return self.is_present or _is_tag(self._previous.digest(place), datagram, token_at)


def _is_tag(tag, datagram, at):
    differ = 0
    for i in range(_TOKEN):
        differ |= tag[i] ^ datagram[at + i]
    return not differ
