"""Peer exchange: the reactor by which nodes tell each other whom they know (docs/protocol.md 7.1; rows T28-T30, T33, T38,
B20, B28). Pure.

    request  0x01
    answer   0x02 | up to 8 records as in NEIGHBORS: flags 1 | id 32 | IP 4 or 16 | UDP port 2 | TCP port 2

A peer that we dialed is asked when it comes, and each 45-75 s again while the book needs nodes. So who dialed us is
answered, twice at once and then once in such a time, and nobody else. Who answers without having been asked gets 50 points.

`score(id, ip, points)`, an attribute, is ConnManager.score: True means a ban.
"""

from .channel import Channel, Reactor
from .compat import const, ticks_add, ticks_diff

_CHANNEL = const(1)
_REQUEST = const(1)
_ANSWER = const(2)
_RECORDS = const(8)

_MALFORMED = const(11)  # see reasons.py
_UNASKED = const(50)  # points (row B27)

_NEED = const(24)  # nodes in the book (row B20)
_PERIOD_MS = const(45000)
_JITTER_MS = const(30000)
_ANSWERS = const(2)
_LOOK_MS = const(1000)  # at least, between two looks at all peers

# What is kept of a peer
_DUE = const(0)
_ASKED = const(1)  # 1: it owes an answer
_ALLOWED = const(2)  # answers that it may have now


class PeerExchange(Reactor):
    """See the module."""

    def __init__(self, book, rng, now):
        self.channels = (Channel(_CHANNEL, 1, 2, 850, 1 + 53 * _RECORDS),)
        self.now = now
        self.score = None
        self._book = book
        self._rng = rng
        self._peers = {}
        self._at = now  # when the next one is due

    def init_peer(self, peer):
        """A peer that we dialed is due at once: it is asked by the next tick, which one of many waits a second for."""
        at = ticks_add(self.now, _LOOK_MS if self._peers else 0)
        if not self._peers or ticks_diff(at, self._at) < 0:
            self._at = at
        # Who dialed us has its answers, and the next one after a period.
        self._peers[peer] = [self.now if peer.is_outbound else ticks_add(self.now, _PERIOD_MS), 0, _ANSWERS]

    def add_peer(self, peer):
        """Nothing to do."""

    def remove_peer(self, peer, reason):
        """The peer has gone."""
        self._peers.pop(peer, None)

    def next_time(self):
        """Ticks when the next peer is due; None without peers."""
        return self._at if self._peers else None

    def tick(self, now):
        """Ask those that are due. One that gave no answer is passed over once."""
        self._at = ticks_add(now, _PERIOD_MS + _JITTER_MS)
        for peer, kept in self._peers.items():
            if ticks_diff(now, kept[_DUE]) >= 0:
                random = self._rng(2)
                kept[_DUE] = ticks_add(now, _PERIOD_MS + ((random[0] << 8 | random[1]) * _JITTER_MS >> 16))
                kept[_ALLOWED] = min(_ANSWERS, kept[_ALLOWED] + 1)
                if kept[_ASKED]:
                    kept[_ASKED] = 0
                elif peer.is_outbound and self._book.count < _NEED and peer.try_send(_CHANNEL, b"\x01"):
                    kept[_ASKED] = 1
            if ticks_diff(kept[_DUE], self._at) < 0:
                self._at = kept[_DUE]
        if ticks_diff(self._at, now) < _LOOK_MS:
            self._at = ticks_add(now, _LOOK_MS)

    def receive(self, peer, channel, view):
        """A message came. Returns 0, or the reason to close the peer."""
        kept = self._peers[peer]
        kind = view[0] if view else 0
        if kind == _REQUEST and len(view) == 1:
            if kept[_ALLOWED] and not peer.is_outbound:
                kept[_ALLOWED] -= 1
                peer.try_send(_CHANNEL, b"\x02" + self._book.share(peer.id, peer.ip))
            return 0
        if kind != _ANSWER:
            return _MALFORMED
        if not kept[_ASKED]:
            return _MALFORMED if self.score(peer.id, peer.ip, _UNASKED) else 0
        kept[_ASKED] = 0
        return self._learn(peer, view)

    def _learn(self, peer, view):
        n = len(view)
        at = 1
        for _ in range(_RECORDS):
            end = at + (53 if at < n and view[at] & 1 else 41)
            if end > n:
                break
            self._book.add(
                view[at],
                bytes(view[at + 1 : at + 33]),
                bytes(view[at + 33 : end - 4]),
                view[end - 4] << 8 | view[end - 3],
                view[end - 2] << 8 | view[end - 1],
                peer.id,
                peer.ip,
            )
            at = end
        return 0 if at == n else _MALFORMED
