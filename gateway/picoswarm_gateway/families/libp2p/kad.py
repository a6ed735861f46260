"""kad-dht: its messages, and whom a lookup asks next (libp2p specs, kad-dht). It has no sockets.

Peers and keys lie in one space, by their SHA-256; near is what has a small XOR.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from picoswarm.multiaddr import address_text, decode_address
from picoswarm.peerkey import is_peer_id
from picoswarm.protobuf import decode_fields, encode_fields, last_of, varint

from .dialing import address_of

ADD_PROVIDER, GET_PROVIDERS, FIND_NODE = 2, 3, 4
AT_ONCE, NEAREST = 3, 20  # alpha and k
HEARD_MOST, ASKED_MOST = 1000, 100  # peers of one lookup
PEERS_MOST, ADDRESSES_MOST = 64, 16  # of one answer, of one peer
KEY_MOST = 80  # bytes


@dataclass(frozen=True, slots=True)
class Found:
    """A peer that an answer tells of. `addresses`: those that TCP reaches, as texts without the peer."""

    peer: bytes
    addresses: list[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """`closer`: peers near the key; `providers`: those that have what it names."""

    closer: list[Found]
    providers: list[Found]


def encode_question(kind: int, key: bytes, provider: bytes = b"", addresses: Iterable[bytes] = ()) -> bytes:
    """A message with its length before it. `provider` and its `addresses` (in bytes): of ADD_PROVIDER."""
    fields: list[tuple[int, object]] = [(1, kind), (2, key)]
    if provider:
        fields.append((9, encode_fields([(1, provider), *((2, each) for each in addresses)])))
    body = encode_fields(fields)
    return varint(len(body)) + body


def decode_answer(data: bytes) -> Answer | None:
    """The Answer in a message without its length; None for what is malformed."""
    fields = decode_fields(data)
    if fields is None:
        return None
    answer = Answer([], [])
    for number, value in fields:
        if number in (8, 9) and isinstance(value, bytes):
            peers = answer.closer if number == 8 else answer.providers
            found = _found(value)
            if found is None:
                return None
            if len(peers) < PEERS_MOST:
                peers.append(found)
    return answer


def _found(data: bytes) -> Found | None:
    fields = decode_fields(data)
    peer = last_of(fields, 1) if fields else None
    if peer is None or not is_peer_id(peer):
        return None
    addresses: dict[str, None] = {}
    for number, value in fields:
        parts = decode_address(value) if number == 2 and isinstance(value, bytes) else None
        where = address_of(address_text(parts)) if parts else None
        if where and len(addresses) < ADDRESSES_MOST:
            addresses[where[0].text] = None
    return Found(peer, list(addresses))


class Query:
    """One lookup: which peers to ask for `key`. It asks the nearest of those it heard of, AT_ONCE at a time, and is over
    when the NEAREST of them have answered. `own`: the peer id that is not asked."""

    def __init__(self, key: bytes, own: bytes, seeds: Iterable[Found]) -> None:
        self.heard: dict[bytes, list[str]] = {}  # addresses, by peer
        self._target = _place(key)
        self._own = own
        self._far: dict[bytes, int] = {}  # distances, of those heard that did not fail
        self._asked: set[bytes] = set()
        self._waiting: set[bytes] = set()
        self._hear(seeds)

    def _hear(self, peers: Iterable[Found]) -> None:
        for found in peers:
            if found.peer not in self.heard and found.peer != self._own and len(self.heard) < HEARD_MOST:
                self.heard[found.peer] = found.addresses
                self._far[found.peer] = _place(found.peer) ^ self._target

    def to_ask(self) -> list[bytes]:
        """Peers to ask now; they count as asked."""
        left = min(AT_ONCE - len(self._waiting), ASKED_MOST - len(self._asked))
        peers = [peer for peer in self._near(self._far) if peer not in self._asked][: max(0, left)]
        self._asked.update(peers)
        self._waiting.update(peers)
        return peers

    def answered(self, peer: bytes, closer: Iterable[Found]) -> None:
        """A peer told of others."""
        self._waiting.discard(peer)
        self._hear(closer)

    def failed(self, peer: bytes) -> None:
        """A peer did not answer."""
        self._waiting.discard(peer)
        self._far.pop(peer, None)

    def nearest(self) -> list[bytes]:
        """The nearest peers that answered."""
        return self._near(self._asked & self._far.keys() - self._waiting)

    def _near(self, peers: Iterable[bytes]) -> list[bytes]:
        return sorted(peers, key=self._far.__getitem__)[:NEAREST]


def _place(key: bytes) -> int:
    return int.from_bytes(sha256(key).digest(), "big")
