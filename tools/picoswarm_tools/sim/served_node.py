"""A whole node in virtual time with the services of the library, `picoswarm.services.Services`, and what it keeps in flash:
its network keys and its address book outlive a power cut."""

from __future__ import annotations

import asyncio
from typing import Any

from picoswarm.bookfile import decode_book, encode_book
from picoswarm.discovery import Discovery
from picoswarm.identity import Keyring
from picoswarm.keys import load_membership, load_operator
from picoswarm.membership import Membership
from picoswarm.returning import Returning
from picoswarm.rpc import Rpc
from picoswarm.services import Services
from picoswarm.slots import NETWORK, OPERATOR
from picoswarm.store import Store

from .clock import MILLISECOND
from .host import Host
from .swarm_node import SwarmMesh, SwarmNode

_TICKS = 1 << 30
VERIFY_S = 2.0  # what a board takes for an Ed25519 signature; the kernels of a host take no virtual time


class _Flash:
    """The files of a node: they outlive its boots."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def make_folder(self, _path: str) -> None: ...

    def is_wide(self, _path: str) -> bool:
        return False

    def read(self, path: str, limit: int) -> bytes | None:
        return None if path not in self.files else self.files[path][:limit]

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = bytes(data)

    def replace(self, old: str, new: str) -> None:
        self.files[new] = self.files.pop(old)

    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    def sync(self, _folder: str) -> None: ...


class _Links:
    """What Services needs to know of sockets."""

    faults = out_of_memory = 0
    fault = None

    def __init__(self, node: ServedNode) -> None:
        self._node = node

    def turn(self) -> None:
        self._node.clock.after(0, self._node.swarm_turn)


class _Owner:
    """What Services needs to know of its `picoswarm.Node`."""

    def __init__(self, node: ServedNode) -> None:
        self.events = self
        self._node = node
        self._folder = node.store
        self._unsaved = 0

    @property
    def id(self) -> bytes:
        return self._node.id

    @property
    def _discovery(self) -> Discovery | None:
        return self._node.engine

    def put(self, _event: tuple[Any, ...]) -> None:
        """Nobody fetches the events."""

    def contact(self, id32: bytes) -> Any:
        return self._node.engine.contact(id32) if self._node.engine else None

    async def lookup(self, id32: bytes) -> None:
        search = self._node.find(id32)
        while not search.is_done:
            await asyncio.sleep(0.1)


class ServedNode(SwarmNode):
    """See the module. Its coroutines need `tasks.run`."""

    def __init__(self, mesh: ServedMesh, *arguments: Any, **options: Any) -> None:
        super().__init__(mesh, *arguments, **options)
        self.store = Store("node", _Flash())
        self.store.write(NETWORK, Membership(mesh.network_key).encode())
        self.store.write(OPERATOR, mesh.operator)
        self.services: Any = None
        self.more_reactors = self._make_rpc
        self.on_swarm_event = self._on_event
        self._book_file = b""

    @property
    def now(self) -> int:
        """All nodes have the ticks of the clock, as their services do."""
        return self.clock.now_us // MILLISECOND % _TICKS

    @property
    def keys(self) -> Keyring:
        """The network keys that the running node holds."""
        assert self.engine is not None
        return self.engine.membership

    def power_on(self) -> None:
        super().power_on()
        swarm = self.swarm
        if self.profile.gateway:
            swarm.membership = Returning(self.keys, self._rpc, self.engine.table)
        if self._book_file:
            decode_book(swarm.book, self._book_file)
        self.services = Services(_Owner(self), swarm, _Links(self), None, self._rpc, None)
        self.services.handle("keys", self._take_later)

    def power_off(self) -> None:
        self._book_file = bytes(encode_book(self.swarm.book))
        self.swarm.is_closing = True  # for coroutines that go on
        super().power_off()
        self.services = None

    def swarm_turn(self) -> None:
        super().swarm_turn()
        if self.services is not None and self.swarm is not None:
            self.services.on_turn()

    async def _take_later(self, id32: bytes, payload: bytes) -> bytes:
        services = self.services
        if payload:
            await asyncio.sleep(VERIFY_S)
        return await services.change_keys(id32, payload)

    def _make_rpc(self, _node: SwarmNode) -> list[Rpc]:
        self._rpc = Rpc(self.profile, self.now)
        return [self._rpc]

    def _on_event(self, _node: SwarmNode, event: tuple[Any, ...]) -> None:
        if self.services is not None:
            self.services.on_event(event)

    def _boot_engine(self, host: Host, rng: Any, now: int) -> Discovery:
        held = load_membership(self.store)
        keyring = Keyring(held.highest, held.lower)
        load_operator(self.store, keyring, self.profile.gateway)
        return self._make_engine(rng, now, keyring)


class ServedMesh(SwarmMesh):
    """A mesh of ServedNodes. `operator`: the operator's public key."""

    nodes: list[ServedNode]  # type: ignore[assignment]

    def __init__(self, operator: bytes, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.operator = operator

    def _make(self, *arguments: Any, **options: Any) -> ServedNode:
        return ServedNode(self, *arguments, **options)
