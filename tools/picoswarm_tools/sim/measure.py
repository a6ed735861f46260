"""What is measured in a virtual network: who sent how much, what became of each datagram, and the digest of it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

from picoswarm.membership import NetworkKey

from .nat import Address
from .network import Fate


class Trace:
    """A digest of everything that happened: two runs are the same to the byte where their digests are. A tap."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self.entries = 0

    def __call__(self, now_us: int, fate: Fate, source: Address, to: Address, datagram: bytes) -> None:
        self.entries += 1
        self._hash.update(f"{now_us} {fate.value} {source[0].hex()}:{source[1]} {to[0].hex()}:{to[1]} ".encode())
        self._hash.update(len(datagram).to_bytes(2) + datagram)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


PING, PONG, FIND_NODE, NEIGHBORS, BEACON = range(1, 6)
_TAG = 12  # the envelope: byte 0, then the tag, then the ciphertext (docs/protocol.md section 2)
_REQUEST_ID = slice(1, 5)


@dataclass(slots=True)
class Exchange:
    """One request of a node that is watched, and whatever came back with its request id."""

    kind: int  # PING or FIND_NODE
    asker: Address
    asked: Address
    at_us: int
    request_bytes: int
    answer_bytes: int = 0  # as sent by the asked, whether it arrived or not
    answers: int = 0
    heard: int = 0  # how often the request arrived: 0 lost, 2 duplicated

    @property
    def bytes(self) -> int:
        return self.request_bytes + self.answer_bytes


class Exchanges:
    """A tap that opens datagrams, with the network key that a simulation has, and sorts them into requests and their
    answers. Answers are counted as they are sent, so a lost one is paid for too."""

    def __init__(self, network_key: NetworkKey, on_request: Callable[[Exchange], None] | None = None) -> None:
        self.all: list[Exchange] = []
        self.kinds = [0] * 16  # datagrams sent by type
        self.largest = 0  # bytes of the longest datagram
        self._key = network_key
        self._on_request = on_request
        self._open: dict[bytes, Exchange] = {}

    def __call__(self, now_us: int, fate: Fate, source: Address, to: Address, datagram: bytes) -> None:
        if fate is not Fate.SENT and fate is not Fate.DELIVERED:
            return
        plain = bytearray(datagram[1 + _TAG : 1 + _TAG + 5])
        self._key.stream.xor(datagram, 1, 0, plain, 0, len(plain))
        kind, request_id = plain[0] & 15, bytes(plain[_REQUEST_ID])
        if fate is Fate.DELIVERED:
            if kind in (PING, FIND_NODE) and request_id in self._open:
                self._open[request_id].heard += 1
            return
        self.kinds[kind] += 1
        self.largest = max(self.largest, len(datagram))
        if kind in (PING, FIND_NODE):
            exchange = Exchange(kind, source, to, now_us, len(datagram))
            self._open[request_id] = exchange
            self.all.append(exchange)
            if self._on_request is not None:
                self._on_request(exchange)
        elif kind in (PONG, NEIGHBORS):
            answered = self._open.get(request_id)
            if answered is not None:
                answered.answer_bytes += len(datagram)
                answered.answers += 1


def named_ids(network_key: NetworkKey, datagram: bytes) -> list[bytes]:
    """The node ids that a NEIGHBORS datagram names; none for any other message."""
    if len(datagram) < 1 + _TAG + 14:  # noise of a stranger
        return []
    plain = bytearray(datagram[1 + _TAG :])
    network_key.stream.xor(datagram, 1, 0, plain, 0, len(plain))
    if plain[0] & 15 != NEIGHBORS:
        return []
    at = 5 + (32 if plain[0] & 0x80 else 8) + 1
    ids = []
    while at + 41 <= len(plain) - 8:
        ids.append(bytes(plain[at + 1 : at + 33]))
        at += 53 if plain[at] & 1 else 41
    return ids


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed (nearest rank). Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def mean(values: Sequence[float]) -> float:
    """Raises ValueError for no values: a figure of nothing is no figure."""
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)
