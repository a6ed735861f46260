"""What is known of nodes over a restart: when each answered last, how often it failed since, and which record it has (rows
D29-D33). Times are of a clock that does not jump; only what is kept over a restart has those of the wall clock, whose jumps
meanwhile change nothing, and one before a restart little.

Nothing is forgotten before somebody answered in this run, so that a long power cut does not wipe what is needed after it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .record import Node, read_enode
from .rlp import Malformed

EXPIRY_S = 86_400.0  # since a node's last answer
SEED_S = 5 * 86_400.0  # within which one is good to begin with
SWEEP_S = 3600.0
FUTURE_S = 43_200.0  # age of an answer that is yet to come by the wall clock: too old for a proof, good enough to begin with
MOST = 900
LINE = re.compile(r"(\d{1,12}) (\d{1,4}) (\d{1,20}) (enode://\S+)")


@dataclass
class Known:
    """A node that was good for a while. `pong`: its last answer; `fails`: of findnode, one after another."""

    node: Node
    pong: float
    fails: int = 0
    sequence: int = 0  # of its record


class Database:
    """See the module."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._known: dict[bytes, Known] = {}  # by public key; who was kept last stands last
        self._swept: float | None = None  # None: nobody answered yet

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, node: Node, sequence: int = 0) -> None:
        """It answered often enough to be worth it."""
        known = self._known.pop(node.key, None)
        same = known is not None and (known.node.ip, known.node.udp) == (node.ip, node.udp)
        fails, before = (known.fails, known.sequence) if known and same else (0, 0)
        self._known[node.key] = Known(node, self._clock(), fails, max(sequence, before))
        while len(self._known) > MOST:
            self._known.pop(next(iter(self._known)))

    def answered(self, key: bytes, ip: str) -> None:
        """A PONG came from there."""
        self._swept = self._clock() if self._swept is None else self._swept
        known = self._known.get(key)
        if known and known.node.ip == ip:
            known.pong = self._clock()

    def failed(self, key: bytes, ip: str) -> None:
        """A question for neighbors was not answered."""
        known = self._known.get(key)
        if known and known.node.ip == ip:
            known.fails += 1

    def found(self, key: bytes) -> None:
        """It was."""
        if known := self._known.get(key):
            known.fails = 0

    def fails(self, node: Node) -> int:
        """How often it failed at that address."""
        known = self._known.get(node.key)
        return known.fails if known and known.node.ip == node.ip else 0

    def sweep(self) -> None:
        """Forget who did not answer for a day; once an hour, and an hour after the first answer of this run."""
        now = self._clock()
        if self._swept is not None and now - self._swept >= SWEEP_S:
            self._swept = now
            self._known = {key: each for key, each in self._known.items() if now - each.pong < EXPIRY_S}

    def seeds(self, count: int) -> list[Node]:
        """Nodes to begin with, by chance."""
        now = self._clock()
        fit = [each.node for each in self._known.values() if now - each.pong < SEED_S]
        return random.sample(fit, min(count, len(fit)))

    def proofs(self, within_s: float) -> Iterator[tuple[bytes, str, float]]:
        """(key, ip, seconds since its answer) of who has proven its address within that time."""
        now = self._clock()
        for each in self._known.values():
            if now - each.pong < within_s:
                yield each.node.key, each.node.ip, now - each.pong

    def lines(self) -> list[str]:
        """To be kept: "answer failures sequence enode"."""
        ahead = self._wall() - self._clock()
        return [
            f"{round(each.pong + ahead)} {each.fails} {each.sequence} {each.node.enode}" for each in self._known.values()
        ]

    def load(self, lines: Iterable[str]) -> None:
        """What `lines` gave; what cannot be is passed over."""
        now, wall = self._clock(), self._wall()
        for line in lines:
            if found := LINE.fullmatch(line):
                pong, fails, sequence, url = found.groups()
                try:
                    node = read_enode(url)
                except Malformed:
                    continue
                age = wall - int(pong)  # which was rounded
                age = max(age, 0.0) if age > -1 else FUTURE_S
                self._known[node.key] = Known(node, now - age, int(fails), int(sequence))
