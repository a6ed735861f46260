"""The mesh of the demo: a gateway with its dashboard, an MQTT broker, and real MicroPython nodes with sensors, all on
127.0.0.1.

What it tells of itself comes from the nodes' own statistics and from an MQTT client that hears the readings through the
broker.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_gateway.config import Config, HttpTable, MeshTable
from picoswarm_gateway.families.mqtt.table import MqttTable, Rule
from picoswarm_gateway.gateway import Gateway

from ..broker import Broker, Ear
from ..keyfolder import new_network_key, save
from ..swarm import HOST, NodeProcess, Trouble, board_heap, free_ports, knows_nearest

# The demo profile: a dead node is noticed in seconds instead of minutes.
FAST = {"revalidate_s": 1, "refresh_min_s": 8, "refresh_max_s": 15, "bootstrap_ping_s": 5}
ROOMS = {
    "kitchen": "temperature",
    "cellar": "humidity",
    "office": "co2",
    "meter": "power",
    "bedroom": "temperature",
    "attic": "humidity",
    "workshop": "co2",
    "pump": "power",
}
HTTP_PORT = 8742
TALK_MS = 500  # between two readings of a node
RATE_S = 5.0
HUSH_S = 3.0  # before the end nobody speaks any more, so that what was said is heard
MOST_LOSS = 0.01
HELP = "k 3 kills node 3, r 3 starts it"
JOINED_FOR_S = 5.0  # one lost ping hides a neighbour for a second or two: that does not undo a join


class Demo:
    """The gateway, the broker and the node processes of one run."""

    def __init__(
        self, count: int, board: str, first_port: int | None, http_port: int | None, folder: Path, picos: int = 0
    ) -> None:
        """Nothing is started yet. `picos`: so many emulated Picos besides. Raises Trouble where a port that was asked for is
        taken, and Missing."""
        self.board = board
        self.picos = picos
        self.heap_bytes = board_heap(board)
        self.ports = free_ports(count + 1, first_port)
        spare = [port for port in free_ports(count + 3) if port not in self.ports]
        membership = Membership(new_network_key())
        home = folder / "gateway"
        save(Store(str(home)), membership)
        self.token = secrets.token_urlsafe(6)
        self.broker = Broker(folder, spare[0])
        config = Config(
            mesh=MeshTable(folder=str(home), host=HOST, port=self.ports[0], profile=dict(FAST)),
            http=HttpTable(host=HOST, port=choose_http_port(http_port, spare[1]), token=self.token),
            mqtt=MqttTable(url=self.broker.url, version=self.broker.version, up=[Rule("sensors/#")]),
        )
        self.gateway = Gateway(config)
        self.dashboard = f"http://{HOST}:{config.http.port}/"
        self.topics = f"{config.mqtt.prefix}/sensors/#"
        self.ear = Ear(self.broker, self.topics)
        self.started = time.monotonic()
        self.end_at = float("inf")  # of time.monotonic()
        self.knew_at: dict[str, float] = {}  # id -> when the node last knew its nearest
        self.note = ""
        self.typed = ""  # what the user has typed so far
        self.expected = 0  # deliveries in the mesh: for each reading, one at every other node that was up
        self.sent = 0  # readings published by all
        self._seen_sent: dict[str, int] = {}
        self._stack = AsyncExitStack()
        self._marks: list[tuple[float, int, int, int]] = []
        self._talking: set[str] = set()  # nodes, by process, that were told to talk
        names = [*ROOMS, *(f"room{i}" for i in range(len(ROOMS) + 1, count + 1))][:count]
        self.nodes = [
            NodeProcess(name, folder / name, port, membership, self.heap_bytes)
            for name, port in zip(names, self.ports[1:], strict=True)
        ]
        if picos:
            from ..emulator.demo import EmulatedProcess

            self.nodes += [
                EmulatedProcess(f"pico{i}", folder / f"pico{i}", membership, board_heap("RPI_PICO_EMU"))
                for i in range(1, picos + 1)
            ]

    async def start(self) -> None:
        """Start all of it. Raises Trouble, PicoswarmError, OSError."""
        await self._stack.enter_async_context(self.broker)
        heard = asyncio.Event()
        ear = asyncio.create_task(self.ear.listen(heard))
        self._stack.callback(ear.cancel)
        await self._stack.enter_async_context(self.gateway)
        hub = self.gateway.node
        hub.handle("/echo/1.0.0", echo)
        hub.handle("heap", lambda _caller, _payload: b"0")
        await heard.wait()
        await asyncio.gather(*(self.start_node(node) for node in self.nodes))

    async def start_node(self, node: NodeProcess) -> None:
        await node.start(f"{HOST}:{self.ports[0]}", {**FAST, "name": node.name, "what": what(node.name)})

    async def stop(self) -> None:
        """End every process that was started."""
        await asyncio.gather(*(node.stop() for node in self.nodes))
        await self._stack.aclose()

    def end(self) -> None:
        """Let the run end, once what was said is heard; called again, at once."""
        now = time.monotonic()
        if self.is_ending:
            self.end_at = now
        else:
            self.end_at, self.note = now + HUSH_S, "ending"

    @property
    def is_ending(self) -> bool:
        """Whether nobody shall speak any more."""
        return time.monotonic() >= self.end_at - HUSH_S

    @property
    def up(self) -> list[NodeProcess]:
        """The nodes that run and have told their id."""
        return [node for node in self.nodes if node.is_up and node.id]

    def converse(self) -> None:
        """Let nodes that have sessions tell their readings, until the end is near; count what is to be heard."""
        up = self.up
        for node in up:
            key = f"{node.name}/{node.boots}"
            if self.is_ending and key in self._talking:
                node.talk(0)
            elif not self.is_ending and key not in self._talking and node.state.get("sessions") and self.joined() > len(up):
                self._talking.add(key)
                node.talk(TALK_MS)
        self._count(up)

    def _count(self, up: list[NodeProcess]) -> None:
        """Take what nodes have said since; `up` were there to hear it."""
        for node in up:
            key = f"{node.name}/{node.boots}"
            new = node.state.get("sent", 0) - self._seen_sent.get(key, 0)
            self._seen_sent[key] = node.state.get("sent", 0)
            self.sent += new
            self.expected += new * len(up)  # the others, and the gateway

    def rates(self) -> tuple[float, float, float]:
        """Readings published, readings delivered in the mesh and requests answered, each a second, over the last few
        seconds."""
        now = time.monotonic()
        answered = sum(node.total("answered") for node in self.nodes)
        self._marks.append((now, self.sent, self.delivered, answered))
        while len(self._marks) > 1 and self._marks[0][0] < now - RATE_S:
            self._marks.pop(0)
        first, last = self._marks[0], self._marks[-1]
        span = max(last[0] - first[0], 0.5)
        published, delivered, asked = ((b - a) / span for a, b in zip(first[1:], last[1:], strict=True))
        return published, delivered, asked

    def echo(self) -> None:
        """Let a random node send bytes through a stream to another one and back."""
        if len(self.up) > 1:
            asker, peer = random.sample(self.up, 2)
            asker.echo(peer.id)

    def look_up(self) -> None:
        """Let a random node look another one up."""
        if len(self.up) > 1:
            asker, wanted = random.sample(self.up, 2)
            asker.find(wanted.id)

    @property
    def heard(self) -> int:
        """Readings that the gateway heard in the mesh."""
        return self.gateway.operations.messages

    @property
    def delivered(self) -> int:
        """Readings that came to a subscriber in the mesh."""
        return self.heard + sum(node.total("heard") for node in self.nodes)

    @property
    def echoes(self) -> list[dict]:
        return [each for node in self.nodes for each in node.echoes]

    def lookups(self) -> tuple[int, int]:
        """(lookups that found their node, lookups that ended)."""
        ended = [find for node in self.nodes for find in node.finds]
        return sum(find["ok"] for find in ended), len(ended)

    @property
    def live_ids(self) -> set[str]:
        """Ids, in hex, of what runs now."""
        return {self.gateway.id.hex()} | {node.id for node in self.up}

    def watch(self) -> None:
        """Note who holds the 8 nearest running nodes (or all, where there are fewer) for live, by their own word."""
        live, now = self.live_ids, time.monotonic()
        known = {self.gateway.id.hex(): {peer.id.hex()[:8] for peer in self.gateway.node.peers()}}
        known |= {node.id: node.peers for node in self.up}
        self.knew_at |= {node_id: now for node_id, peers in known.items() if knows_nearest(node_id, peers, live)}

    def joined(self) -> int:
        """How many running nodes know their nearest."""
        since = time.monotonic() - JOINED_FOR_S
        return sum(self.knew_at.get(node_id, 0) >= since for node_id in self.live_ids)

    def said(self) -> dict[str, int]:
        """Readings by the node's name. Where one was cut off before its last word, what came out of the broker was said."""
        return {
            node.name: max(node.total("sent"), self.ear.counts[node.name] if node.was_cut_off else 0) for node in self.nodes
        }

    def lost(self) -> float:
        """The share of the readings that did not come out of the broker."""
        said = self.said()
        missing = sum(max(0, count - self.ear.counts[name]) for name, count in said.items())
        return missing / max(1, sum(said.values()))

    def troubles(self) -> list[str]:
        """A line for each part that ended though nobody ended it."""
        found = [f"node {node.name} ended: {node.trouble}" for node in self.nodes if node.trouble]
        if self.broker.trouble:
            found.append(f"the broker ({self.broker.kind}) ended: {self.broker.trouble}")
        http = self.gateway.operations.http
        if http is not None and not http.is_running:
            found.append("the gateway's HTTP server ended")
        if self.gateway.node.id is None:
            found.append("the gateway's node ended")
        return found

    async def finish(self) -> dict:
        """End the nodes in order, wait for what they have said to be heard, and return the JSON line: all its counts are of
        one moment. `loss` is that of readings on their way to MQTT. `messages_sent` are deliveries in the mesh that were to
        be expected: of each reading one at every other node that was up; a killed node counts for some time."""
        nodes, joined, troubles, up = len(self.nodes) + 1, self.joined(), self.troubles(), self.up
        await asyncio.gather(*(node.stop() for node in self.nodes))
        self._count(up)
        latest = time.monotonic() + HUSH_S
        while self.lost() and not troubles and time.monotonic() < latest:
            await asyncio.sleep(0.05)
        loss, received = self.lost(), self.ear.counts.total()
        return {
            "nodes": nodes,
            "micropython_nodes": len(self.nodes),
            "joined": joined,
            "lookups_ok": self.lookups()[0],
            "readings_sent": sum(self.said().values()),
            "mqtt_received": received,
            "loss": round(loss, 4),
            "messages_sent": self.expected,
            "messages_delivered": self.delivered,
            "mesh_loss": round(max(0.0, 1 - self.delivered / self.expected), 4) if self.expected else 0.0,
            "echoes_ok": sum(each["ok"] for each in self.echoes),
            "heap_max": max((node.heap_max for node in self.nodes), default=0),
            "emulated_picos": self.picos,
            "broker": self.broker.kind,
            "dashboard": self.dashboard,
            "seconds": round(time.monotonic() - self.started, 1),
            "ok": joined >= nodes and received > 0 and loss <= MOST_LOSS and not troubles,
        }

    def named(self, name: str) -> NodeProcess | None:
        """The node with this number or name, or whose id begins so."""
        for i, node in enumerate(self.nodes, 1):
            if name in (str(i), node.name) or (len(name) >= 4 and node.first_id.startswith(name)):
                return node
        return None

    async def obey(self, line: str) -> None:
        """Carry out `k N` (kill node N) or `r N` (start it again); N is a number, a name or the beginning of an id."""
        verb, _, name = line.strip().partition(" ")
        node = self.named(name.strip())
        if node is None or verb not in ("k", "r"):
            self.note = HELP
        elif verb == "k":
            await node.kill()
            self.note = f"{node.name} is killed: forgotten within 30 s"
        elif not node.is_up:
            await self.start_node(node)
            self.note = f"{node.name} starts again"


def what(name: str) -> str:
    """What the node of this name measures."""
    return ROOMS.get(name, "temperature")


async def echo(stream: Any) -> None:
    """The protocol /echo/1.0.0 of the gateway's node."""
    while data := await stream.read():
        await stream.write(data)


def choose_http_port(wanted: int | None, spare: int) -> int:
    """The port of the dashboard: the one that was asked for, else the usual one if it is free. Raises Trouble."""
    try:
        return free_ports(1, wanted or HTTP_PORT)[0]
    except Trouble:
        if wanted:
            raise Trouble(
                f"Port {wanted} of {HOST} is taken, by another gateway perhaps; choose another one for the dashboard with "
                "--http (make: HTTP=), or none for any that is free."
            ) from None
        return spare
