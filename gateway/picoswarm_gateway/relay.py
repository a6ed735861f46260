"""Lets nodes that cannot connect to each other have a session through this one (docs/protocol.md 7.7).

A node asks by a stream /relay/1 whose first 32 bytes are the id that it wants; a stream /relayed/1 to that node is opened,
with the id of the asker first, and what comes on either is written to the other. What follows is the two nodes' own: their
handshake, and records that are sealed for each other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
from picoswarm.failures import RequestError, StreamError
from picoswarm.reasons import name

from .node import GATEWAY, HostNode

ASKS = "/relay/1"
BRINGS = "/relayed/1"
ID = 32  # bytes
CHUNK = 1024  # bytes that are passed on at a time
TO_ASK_S = 5  # for the 32 bytes

BUSY, SELF, STREAM, SLOW, ABSENT = 1, 4, 14, 19, 24  # see reasons.py


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """`[relay]`: what the relay takes upon itself."""

    enabled: bool = True
    connections: int = 1000
    per_peer: int = 4  # connections that it asked for, and that others asked for to it
    bytes_each: int = 1 << 30  # of one connection, both ways; then it ends, and the nodes may ask again
    bytes_per_s: int = 65_536  # of one connection, both ways; more waits
    idle_s: float = 120.0  # an idle session has a PING each 30 s


class Splice:
    """Two streams that are one, from `asker` to `target` (ids)."""

    def __init__(self, limits: Limits, stream: Any, other: Any) -> None:
        self.asker: bytes = stream.peer
        self.target: bytes = other.peer
        self.bytes = 0
        self.why = "done"  # it ended
        self._limits = limits
        self._ends = (stream, other)
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._free_at = self._loop.time()
        self._watch = self._loop.call_later(limits.idle_s, self._look)

    async def run(self) -> None:
        """Pass bytes on, both ways, until both sides have ended or one gave it up."""
        stream, other = self._ends
        back = asyncio.create_task(self._pass_on(other, stream))
        try:
            await self._pass_on(stream, other, self.asker)
            await back
        finally:
            self._watch.cancel()
            back.cancel()
            for end in self._ends:
                end.reset()  # nothing where it has ended

    async def _pass_on(self, source: Any, sink: Any, data: bytes = b"") -> None:
        """One way, `data` first."""
        try:
            if data:
                await sink.write(data)
            while data := await source.read(CHUNK):
                await self._admit(len(data))
                await sink.write(data)
            sink.close()
        except StreamError as error:
            self._give_up("lost", error.reason)

    async def _admit(self, n: int) -> None:
        """Wait until `n` bytes more may go; a second's worth goes at once."""
        now = self._heard_at = self._loop.time()
        self.bytes += n
        self._free_at = max(self._free_at, now - 1) + n / self._limits.bytes_per_s
        if self.bytes > self._limits.bytes_each:
            self._give_up("bytes", BUSY)
        elif self._free_at > now:
            await asyncio.sleep(self._free_at - now)

    def _look(self) -> None:
        idle = self._loop.time() - self._heard_at
        if idle >= self._limits.idle_s:
            self._give_up("idle", SLOW)
        else:
            self._watch = self._loop.call_later(self._limits.idle_s - idle, self._look)

    def _give_up(self, why: str, reason: int) -> None:
        """Both sides hear the reason; the tasks end by that."""
        if self.why == "done":
            self.why = why
            for end in self._ends:
                end.reset(reason)


class Relay:
    """Serves /relay/1 on a HostNode that was started. `counts`: asked, opened, bytes (of ended connections),
    refused_<reason>, and ended_done, _lost (a side went), _idle, _bytes."""

    def __init__(self, node: HostNode, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.counts: Counter[str] = Counter()
        self.splices: list[Splice] = []
        self._node = node
        node.handle(ASKS, self._serve)

    def state(self) -> dict[str, int]:
        """For whoever shows it: the counts, and how many connections there are."""
        return {"connections": len(self.splices), **self.counts}

    def _session(self, id32: bytes) -> Any:
        """The open session with a node, unless it goes through a gateway itself; or None."""
        session = self._node.session(id32)
        return session if session and session.port else None

    def _refusal(self, asker: bytes, target: bytes) -> int:
        """Why one node may not have another one through here, as a reason of docs/protocol.md 4.7; 0 for no reason."""
        if self._session(asker) is None:
            return STREAM
        if target in (asker, self._node.id):
            return SELF
        session = self._session(target)
        if session is None or session.hello.capabilities & GATEWAY:  # whom everybody can connect to
            return ABSENT
        asked = sum(splice.asker == asker for splice in self.splices)
        wanted = sum(splice.target == target for splice in self.splices)
        is_full = len(self.splices) >= self.limits.connections or max(asked, wanted) >= self.limits.per_peer
        return BUSY if is_full else 0

    async def _serve(self, stream: Any) -> None:
        self.counts["asked"] += 1
        target = b""
        try:
            async with asyncio.timeout(TO_ASK_S):
                while len(target) < ID:
                    data = await stream.read(ID - len(target))
                    if not data:
                        return self._refuse(stream, STREAM)
                    target += data
        except TimeoutError:
            return self._refuse(stream, SLOW)
        reason = self._refusal(stream.peer, target)
        if reason:
            return self._refuse(stream, reason)
        try:
            other = self._node.open_stream_on(self._session(target), BRINGS)
        except RequestError:  # that session has no stream left
            return self._refuse(stream, BUSY)
        splice = Splice(self.limits, stream, other)
        self.splices.append(splice)
        self.counts["opened"] += 1
        try:
            await splice.run()
        finally:
            self.splices.remove(splice)
            self.counts["bytes"] += splice.bytes
            self.counts[f"ended_{splice.why}"] += 1

    def _refuse(self, stream: Any, reason: int) -> None:
        self.counts[f"refused_{name(reason)}"] += 1
        stream.reset(reason)
