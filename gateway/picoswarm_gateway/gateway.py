"""The gateway: one large node of the mesh, with families behind it.

    async with Gateway(load(path)) as gateway:
        await gateway.ended()

It is the only place where the parts meet. A part gets the `Gateway` in its `start`, and finds there `node`, `config`,
`log`, `db` (the State, for tables of its own), `hub` (what watchers of the dashboard are told), `loops` (for what runs as
long as the gateway), the events of the node (`listen`) and the other families.
"""

from __future__ import annotations

import asyncio
import fcntl
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import rich_click as click
import structlog
from picoswarm.errors import LocalError
from picoswarm.keys import load_membership
from picoswarm.store import Store

from .config import Config
from .families import Family
from .families.clock import ClockFamily
from .families.dialing import Dialing
from .families.mailbox import MailboxFamily
from .families.update.family import UpdateFamily
from .hub import Hub
from .limits import allow_files
from .loops import Loops
from .node import HostNode
from .operations import Operations
from .owners import Owners
from .profile import gateway_profile
from .relay import Relay
from .state import State, StateError

Listener = Callable[[tuple], None]


def default_folder() -> Path:
    """Where the node of a gateway keeps its keys, if the configuration names no folder."""
    return Path(click.get_app_dir("picoswarm")) / "gateway"


def held(folder: Path) -> TextIO:
    """A folder that is this process's until the file is closed or the process ends: two gateways with one node key would end
    each other's sessions. Raises StateError where another one has it, and OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (folder / "gateway.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StateError(f"{folder}: another gateway runs with this folder; each needs one of its own") from None
    return file


def check_key(folder: Path) -> None:
    """Raise LocalError, which says what to do, where a folder has no network key; StoreError where it cannot be read."""
    if load_membership(Store(str(folder))) is None:
        command = f"picoswarm provision --folder {shlex.quote(str(folder))}"
        raise LocalError(f"{folder} has no network key. `{command}` makes one; with --join or --copy-from that of a mesh.")


class Gateway:
    """See the module. Nothing happens before `start`, or `async with`."""

    def __init__(self, config: Config, families: list[Family] | None = None) -> None:
        """`families`: beside those that the configuration asks for."""
        self.config = config
        self.log = structlog.get_logger("gateway")
        self.loops = Loops(self.log)
        mesh = config.mesh
        self.folder = Path(mesh.folder).expanduser() if mesh.folder else default_folder()
        self.profile = gateway_profile(**mesh.profile)
        self.node = HostNode(
            Store(str(self.folder)), None, self.profile, mesh.host, mesh.port, tuple(mesh.bootstrap), mesh.name
        )
        self.families = {family.name: family for family in (*self._asked_for(), *(families or ()))}
        self.owners = Owners(self)
        self.relay: Relay | None = None
        self.db = State(self.folder / "state.sqlite")
        self.hub = Hub()
        self.operations = Operations(self)
        self._started_at = time.monotonic()
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task] = []
        self._dialings: list[Dialing] = []
        self._ending = asyncio.Event()
        self._held: TextIO | None = None

    def _asked_for(self) -> list[Family]:
        """The families that have a table in the configuration. What one of them needs is imported for it alone."""
        wanted: list[Family] = [ClockFamily()]
        if self.config.mailbox.enabled:
            wanted.append(MailboxFamily(self.config.mailbox))
        if self.config.mqtt.url:
            from .families.mqtt.family import MqttFamily

            wanted.append(MqttFamily(self.config.mqtt))
        if self.config.update.enabled:
            wanted.append(UpdateFamily(self.config.update))
        if self.config.cometbft.chain:
            from .families.cometbft.family import CometFamily

            wanted.append(CometFamily(self.config.cometbft))
        if self.config.ethereum.network:
            from .families.ethereum.family import EthereumFamily

            wanted.append(EthereumFamily(self.config.ethereum))
        if self.config.bitcoin.network:
            from .families.bitcoin.family import BitcoinFamily

            wanted.append(BitcoinFamily(self.config.bitcoin))
        if self.config.libp2p.enabled:
            from .families.libp2p.family import Libp2pFamily

            wanted.append(Libp2pFamily(self.config.libp2p))
        return wanted

    @property
    def id(self) -> bytes:
        """The node's id, 32 bytes."""
        return self.node.id

    @property
    def uptime_s(self) -> float:
        """Seconds since the start, whatever becomes of the clock."""
        return time.monotonic() - self._started_at

    def listen(self, listener: Listener) -> None:
        """Call a function with each event of the node, as `Node.events` has them. It must not block."""
        self._listeners.append(listener)

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Join the mesh, then start the families. Raises what `Node.start` raises, OSError and LocalError for HTTP, and
        StateError and sqlite3.Error for the state; then nothing of it runs."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        allow_files(self.profile.links)
        self._held = held(self.folder)
        check_key(self.folder)
        await self.db.open()
        await self.node.start()
        self._started_at = time.monotonic()
        self._tasks.append(self.loops.begin("events", self._follow_events))
        self.owners.start()
        self.node.handle("gateway", self._tell_families)
        if self.config.relay.enabled:
            self.relay = Relay(self.node, self.config.relay)
        for family in self.families.values():
            await family.start(self)
            for verb, serve in family.verbs.items():
                self.node.handle(f"{family.name}/{verb}", serve)
            self._dialings.append(Dialing(family, self.loops))
            self._dialings[-1].start()
        await self.operations.start()
        self.log.info("started", id=self.id.hex(), families=sorted(self.families))

    async def stop(self) -> None:
        """End the families, leave the mesh, and close the state."""
        with suppress(Exception):
            await self.operations.stop()
        await asyncio.gather(*(dialing.stop() for dialing in self._dialings))
        for family in reversed(self.families.values()):
            with suppress(Exception):  # what ends badly must not keep the rest
                await family.stop()
        await self.owners.stop()
        await self.loops.end(self._tasks)
        await self.node.close()
        await self.db.close()
        if self._held:
            self._held.close()
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
            "uptime_s": round(self.uptime_s, 1),
            "sessions": len(self.node.sessions()),
            "relay": self.relay.state() if self.relay else None,
            "faults": self.loops.state(),
            "families": {name: family.state() for name, family in self.families.items()},
        }

    def _tell_families(self, _caller: bytes, _payload: bytes) -> bytes:
        return " ".join(self.families).encode()

    async def _follow_events(self) -> None:
        async for event in self.node.events:
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception as error:
                    self.loops.note(f"events: {event[0]}", error)
