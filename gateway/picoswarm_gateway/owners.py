"""Which gateway a board belongs to (docs/protocol.md 7.8): of the gateways of the mesh the one that rendezvous hashing gives
it, so that all of them agree without a word, and that little moves when one comes or goes.

A gateway counts while there is a session with it. So each gateway dials all the others it knows, and keeps those sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from picoswarm.errors import PicoswarmError

from .node import GATEWAY

if TYPE_CHECKING:
    from .gateway import Gateway

LOOK_S = 5.0  # between two looks for gateways without a session
PROTECTED = 16  # gateways whose sessions never make room: any member may say that it is one

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
        self._tasks: list[asyncio.Task] = []
        self._protected: set[bytes] = set()
        self.gateways: set[bytes] = set()

    def start(self) -> None:
        """Begin to look for others."""
        self.gateways = {self._gateway.id}
        self._gateway.listen(self._on_event)
        self._tasks = [self._gateway.loops.begin("owners", self._look)]

    async def stop(self) -> None:
        """End the looking."""
        await self._gateway.loops.end([*self._tasks, *self._dials.values()])

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
        if event[0] in ("connected", "disconnected"):
            session = self._gateway.node.session(event[1])
            is_gateway = session is not None and bool(session.hello.capabilities & GATEWAY)
            if is_gateway != (event[1] in self.gateways):
                self._count()

    def _count(self) -> None:
        node = self._gateway.node
        others = {session.id for session in node.open_sessions() if session.hello.capabilities & GATEWAY}
        before, self.gateways = self.gateways, {self._gateway.id} | others
        if before == self.gateways:
            return
        self._protect(others)
        for listener in self._listeners:
            try:
                listener(before, self.gateways)
            except Exception as error:
                self._gateway.loops.note("owners: a listener", error)

    def _protect(self, others: set[bytes]) -> None:
        """Hold the sessions with other gateways, and no longer those of who is none or gone."""
        for id32 in self._protected - others:
            self._gateway.node.protect(id32, False)
        self._protected &= others
        for id32 in list(others - self._protected)[: PROTECTED - len(self._protected)]:
            self._gateway.node.protect(id32)
            self._protected.add(id32)

    async def _look(self) -> None:
        while True:
            for id32 in self._gateway.node.live_gateways() - self.gateways - self._dials.keys():
                self._dials[id32] = asyncio.create_task(self._dial(id32))
            await asyncio.sleep(LOOK_S)

    async def _dial(self, id32: bytes) -> None:
        try:
            await self._gateway.node.connect(id32)
        except PicoswarmError:
            pass  # the next look dials it again
        except Exception as error:
            self._gateway.loops.note("owners: a dial", error)
        finally:
            self._dials.pop(id32, None)
