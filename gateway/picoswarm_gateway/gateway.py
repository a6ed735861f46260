"""The gateway: one large node of the mesh, with families behind it.

    async with Gateway(load(path)) as gateway:
        await gateway.ended()

It is the only place where the parts meet. A part gets the `Gateway` in its `start`, and finds there `node`, `config`,
`log`, the events of the node (`listen`) and the other families.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import rich_click as click
import structlog
from picoswarm import Node
from picoswarm.store import Store

from .config import Config
from .families import Family
from .profile import gateway_profile

Listener = Callable[[tuple], None]


def default_folder() -> Path:
    """Where the node of a gateway keeps its keys, if the configuration names no folder."""
    return Path(click.get_app_dir("picoswarm")) / "gateway"


class Gateway:
    """See the module. Nothing happens before `start`, or `async with`."""

    def __init__(self, config: Config, families: list[Family] | None = None) -> None:
        """`families`: beside those that the configuration asks for."""
        self.config = config
        self.log = structlog.get_logger("gateway")
        mesh = config.mesh
        self.folder = Path(mesh.folder).expanduser() if mesh.folder else default_folder()
        self.profile = gateway_profile(**mesh.profile)
        self.node = Node(Store(str(self.folder)), None, self.profile, mesh.host, mesh.port, tuple(mesh.bootstrap), mesh.name)
        self.families = {family.name: family for family in families or ()}
        self.started_at = 0.0  # time.time()
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task] = []
        self._ending = asyncio.Event()

    @property
    def id(self) -> bytes:
        """The node's id, 32 bytes."""
        return self.node.id

    def listen(self, listener: Listener) -> None:
        """Call a function with each event of the node, as `Node.events` has them. It must not block."""
        self._listeners.append(listener)

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Join the mesh, then start the families. Raises what `Node.start` raises."""
        await self.node.start()
        self.started_at = time.time()
        self._tasks.append(asyncio.create_task(self._follow_events()))
        self.node.handle("gateway", self._tell_families)
        for family in self.families.values():
            await family.start(self)
            for verb, serve in family.verbs.items():
                self.node.handle(f"{family.name}/{verb}", serve)
        self.log.info("started", id=self.id.hex(), families=sorted(self.families))

    async def stop(self) -> None:
        """End the families, then leave the mesh."""
        for family in reversed(self.families.values()):
            with suppress(Exception):  # what ends badly must not keep the rest
                await family.stop()
        for task in self._tasks:
            task.cancel()
        await self.node.close()
        self.log.info("stopped")

    def end(self) -> None:
        """Let `ended` return."""
        self._ending.set()

    async def ended(self) -> None:
        """Wait until `end` was called."""
        await self._ending.wait()

    def state(self) -> dict[str, Any]:
        """What is to be known of it, as JSON has it."""
        return {
            "id": self.id.hex(),
            "name": self.config.mesh.name,
            "uptime_s": round(time.time() - self.started_at, 1),
            "sessions": len(self.node.sessions()),
            "families": {name: family.state() for name, family in self.families.items()},
        }

    def _tell_families(self, _caller: bytes, _payload: bytes) -> bytes:
        return " ".join(self.families).encode()

    async def _follow_events(self) -> None:
        async for event in self.node.events:
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:
                    self.log.exception("a listener failed", happened=event[0])
