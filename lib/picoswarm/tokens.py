"""Endpoint tokens: proof that a peer receives at the address it sends from, without a record of it (docs/protocol.md 3).

A token is a keyed hash of the peer's address and the first 8 bytes of its id, so that a node recognises every token it gave
out in the last two to four hours of uptime and remembers none. Pure.
"""

from .compat import const
from .crypto import Hmac
from .wire import copy, put_u16

_TOKEN = const(8)
_SECRET = const(32)
_AT = const(3)  # of the hashed text in a datagram
_END = const(13)
_ID = const(18)  # of its sender, there


class Tokens:
    """This node's token secrets: the present one, and the one before, which is still good."""

    def __init__(self, rng, lifetime_s):
        self._rng = rng
        self._lifetime = lifetime_s
        self.present = self._previous = Hmac(rng(_SECRET), _TOKEN)
        self.until = lifetime_s  # `rotate` has nothing to do before

    def rotate(self, uptime):
        """Make a new secret when the present one is old enough; after a long sleep both are forgotten."""
        if uptime >= self.until:
            fresh = Hmac(self._rng(_SECRET), _TOKEN)
            self._previous = self.present if uptime < self.until + self._lifetime else fresh
            self.present = fresh
            self.until = uptime + self._lifetime

    def _place(self, d):
        """Put port 2 | id 8 where the envelope tag was, which is of no more use."""
        put_u16(d.buf, _AT, d.port)
        copy(d.buf, _AT + 2, d.buf, _ID, 8)
        self.present.prefix = self._previous.prefix = d.ip

    def make(self, peer, d):
        """Write to peer[48:56] the token of who sent the datagram in hand `d`, at its source."""
        self._place(d)
        self.present.sign(d.buf, _AT, _END, 0)
        copy(peer, 48, d.buf, 0, _TOKEN)

    def is_valid(self, d):
        """Whether the datagram in hand `d` carries a token of its sender at its source: 0 no, 1 an old one, 2 the one that
        `make` would give."""
        if not d.token:
            return 0
        self._place(d)
        if self.present.check(d.buf, _AT, _END, d.token):
            return 2
        return self._previous.check(d.buf, _AT, _END, d.token) + 0
