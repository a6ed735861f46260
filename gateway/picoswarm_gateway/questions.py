"""Asking the nodes of the mesh about themselves, gently: one after another, seldom, and never who is not there.

A peer with a session is asked each ASK_S, at most ASKS_PER_S of them a second, for what it runs and whom it has sessions
with (the method "about", docs/protocol.md 7.6), for its counters and for what is new in its log. How long the first takes is
its round-trip time. A member without a session is visited now and then, one at a time: a session is opened, asked, closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from picoswarm.errors import PicoswarmError
from picoswarm.failures import NoMethod

from .known import KnownNode
from .topology import Mesh, parse_about

if TYPE_CHECKING:
    from .gateway import Gateway

ASK_S = 30.0
ASKS_PER_S = 5
ANSWER_MS = 8000
FIRST_VISIT_S = 30.0  # by then it may have a session anyway
VISIT_PAUSE_S = 5.0  # between two visits
LINKS = 256  # that are believed of one node
ASK_MOST_S = 30.0  # one node, with all that it tells; the others wait
LOG_READS = 6  # answers of at most 251 bytes each, in one go
METHOD = "about"

Ask = Callable[[KnownNode], Awaitable[None]]


class Questions:
    """See the module."""

    def __init__(self, gateway: Gateway, known: dict[bytes, KnownNode], mesh: Mesh, visit_s: float) -> None:
        """`known`: the nodes, which others add; `visit_s`: between two visits to one member, 0: none is visited."""
        self._gateway = gateway
        self._known = known
        self._mesh = mesh
        self._visit_s = visit_s

    async def keep_asking(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(1 / ASKS_PER_S)
            now = time.monotonic()
            due = [each for each in self._known.values() if each.state == "session" and now - each.asked_at >= ASK_S]
            if due:
                await self._try(self.ask, min(due, key=lambda each: each.asked_at))

    async def keep_visiting(self) -> None:
        """For ever."""
        pause = min(self._visit_s, VISIT_PAUSE_S)
        while self._visit_s:
            await asyncio.sleep(pause)
            now = time.monotonic()
            met = now - min(self._visit_s, FIRST_VISIT_S)
            live = [each for each in self._known.values() if each.state == "live"]
            due = [each for each in live if now - each.asked_at >= self._visit_s and each.met_at <= met]
            if due:
                await self._try(self.visit, min(due, key=lambda each: each.asked_at))

    async def _try(self, ask: Ask, known: KnownNode) -> None:
        known.asked_at = time.monotonic()
        try:
            async with asyncio.timeout(ASK_MOST_S):
                await ask(known)
        except (PicoswarmError, TimeoutError) as error:
            self._gateway.log.debug("a node does not tell", node=known.id.hex(), error=str(error))
        except Exception as error:
            self._gateway.loops.note("nodes: asking", error)

    async def visit(self, known: KnownNode) -> None:
        """Ask a node, with a session that is there for no longer. Raises RequestError."""
        peers = self._gateway.node.swarm.peers
        had = peers.get(known.id)
        try:
            await self.ping(known)  # which opens it, and that takes long
            await self.ask(known)
        finally:
            session = peers.get(known.id)
            if session and session is not had and session.is_outbound:
                session.close()

    async def ping(self, known: KnownNode) -> float:
        """Milliseconds of a request and its answer, a session opened for it where there is none. Raises RequestError."""
        began = time.perf_counter()
        with suppress(NoMethod):  # an answer, too: of a node that does not know the method
            await self._gateway.node.request(known.id, METHOD, b"", ANSWER_MS)
        return (time.perf_counter() - began) * 1000

    async def ask(self, known: KnownNode) -> None:
        """Ask a node for all that it tells. Raises RequestError."""
        known.change(last_seen=time.time())
        with suppress(NoMethod):
            await self._ask_about(known)
        for family in self._gateway.families.values():
            with suppress(NoMethod):
                await family.ask(known.id)
        with suppress(NoMethod):
            known.change(counters=await self._gateway.node.read_stats(known.id, ANSWER_MS))
        with suppress(NoMethod):
            await self.follow_log(known)

    async def _ask_about(self, known: KnownNode) -> None:
        links: dict[bytes, bool] = {}
        first = 0
        total = 1
        while first < min(total, LINKS):
            began = time.perf_counter()
            answer = await self._gateway.node.request(known.id, METHOD, first.to_bytes(2, "big"), ANSWER_MS)
            took = (time.perf_counter() - began) * 1000
            text, total, some = parse_about(answer)
            if first == 0:
                rtt = took if known.rtt_ms is None else known.rtt_ms + (took - known.rtt_ms) / 4
                known.change(rtt_ms=round(rtt, 2), firmware=text)
            links.update(some)
            first += len(some)
            if not some:
                break
        if known.state != "gone":
            self._mesh.tell(known.id, links)

    async def follow_log(self, known: KnownNode) -> None:
        """Read what is new in a node's log. Raises RequestError."""
        for _ in range(LOG_READS):
            begin = known.log_position
            text, position = await self._gateway.node.read_log(known.id, begin, ANSWER_MS)
            if known.log_position != begin:  # somebody else read it meanwhile
                continue
            known.log_position = position
            if not text:
                break
            known.keep_log(text)
            line = {"node": known.id.hex(), "name": known.name, "text": text, "t": round(time.time(), 3)}
            self._gateway.hub.tell("log", line)
