"""The graph of a mesh's sessions, from what each node tells of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

LOOKS = 8  # the last ones of each node that count for a link's quality
ID = 32


def parse_about(answer: bytes) -> tuple[str, int, dict[bytes, bool]]:
    """(what the node runs, how many sessions it has, whether it dialed each of those in this answer, by id) of an answer of
    the method "about" (docs/protocol.md 7.6). What makes no sense gives less."""
    n = 1 + answer[0] if answer else 1
    text = answer[1:n].decode(errors="replace")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    total = int.from_bytes(answer[n : n + 2], "big")
    links = {}
    for at in range(n + 2, len(answer) - ID, 1 + ID):
        links[answer[at + 1 : at + 1 + ID]] = bool(answer[at] & 1)
    return text, total, links


class Mesh:
    """Who has a session with whom. A link is there if either end told so the last time it was asked; of those of the own
    node it knows best itself."""

    def __init__(self) -> None:
        self.own = b""  # id of the own node, once it is known
        self._told: dict[bytes, dict[bytes, bool]] = {}
        self._looks: dict[bytes, dict[bytes, int]] = {}  # by who told, by peer: a bit for each look, the newest lowest

    def tell(self, teller: bytes, peers: dict[bytes, bool]) -> None:
        """A node tells all its sessions: whether it dialed, by the peer's id."""
        if teller != self.own:
            peers.pop(self.own, None)
        before = self._looks.get(teller)
        self._told[teller] = peers
        if before is None:  # the first look says nothing of how long it holds
            self._looks[teller] = dict.fromkeys(peers, (1 << LOOKS) - 1)
            return
        mask = (1 << LOOKS) - 1
        after = {}
        for peer in before.keys() | peers.keys():
            bits = (before.get(peer, mask) << 1 | (peer in peers)) & mask  # a new link is no bad one
            if bits:
                after[peer] = bits
        self._looks[teller] = after

    def forget(self, teller: bytes) -> None:
        """A node is gone, and what it told no longer true."""
        self._told.pop(teller, None)
        self._looks.pop(teller, None)

    def _pairs(self) -> dict[tuple[bytes, bytes], list[bytes]]:
        """Who told of each link, by its two ends in order."""
        pairs: dict[tuple[bytes, bytes], list[bytes]] = {}
        for teller, peers in self._told.items():
            for peer in peers:
                if peer != teller:
                    pairs.setdefault((min(teller, peer), max(teller, peer)), []).append(teller)
        return pairs

    def links(self, rtts: dict[bytes, float | None], measured: Callable[[bytes], float | None]) -> list[dict[str, Any]]:
        """All links, as the API has them. `rtts`: of the own node's peers; `measured(peer)`: the share of packets on a link
        of its own that had to be sent once only."""
        own = self.own
        links = []
        for (a, b), tellers in self._pairs().items():
            quality = max(self._looks[teller][b if teller == a else a].bit_count() for teller in tellers) / LOOKS
            rtt = None
            if own in (a, b):
                other = b if a == own else a
                rtt = rtts.get(other)
                quality *= measured(other) or 1.0
            links.append({"a": a.hex(), "b": b.hex(), "rtt_ms": rtt, "quality": round(quality, 3)})
        return links

    def path(self, end: bytes) -> list[bytes]:
        """The ids of a shortest chain of sessions from the own node to another, both included; [] where there is none."""
        start = self.own
        beside: dict[bytes, list[bytes]] = {}
        for a, b in self._pairs():
            beside.setdefault(a, []).append(b)
            beside.setdefault(b, []).append(a)
        came_from: dict[bytes, bytes] = {start: start}
        waiting = deque([start])
        while waiting and end not in came_from:
            here = waiting.popleft()
            for peer in sorted(beside.get(here, ())):
                if peer not in came_from:
                    came_from[peer] = here
                    waiting.append(peer)
        if end not in came_from:
            return []
        path = [end]
        while path[-1] != start:
            path.append(came_from[path[-1]])
        return path[::-1]
