"""Which gateway a board belongs to (docs/protocol.md 7.8): of the gateways of the mesh the one that rendezvous hashing gives
it, so that all of them agree without a word, and that little moves when one comes or goes.

A gateway counts while there is a session with it. So each gateway dials all the others it knows, and keeps those sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from picoswarm.errors import PicoswarmError

if TYPE_CHECKING:
    from .gateway import Gateway

GATEWAY = 2  # bit of the capabilities in HELLO, and of the flags of a record
OPEN = 4  # a session's stage
LOOK_S = 5.0  # between two looks for gateways without a session
FLAGS = 64  # in a table record

Change = Callable[[set[bytes], set[bytes]], None]


def owner(of: bytes, gateways: Iterable[bytes]) -> bytes:
    """The gateway (id) that something belongs to: a board by its id, anything else by 32 bytes that stand for it."""
    return max(gateways, key=lambda gateway: sha256(gateway + of).digest()[:8])


class Owners:
    """The gateways of the mesh as this one sees them, itself among them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._dials: dict[bytes, asyncio.Task] = {}
        self._listeners: list[Change] = []
        self._task: asyncio.Task | None = None
        self.gateways: set[bytes] = set()

    def start(self) -> None:
        """Begin to look for others."""
        self.gateways = {self._gateway.id}
        self._gateway.listen(self._on_event)
        self._task = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """End the looking."""
        for task in (self._task, *self._dials.values()):
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def listen(self, listener: Change) -> None:
        """Call a function with (the gateways before, those now) after each change."""
        self._listeners.append(listener)

    def owner(self, of: bytes) -> bytes:
        """See the function of this name."""
        return owner(of, self.gateways)

    def is_mine(self, of: bytes) -> bool:
        """Whether it belongs to this gateway."""
        return self.owner(of) == self._gateway.id

    def _on_event(self, event: tuple) -> None:
        if event[0] not in ("connected", "disconnected"):
            return
        before, self.gateways = self.gateways, {self._gateway.id}
        for session in self._gateway.node._services.swarm.peers.values():
            if session.stage == OPEN and session.hello.capabilities & GATEWAY:
                self._gateway.node.protect(session.id)
                self.gateways.add(session.id)
        if before != self.gateways:
            for listener in self._listeners:
                listener(before, self.gateways)

    async def _look(self) -> None:
        while True:
            for id32 in self._known() - self.gateways - self._dials.keys():
                self._dials[id32] = asyncio.create_task(self._dial(id32))
            await asyncio.sleep(LOOK_S)

    def _known(self) -> set[bytes]:
        """Ids of the gateways among the live nodes of the table."""
        table = self._gateway.node._discovery.table
        records = range(0, len(table.pool), table.step)
        return {bytes(table.pool[at : at + 32]) for at in records if table.pool[at + FLAGS] & GATEWAY and table.is_live(at)}

    async def _dial(self, id32: bytes) -> None:
        try:
            await self._gateway.node._services.session(id32, 10_000)
        except PicoswarmError:
            pass  # the next look dials it again
        finally:
            self._dials.pop(id32, None)
