"""What the gateway knows of the nodes of its mesh: who is there, by which way, how well it is heard, what it tells.

The own node's table and sessions are looked at each LOOK_S, and at once when an event says that they changed. The nodes
are asked about themselves besides (questions.py).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from picoswarm.errors import PicoswarmError

from . import nodefile
from .known import STATES, KnownNode
from .node import GATEWAY
from .questions import Questions
from .topology import Mesh
from .traffic import Traffic

if TYPE_CHECKING:
    from .gateway import Gateway

LOOK_S = 5.0
PAUSE_S = 0.5  # between two looks, however much happens
SAVE_S = 30.0
GONE = 5000  # nodes that are gone stay in memory


class Unknown(Exception):
    """No node has this id or name, or several have."""


class Nodes:
    """See the module."""

    def __init__(self, gateway: Gateway, visit_s: float) -> None:
        """`visit_s`: between two visits to one member without a session; 0: none is visited."""
        self.known: dict[bytes, KnownNode] = {}
        self.mesh = Mesh()
        self.questions = Questions(gateway, self.known, self.mesh, visit_s)
        self._gateway = gateway
        self._traffic = Traffic()
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._save_at = 0.0  # time.monotonic(); a node that was never seen before is saved at once

    async def start(self) -> None:
        """Read what was known, and begin to look. The node has started."""
        gateway = self._gateway
        self.mesh.own = gateway.id
        self.known.update(await nodefile.load(gateway.db))
        gateway.node.remember(self.known.__contains__)
        gateway.listen(self._on_event)
        self._look()
        runs = (self._keep_looking, self.questions.keep_asking, self.questions.keep_visiting)
        self._tasks = [gateway.loops.begin(f"nodes: {run.__name__}", run) for run in runs]

    async def stop(self) -> None:
        """Look no more, and save."""
        await self._gateway.loops.end(self._tasks)
        nodefile.save(self._gateway.db, self.known.values())

    # What others ask

    def table(self) -> list[dict[str, Any]]:
        """The rows of all nodes, those with sessions first, then by name and id."""
        nodes = sorted(self.known.values(), key=lambda node: (STATES.index(node.state), node.name, node.id))
        return [node.row() for node in nodes]

    def find(self, text: str) -> KnownNode:
        """The node with an id (hex), with an id that alone begins so (4 digits or more), or with a name. Raises Unknown."""
        wanted = text.strip().lower()
        found = [node for node in self.known.values() if wanted and node.name.lower() == wanted]
        if not found and len(wanted) >= 4:
            found = [node for node in self.known.values() if node.id.hex().startswith(wanted)]
        if len(found) != 1:
            raise Unknown(f"{len(found)} nodes are called {text!r}" if found else f"no node is called {text!r}")
        return found[0]

    def name(self, id32: bytes) -> str:
        """The name of a node, empty where none is known."""
        if id32 == self._gateway.id:
            return self._gateway.config.mesh.name
        return self.known[id32].name if id32 in self.known else ""

    def topology(self) -> dict[str, Any]:
        """The graph of sessions: the whole mesh, as far as its nodes tell."""
        links = self.mesh.links({node.id: node.rtt_ms for node in self.known.values()}, self._traffic.quality)
        kinds = {self._gateway.id: "gateway"}
        for node in self.known.values():
            if node.state != "gone":
                kinds[node.id] = "gateway" if node.is_gateway else "node"
        for link in links:
            for end in (link["a"], link["b"]):
                kinds.setdefault(bytes.fromhex(end), "node")
        nodes = [{"id": id32.hex(), "name": self.name(id32), "kind": kind} for id32, kind in kinds.items()]
        return {"nodes": nodes, "links": links}

    async def read_log(self, node: KnownNode) -> str:
        """The end of a node's log: what it tells now, or of what it told before as much as is kept. Raises RequestError
        where there is neither."""
        try:
            await self.questions.follow_log(node)
        except PicoswarmError:
            if not node.log:
                raise
        return "".join(node.log)

    async def trace(self, node: KnownNode) -> dict[str, Any]:
        """By which way a node is reached: its address, the chain of sessions that leads there, and the live nodes nearest
        to its id."""
        nearest = []
        for peer in await self._gateway.node.lookup(node.id):
            distance = (int.from_bytes(peer.id, "big") ^ int.from_bytes(node.id, "big")).bit_length()
            found = {"id": peer.id.hex(), "name": self.name(peer.id), "ip": peer.ip, "port": peer.port, "distance": distance}
            nearest.append(found)
        path = [{"id": id32.hex(), "name": self.name(id32)} for id32 in self.mesh.path(node.id)]
        row = node.row()
        return {
            **{key: row[key] for key in ("id", "name", "state", "ip", "port", "rtt_ms")},
            "path": path,
            "nearest": nearest,
        }

    def counts(self) -> dict[str, int]:
        """How many nodes there are in each state."""
        found = dict.fromkeys(STATES, 0)
        for node in self.known.values():
            found[node.state] += 1
        return found

    def traffic(self) -> tuple[int, int]:
        """Bytes that came and went on sessions since the start."""
        return self._traffic.total_in, self._traffic.total_out

    # Looking

    def _on_event(self, event: tuple) -> None:
        if event[0] in ("connected", "disconnected"):
            is_up = event[0] == "connected"
            link = {"a": self._gateway.id.hex(), "b": event[1].hex(), "state": "up" if is_up else "down"}
            self._gateway.hub.tell("link", link if is_up else {**link, "reason": event[2]})
        self._changed.set()

    async def _keep_looking(self) -> None:
        while True:
            with suppress(TimeoutError):  # `wait_for` of Python 3.11 may lose a cancellation
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            self._changed.clear()
            self._look()
            if time.monotonic() >= self._save_at:
                self._save_at = time.monotonic() + SAVE_S
                nodefile.save(self._gateway.db, self.known.values())
            await asyncio.sleep(PAUSE_S)

    def _look(self) -> None:
        """Take over what the node's sessions and table say, and tell watchers whose row is another."""
        seen = self._look_at_sessions() | self._look_at_table()
        for known in self.known.values():
            if known.id not in seen and known.state != "gone":
                known.change(state="gone")
                self.mesh.forget(known.id)
            if not known.is_shown:
                known.is_shown = True
                self._gateway.hub.tell("node", known.row())
        gone = [known for known in self.known.values() if known.state == "gone"]
        for known in sorted(gone, key=lambda each: each.last_seen)[: max(0, len(gone) - GONE)]:
            del self.known[known.id]

    def _look_at_sessions(self) -> set[bytes]:
        node = self._gateway.node
        links = {}
        for session in node.swarm.peers.values():
            if session.id in links or not session.mux:
                continue
            links[session.id] = session.is_outbound
            port = session.port if session.is_outbound else session.hello.port
            known = self._see(session.id, "session")
            known.change(is_outbound=session.is_outbound, is_gateway=bool(session.hello.capabilities & GATEWAY), port=port)
            if session.hello.name:
                known.change(name=session.hello.name)
        for id32, ip, _is_outbound, _name in node.sessions():
            if id32 in links:
                self.known[id32].change(ip=ip)
        self.mesh.tell(node.id, links)
        for id32, came, went, channels in self._traffic.measure(node):
            known = self._see(id32, "session")
            known.change(bytes_in=known.bytes_in + came, bytes_out=known.bytes_out + went, channels=channels)
        return set(links)

    def _look_at_table(self) -> set[bytes]:
        seen = set()
        for peer in self._gateway.node.peers():
            seen.add(peer.id)
            known = self.known.get(peer.id)
            if known is None or peer.id not in self._gateway.node.swarm.peers:
                known = self._see(peer.id, "live")
                known.change(ip=peer.ip, port=peer.port, is_outbound=False)
        return seen

    def _see(self, id32: bytes, state: str) -> KnownNode:
        now = time.time()
        known = self.known.get(id32)
        if known is None:
            known = self.known[id32] = KnownNode(id32, first_seen=now)
            self._save_at = 0.0
        known.last_seen = now
        known.is_changed = True
        known.change(state=state)
        return known
