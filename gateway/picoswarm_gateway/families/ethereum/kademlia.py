"""The table of discv4: 17 buckets of 16 by logarithmic distance, with replacements, and bounds for one network's addresses.
Pure: times are seconds of a clock that does not jump (rows D of the seed features, discv4.md).
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..strangers import is_of_the_internet
from .record import Node

BUCKETS = 17
SIZE = 16
SPARES = 10
BUCKET_NET = 2  # nodes of one /24 in a bucket
TABLE_NET = 10  # in the table
FAILS = 5  # of findnode, after which a node goes


@dataclass
class Entry:
    """A node of the table. `seen`: when it last answered; `checks`: how often it did when it was checked, a third of it
    after a check without an answer; `is_slow`: it is checked more seldom, as it answered when it was checked last."""

    node: Node
    id: bytes
    seen: float = 0.0
    checks: int = 0
    fails: int = 0
    is_slow: bool = False
    sequence: int = 0  # of its record, where that is known


def distance(one: bytes, other: bytes) -> int:
    """Logarithmic: 0 to 256."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


def network_of(ip: str) -> str:
    """The /24 of an address, /48 of IPv6; empty for one that is not of the Internet, which is not counted."""
    if not is_of_the_internet(ip):
        return ""
    address = ipaddress.ip_address(ip)
    return str(ipaddress.ip_network((ip, 24 if address.version == 4 else 48), strict=False))


class Table:
    """See the module."""

    def __init__(self, own: bytes) -> None:
        """`own`: this node's id."""
        self._own = own
        self._buckets: list[list[Entry]] = [[] for _ in range(BUCKETS)]  # the one that was seen last comes first
        self._spares: list[list[Entry]] = [[] for _ in range(BUCKETS)]
        self._nets: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def __iter__(self):
        return (entry for bucket in self._buckets for entry in bucket)

    def _at(self, node_id: bytes) -> int:
        return max(0, distance(self._own, node_id) - (256 - BUCKETS + 1))

    def get(self, node_id: bytes) -> Entry | None:
        """The entry of a node."""
        return next((entry for entry in self._buckets[self._at(node_id)] if entry.id == node_id), None)

    def add(self, node: Node, now: float) -> bool:
        """A node that has proven its address. False: it waits as a replacement, or there are too many of its network."""
        node_id = node.id
        if node_id == self._own:
            return False
        at = self._at(node_id)
        bucket = self._buckets[at]
        if entry := self.get(node_id):
            if entry.node != node and not self._move(entry, node, bucket):
                return False
            entry.seen, entry.fails = now, 0
            bucket.remove(entry)
            bucket.insert(0, entry)
            return True
        entry = Entry(node, node_id, now)
        self._drop_spare(at, node_id)
        if not self._has_room(node.ip, [*bucket, *self._spares[at]]):
            return False
        self._nets[network_of(node.ip)] += 1
        if len(bucket) < SIZE:
            bucket.insert(0, entry)
            return True
        self._spares[at].insert(0, entry)
        if len(self._spares[at]) > SPARES:
            self._drop_spare(at, self._spares[at][-1].id)
        return False

    def _drop_spare(self, at: int, node_id: bytes) -> None:
        for each in [each for each in self._spares[at] if each.id == node_id]:
            self._spares[at].remove(each)
            self._nets[network_of(each.node.ip)] -= 1

    def _has_room(self, ip: str, bucket: Iterable[Entry]) -> bool:
        """Replacements count in the bounds too, so that one network cannot wait for all the places."""
        net = network_of(ip)
        same = sum(network_of(entry.node.ip) == net for entry in bucket)
        return not net or (same < BUCKET_NET and self._nets[net] < TABLE_NET)

    def _move(self, entry: Entry, node: Node, bucket: list[Entry]) -> bool:
        """It has another address now."""
        others = [each for each in [*bucket, *self._spares[self._at(entry.id)]] if each is not entry]
        self._nets[network_of(entry.node.ip)] -= 1
        if not self._has_room(node.ip, others):
            self._nets[network_of(entry.node.ip)] += 1
            return False
        self._nets[network_of(node.ip)] += 1
        entry.node, entry.checks, entry.is_slow = node, 0, False
        return True

    def remove(self, node_id: bytes, now: float) -> None:
        """It does not answer: a replacement takes its place, at random."""
        at = self._at(node_id)
        entry = self.get(node_id)
        if not entry:
            return
        self._buckets[at].remove(entry)
        self._nets[network_of(entry.node.ip)] -= 1
        if self._spares[at]:
            self.add(random.choice(self._spares[at]).node, now)

    def failed(self, node_id: bytes, now: float) -> None:
        """A question for neighbors found no answer, or an empty one."""
        if entry := self.get(node_id):
            entry.fails += 1
            if entry.fails >= FAILS and len(self._buckets[self._at(node_id)]) >= SIZE // 4:
                self.remove(node_id, now)

    def checked(self, entry: Entry, has_answered: bool, now: float) -> None:
        """A node was asked whether it is still there. One that was often there may miss some answers."""
        if has_answered:
            entry.checks += 1
        else:
            entry.checks //= 3
            if not entry.checks:
                self.remove(entry.id, now)
        entry.is_slow = has_answered

    def closest(self, target: bytes, count: int = SIZE) -> list[Node]:
        """The nodes nearest to an id."""
        goal = int.from_bytes(target, "big")
        ranked = sorted(self, key=lambda entry: int.from_bytes(entry.id, "big") ^ goal)
        return [entry.node for entry in ranked[:count]]

    def to_check(self, is_slow: bool) -> Entry | None:
        """One to be checked, by chance, of those that are checked often, or of the others."""
        fit = [entry for entry in self if entry.is_slow == is_slow]
        return random.choice(fit) if fit else None
