"""A mesh key in a folder, a gateway on it, nodes that join it: all on 127.0.0.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from picoswarm import Node
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_gateway.config import Config, HttpTable, MeshTable
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, free_ports

PATIENCE_S = 30.0  # wall clock, for a state that comes within a second or two on a machine at rest


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now, and that no connection of another worker is given meanwhile."""
    return free_ports(1)[0]


async def until(happens: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until a function returns something true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not happens():
            await asyncio.sleep(0.02)


class SmallMesh:
    """Folders of nodes that share a network key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.membership = Membership(new_network_key())

    def store(self, name: str) -> Store:
        """A provisioned folder of this name."""
        store = Store(str(self.folder / name))
        save(store, self.membership)
        return store

    def config(self, name: str = "gateway", **tables: object) -> Config:
        """The configuration of a gateway of this mesh on a free port, without HTTP."""
        self.store(name)
        mesh = MeshTable(folder=str(self.folder / name), name=name, host=HOST, port=free_port())
        return Config(**{"mesh": mesh, "http": HttpTable(enabled=False), **tables})

    def node(self, name: str, *gateways: object, **more: object) -> Node:
        """A node of this mesh that knows these gateways, or other nodes by "ip:port"."""
        known = [each if isinstance(each, str) else f"{HOST}:{each.config.mesh.port}" for each in gateways]
        return Node(self.store(name), host=HOST, port=free_port(), bootstrap=known, name=name, **more)
