"""The head of the chain, as peers tell it. Since the merge nobody announces blocks, so one peer is asked now and then for
the headers after the newest; each must be the child of the one before. Whether the chain is the right one only a beacon
light client could tell: this is trust in the peers that were asked, of which the one that is ahead counts."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import messages, rlp
from .messages import BODIES, GET_BODIES, GET_HEADERS, Header
from .peer import Peer
from .rlp import Malformed

KEPT = 1024  # headers
STEP = 64  # headers in a question
SERVED = 64  # headers in an answer
UNCONFIRMED_S = 60.0  # after which a head that no peer has any more is given up
BACK = 32  # by how many blocks a chain may change its mind at once
WATCHED = 1000  # transactions
assert BODIES == GET_BODIES + 1


@dataclass
class Mined:
    """Where a transaction is."""

    number: int
    index: int


class Follower:
    """See the module. `on_head` is called with each new head, and with the number from which on headers changed."""

    def __init__(self, on_head: Callable[[Header, int], None]) -> None:
        self.headers: OrderedDict[int, Header] = OrderedDict()
        self.counts: Counter[str] = Counter(headers=0, changed=0, mined=0, given_up=0)
        self.watched: OrderedDict[bytes, Mined | None] = OrderedDict()  # by hash
        self.answered = -UNCONFIRMED_S  # when a peer answered last, time.monotonic()
        self._confirmed = 0.0  # when a peer had the head or a child of it
        self._on_head = on_head

    @property
    def head(self) -> Header | None:
        """The newest."""
        return next(reversed(self.headers.values()), None)

    def watch(self, digest: bytes) -> None:
        """Notice in which block a transaction is."""
        self.watched.setdefault(digest, None)
        while len(self.watched) > WATCHED:
            self.watched.popitem(last=False)

    async def ask(self, peer: Peer) -> bool:
        """What is new at a peer; True where there may be more at once. Raises TimeoutError, Malformed."""
        head = self.head
        if head is None:
            start, by = (peer.number, 1) if peer.number else (peer.head, 1)
            return await self._take(peer, await self._headers(peer, start, by), 0)
        found = await self._headers(peer, head.number + 1, STEP)
        if not found:
            same = await self._headers(peer, head.number, 1)
            if not same:
                return self._doubt()
            if same[0].hash != head.hash:
                return await self._step_back(peer, head)
            self._confirmed = time.monotonic()
            return False
        if found[0].parent != head.hash:
            return await self._step_back(peer, head)
        await self._take(peer, found, found[0].number)
        return len(found) == STEP

    def _doubt(self) -> bool:
        """This peer does not have the head. Where none has it for long, who told of it lied, or the network began anew."""
        if time.monotonic() - self._confirmed < UNCONFIRMED_S:
            return False
        self.headers.clear()
        self.counts["given_up"] += 1
        return True

    async def _headers(self, peer: Peer, start: int | bytes, most: int) -> list[Header]:
        items = await peer.ask(GET_HEADERS, [start, most, 0, 0])
        self.answered = time.monotonic()
        if len(items) > most:
            raise Malformed("more headers than were asked for")
        found = list(map(Header.read, items))
        for one, other in zip(found, found[1:], strict=False):
            if other.parent != one.hash or other.number != one.number + 1:
                raise Malformed("headers that are no chain")
        if found and isinstance(start, int) and found[0].number != start:
            raise Malformed("another header than was asked for")
        return found

    async def _step_back(self, peer: Peer, head: Header) -> bool:
        """The peer is on another branch: from where on?"""
        start = max(0, head.number - BACK)
        found = await self._headers(peer, start, BACK + STEP)
        new = [each for each in found if each.number not in self.headers or self.headers[each.number].hash != each.hash]
        if not new or found[-1].number < head.number:
            return False
        for number in [each for each in self.headers if each >= new[0].number]:
            del self.headers[number]
        self.counts["changed"] += 1
        for digest, mined in self.watched.items():
            if mined and mined.number >= new[0].number:
                self.watched[digest] = None
        return await self._take(peer, new, new[0].number)

    async def _take(self, peer: Peer, found: list[Header], since: int) -> bool:
        for header in found:
            self.headers[header.number] = header
            self.counts["headers"] += 1
        while len(self.headers) > KEPT:
            self.headers.popitem(last=False)
        if found:
            self._confirmed = time.monotonic()
            peer.number = max(peer.number, found[-1].number)
            if any(mined is None for mined in self.watched.values()):
                await self._look_into(peer, found)
            self._on_head(found[-1], since or found[0].number)
        return bool(found)

    async def _look_into(self, peer: Peer, headers: Iterable[Header]) -> None:
        """Which of the watched transactions are in these blocks."""
        headers = list(headers)
        bodies = await peer.ask(GET_BODIES, [header.hash for header in headers])
        for header, body in zip(headers, bodies, strict=False):
            for index, item in enumerate(rlp.listed(rlp.listed(body, 2)[0])):
                self._note(messages.transaction_hash(item), header.number, index)

    def _note(self, digest: bytes, number: int, index: int) -> None:
        if digest in self.watched and self.watched[digest] is None:
            self.watched[digest] = Mined(number, index)
            self.counts["mined"] += 1

    def serve(self, what: Any) -> list[Any]:
        """Headers that somebody asks for, as far as they are here."""
        start, most, skip, is_back = rlp.listed(what, 4)[:4]
        if len(start) == 32:
            at = next((header.number for header in self.headers.values() if header.hash == start), None)
        else:
            at = rlp.integer(start)
        step = (rlp.integer(skip) + 1) * (-1 if rlp.integer(is_back) else 1)
        most = min(rlp.integer(most), SERVED)
        found: list[Any] = []
        while at is not None and at in self.headers and len(found) < most:
            found.append(rlp.decode(self.headers[at].raw))
            at += step
        return found
