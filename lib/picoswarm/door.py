"""The door: which inbound TCP socket may come in (docs/protocol.md 6.7; rows E7, E8, B31, A8, A10, A15, A16). Pure.

A socket is a mere socket until its first handshake message opened. One of those waits, at most 2 s, and a newcomer takes
its place after 0.5 s; who left without an opened message waits before the next try. Behind the waiting place there is one
for the handshake, and a socket whose message opened meanwhile waits its turn undisturbed. The owner tells what happens:

    knock(ip, now)   a socket came: -1 close it, 0 it waits now, 1 it does and the one that waited is to be closed first
    opened(is_free)  the waiting one's message 1 opened, and no handshake runs, or one does. True: it is the handshake now;
                     False: wait for `finished`
    left(now)        the waiting one closed, or `deadline` (ticks; None: nobody waits) passed and the owner closed it
    finished()       the handshake ended, well or not: True: the one that waits, opened, is the handshake now
"""

from .address import scope
from .compat import const, ticks_add, ticks_diff

_LOOPBACK = const(1)  # see address.scope
_GLOBAL = const(3)

_WAIT_MS = const(2000)
_DISPLACED_MS = const(500)
_AGAIN_MS = const(30000)
_AGAIN_ONLINK_MS = const(5000)
_IPS = const(8)


class Door:
    """See the module."""

    def __init__(self):
        self.deadline = None
        self._ip = b""  # of the socket that waits
        self._is_opened = False
        self._held = []  # (ip, until) of those that left without an opened message, the latest last

    def knock(self, ip, now):
        """See the module; `ip` is unwrapped."""
        if self.is_held(ip, now):
            return -1
        displaces = 0
        if self.deadline is not None:
            if self._is_opened or ticks_diff(self.deadline, now) > _WAIT_MS - _DISPLACED_MS:
                return -1
            self.left(now)
            displaces = 1
        self._ip = ip
        self.deadline = ticks_add(now, _WAIT_MS)
        return displaces

    def is_held(self, ip, now):
        """Whether this address has to wait before the next try."""
        self._held = [h for h in self._held if 0 < ticks_diff(h[1], now) <= _AGAIN_MS]
        for held in self._held:
            if held[0] == ip:
                return True
        return False

    def opened(self, is_free):
        """See the module. The address is held back no more: a member stands behind it."""
        self.forgive(self._ip)
        self._is_opened = True
        return is_free and self.finished()

    def forgive(self, ip):
        """This address is held back no more."""
        self._held = [h for h in self._held if h[0] != ip]

    def hold(self, ip, now):
        """A socket of this address left without an opened message."""
        kind = scope(ip)
        if kind != _LOOPBACK:
            self._held.append((ip, ticks_add(now, _AGAIN_MS if kind == _GLOBAL else _AGAIN_ONLINK_MS)))
            self._held = self._held[-_IPS:]

    def left(self, now):
        """See the module."""
        if not self._is_opened:
            self.hold(self._ip, now)
        self.deadline = None
        self._is_opened = False

    def finished(self):
        """See the module."""
        if not self._is_opened:
            return False
        self.deadline = None
        self._is_opened = False
        return True
