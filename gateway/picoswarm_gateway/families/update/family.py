"""The family `update`: offers the bundles of a folder to the mesh, and follows which board runs what.

Boards ask every peer, a gateway or not, by the method `update` (docs/protocol.md 7.11). A bundle that is put into the folder
is offered within seconds, one that is taken out no longer. The gateway cannot forge one: boards check the signature. It does
so too where its own folder has the public half, so that a wrong key is told to who pushes and not by each board.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from picoswarm.appslots import UPDATE_KEY
from picoswarm.errors import PicoswarmError
from picoswarm.failures import Busy, NoMethod
from picoswarm.serving import piece, wants
from picoswarm.store import Store
from picoswarm.update import METHOD

from .. import Family
from .bundle import LONGEST, SUFFIX, Bundle, Refused

if TYPE_CHECKING:
    from ...gateway import Gateway

ASK, NEWS, STATUS = 0, 3, 4
SCAN_S = 2.0
ASK_S = 5.0  # between two questions for progress to one peer, while there are bundles
ANSWER_MS = 8000
TOLD = 10_000  # nodes of which the state is kept
IDLE = bytes(17)  # this node fetches nothing


class UpdateTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[update]`: applications for boards."""

    enabled: bool = True
    folder: str = ""  # of bundles; empty: `updates` in the node's folder
    pieces: int = 200  # of 256 bytes, in a second, to all boards together

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (path, what is wrong) for what cannot be."""
        if (self.pieces or 1) <= 0:
            found.append(("update.pieces", "more than 0"))


@dataclass
class Told:
    """What a node said of its application."""

    at: float  # unix seconds
    trial: int
    version: int
    floor: int
    fetching: int  # version, 0: nothing
    chunks: int  # that are there
    of: int
    trouble: str

    @classmethod
    def parse(cls, answer: bytes) -> Told | None:
        """Of the answer to STATUS."""
        if len(answer) < len(IDLE):
            return None
        numbers = [int.from_bytes(answer[at : at + 4]) for at in (1, 5, 9)]
        counts = [int.from_bytes(answer[at : at + 2]) for at in (13, 15)]
        return cls(round(time.time(), 1), answer[0], *numbers, *counts, answer[17:].decode("utf-8", "replace"))

    def state(self) -> str:
        """In one word."""
        return "fetching" if self.fetching else "on trial" if self.trial else "runs"

    def text(self) -> str:
        """For people."""
        text = f"version {self.version}" if self.version else "its own"
        if self.fetching:
            return f"{text}; fetching {self.fetching}: {self.chunks} of {self.of}"
        return f"{text}, on trial" if self.trial else text


class UpdateFamily(Family):
    """See the module."""

    name = "update"

    def __init__(self, table: UpdateTable) -> None:
        super().__init__()
        self.bundles: dict[str, Bundle] = {}  # by file name
        self.told: dict[bytes, Told] = {}
        self.pieces = self.refused = 0
        self._table = table
        self._gateway: Gateway | None = None
        self._folder = Path()
        self._stats: dict[str, tuple[int, int]] = {}  # size and time of each file that was looked at
        self._second = self._in_second = 0
        self._silent: set[Any] = set()  # sessions with nodes that have no updates
        self._tasks: list[asyncio.Task] = []

    async def start(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._folder = Path(self._table.folder).expanduser() if self._table.folder else gateway.folder / "updates"
        self._public = Store(str(gateway.folder)).read(UPDATE_KEY)
        self._scan()
        gateway.node.handle(METHOD, self._serve)
        runs = {"update: bundles": self._keep_scanning, "update: asking": self._keep_asking}
        self._tasks = [gateway.loops.begin(name, run) for name, run in runs.items()]

    async def stop(self) -> None:
        if self._gateway:
            await self._gateway.loops.end(self._tasks)

    def state(self) -> dict[str, Any]:
        return {"state": "up", "bundles": len(self.bundles), "pieces": self.pieces, "refused": self.refused}

    def overview(self) -> dict[str, Any]:
        """What /api/updates has: the bundles, and what nodes said."""
        nodes = self._gateway.operations.nodes
        told = [
            {
                **{"id": id32.hex(), "name": nodes.name(id32), "state": each.state()},
                **msgspec.to_builtins(each),
            }
            for id32, each in self.told.items()
        ]
        offered = [{"file": name, **bundle.facts()} for name, bundle in sorted(self.bundles.items())]
        return {"bundles": offered, "nodes": sorted(told, key=lambda each: (each["name"], each["id"]))}

    # Bundles

    def put(self, raw: bytes) -> dict[str, Any]:
        """Take a bundle into the folder. Raises Refused, OSError."""
        bundle = Bundle(raw)
        self._judge(bundle)
        header = bundle.header
        newest = [each.header.version for each in self.bundles.values() if set(each.boards) & set(bundle.boards)]
        if header.version < max(newest, default=0):
            raise Refused(f"Version {max(newest)} for these boards is offered already.")
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{header.version}-{header.id.hex()}{SUFFIX}"
        fresh = self._folder / f".{name}.new"
        with open(fresh, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / name)
        self._scan()
        return {"file": name, **bundle.facts()}

    def _judge(self, bundle: Bundle) -> None:
        if self._public is not None and not bundle.is_signed_by(self._public):
            raise Refused("It is signed by another key than the update key in the gateway's folder.")

    def _scan(self) -> list[Bundle]:
        """Bring `bundles` up to the folder. Returns those that are new."""
        found = {}
        with suppress(OSError):
            for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                stat = path.stat()
                found[path.name] = (stat.st_size, stat.st_mtime_ns)
        for name in self.bundles.keys() - found.keys():
            del self.bundles[name]
        fresh = []
        for name, stat in found.items():
            if self._stats.get(name) != stat:
                self.bundles.pop(name, None)
                try:
                    if stat[0] > LONGEST:
                        raise Refused("It is longer than a bundle may be.")
                    bundle = Bundle((self._folder / name).read_bytes())
                    self._judge(bundle)
                    self.bundles[name] = bundle
                    fresh.append(bundle)
                except (Refused, OSError) as error:
                    self.refused += 1
                    self._gateway.log.warning("a bundle is not offered", file=name, error=str(error))
        self._stats = found
        return fresh

    async def _keep_scanning(self) -> None:
        known = {bundle.header.id for bundle in self.bundles.values()}
        while True:
            self._scan()
            now = {bundle.header.id for bundle in self.bundles.values()}
            fresh = [bundle for bundle in self.bundles.values() if bundle.header.id not in known]
            known = now
            if fresh:
                self._gateway.log.info("updates are offered", versions=[bundle.header.version for bundle in fresh])
                news = bytes((NEWS,)) + max(bundle.header.version for bundle in fresh).to_bytes(4)
                await asyncio.gather(*(self._call(session.id, news) for session in self._gateway.node.open_sessions()))
            await asyncio.sleep(SCAN_S)

    # The mesh

    def _serve(self, _caller: bytes, payload: bytes) -> bytes:
        """The method `update`."""
        kind = payload[0] if payload else STATUS
        if kind == ASK:
            fit = [bundle for bundle in self.bundles.values() if wants(bundle.header, payload)]
            return max(fit, key=lambda bundle: bundle.header.version).header.text if fit else b""
        if kind == NEWS:
            return b""
        if kind == STATUS:
            return IDLE
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second > self._table.pieces:
            raise Busy("later")
        for bundle in self.bundles.values():
            answer = piece(bundle, payload)
            if answer:
                self.pieces += 1
                return answer
        return b""

    async def _call(self, id32: bytes, payload: bytes) -> bytes:
        with suppress(PicoswarmError):
            return await self._gateway.node.request(id32, METHOD, payload, ANSWER_MS)
        return b""

    async def ask(self, board: bytes) -> None:
        """Ask a node for the state of its application. Raises RequestError."""
        told = Told.parse(await self._gateway.node.request(board, METHOD, bytes((STATUS,)), ANSWER_MS))
        self.told.pop(board, None)
        if told is None:
            return
        self.told[board] = told
        if len(self.told) > TOLD:
            del self.told[next(iter(self.told))]
        known = self._gateway.operations.nodes.known.get(board)
        if known:
            known.change(app=told.text())

    async def _keep_asking(self) -> None:
        """Peers, while there is something to follow. Nodes without a session are asked when they are visited."""
        while True:
            await asyncio.sleep(ASK_S)
            sessions = self._gateway.node.open_sessions() if self.bundles else []
            self._silent &= set(sessions)
            for session in sessions:
                if session in self._silent:
                    continue
                try:
                    await self.ask(session.id)
                except NoMethod:
                    self._silent.add(session)
                except PicoswarmError:
                    pass
