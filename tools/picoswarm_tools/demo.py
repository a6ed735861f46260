"""`picoswarm demo`: a mesh on this machine, seen live: a CPython bootstrap node and real MicroPython nodes on 127.0.0.1.

Everything shown, and the JSON line at the end, comes from the nodes' own statistics. On a terminal it is a table, and
`k 3` and `r 3` (and Enter) pull the plug of node 3 and start it again; its id serves as well as its number. Elsewhere it is
a line every second.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import termios
import time
import tty
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import rich_click as click
from picoswarm import Node, Profile
from picoswarm.errors import PicoswarmError
from picoswarm_gateway.profile import gateway_profile
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import mpy, runtimes
from .provision import Membership, new_network_key, save
from .swarm import HOST, NodeProcess, Store, Trouble, board_heap, free_ports, knows_nearest

# The demo profile: a dead node is noticed in seconds instead of minutes.
FAST = {"revalidate_s": 1, "refresh_min_s": 8, "refresh_max_s": 15, "bootstrap_ping_s": 5}
SHOWN_EVERY_S = 0.5
FIND_EVERY_S = 2.0
TALK_MS = 500  # between two messages of a node
RATE_S = 5.0
HUSH_S = 3.0  # before the end nobody speaks any more, so that what was said is heard
WIDE = 100  # columns from which on the table has more air
HELP = "k 3 kills node 3, r 3 starts it again"
JOINED_FOR_S = 5.0  # one lost ping hides a neighbour for a second or two: that does not undo a join


class Demo:
    """The bootstrap node and the node processes of one run."""

    def __init__(self, count: int, board: str, first_port: int | None, folder: Path) -> None:
        self.board = board
        self.heap_bytes = board_heap(board)
        self.ports = free_ports(count + 1, first_port)
        self.started = time.monotonic()
        self.knew_at: dict[str, float] = {}  # id -> when the node last knew its nearest
        self.note = ""
        self.typed = ""  # what the user has typed so far
        membership = Membership(new_network_key())
        store = Store(str(folder / "bootstrap"))
        save(store, membership)
        self.profile = gateway_profile(**FAST)
        self.bootstrap = Node(store, profile=self.profile, host=HOST, port=self.ports[0])
        self.expected = 0  # deliveries: for each message, one at every other node that was up
        self.sent = 0  # messages published by all
        self.heard = 0  # by the bootstrap node
        self._seen_sent: dict[str, int] = {}
        self._tasks: list[asyncio.Task] = []
        self._marks: list[tuple[float, int, int, int]] = []
        self._talking: set[str] = set()  # nodes, by process, that were told to talk
        self.nodes = [
            NodeProcess(str(i), folder / f"node{i}", self.ports[i], membership, self.heap_bytes) for i in range(1, count + 1)
        ]

    async def start(self) -> None:
        await self.bootstrap.start()
        self.bootstrap.handle("/echo/1.0.0", echo)
        self.bootstrap.handle("heap", lambda _caller, _payload: b"0")
        self._tasks = [asyncio.create_task(self._hear())]
        await asyncio.gather(*(self.start_node(node) for node in self.nodes))

    async def start_node(self, node: NodeProcess) -> None:
        await node.start(f"{HOST}:{self.ports[0]}", FAST)

    async def _hear(self) -> None:
        async for _message in self.bootstrap.subscribe("demo/#"):
            self.heard += 1

    def converse(self, is_ending: bool) -> None:
        """Let nodes that have sessions talk, and send bytes through a stream now and then; count what is to be heard."""
        up = [node for node in self.nodes if node.is_up and node.id]
        for node in up:
            key = f"{node.name}/{node.boots}"
            if is_ending and key in self._talking:
                node.talk(0)
            elif not is_ending and key not in self._talking and node.state.get("sessions") and self.joined() > len(up):
                self._talking.add(key)
                node.talk(TALK_MS)
            new = node.state.get("sent", 0) - self._seen_sent.get(key, 0)
            self._seen_sent[key] = node.state.get("sent", 0)
            self.sent += new
            self.expected += new * len(up)  # the others, and the bootstrap node

    def rates(self) -> tuple[float, float, float]:
        """Messages published, messages delivered and requests answered, each a second, over the last few seconds."""
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
        up = [node for node in self.nodes if node.is_up and node.id]
        if len(up) > 1:
            asker, peer = random.sample(up, 2)
            asker.echo(peer.id)

    @property
    def delivered(self) -> int:
        """Messages that a subscriber got."""
        return self.heard + sum(node.total("heard") for node in self.nodes)

    @property
    def echoes(self) -> list[dict]:
        return [each for node in self.nodes for each in node.echoes]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(node.stop() for node in self.nodes))
        await self.bootstrap.close()

    @property
    def live_ids(self) -> set[str]:
        """Ids, in hex, of what runs now."""
        return {self.bootstrap.id.hex()} | {node.id for node in self.nodes if node.is_up and node.id}

    def watch(self) -> None:
        """Note who holds the 8 nearest running nodes (or all, where there are fewer) for live, by their own word."""
        live, now = self.live_ids, time.monotonic()
        known = {self.bootstrap.id.hex(): {peer.id.hex()[:8] for peer in self.bootstrap.peers()}}
        known |= {node.id: node.peers for node in self.nodes if node.is_up and node.id}
        self.knew_at |= {node_id: now for node_id, peers in known.items() if knows_nearest(node_id, peers, live)}

    def joined(self) -> int:
        """How many running nodes know their nearest."""
        since = time.monotonic() - JOINED_FOR_S
        return sum(self.knew_at.get(node_id, 0) >= since for node_id in self.live_ids)

    def look_up(self) -> None:
        """Let a random node look another one up."""
        up = [node for node in self.nodes if node.is_up and node.id]
        if len(up) > 1:
            asker, wanted = random.sample(up, 2)
            asker.find(wanted.id)

    def lookups(self) -> tuple[int, int]:
        """(lookups that found their node, lookups that ended)."""
        ended = [find for node in self.nodes for find in node.finds]
        return sum(find["ok"] for find in ended), len(ended)

    def summary(self) -> dict:
        """The JSON line. `loss` is the share of the deliveries that were to be expected and did not come."""
        nodes, joined = len(self.nodes) + 1, self.joined()
        return {
            "nodes": nodes,
            "micropython_nodes": len(self.nodes),
            "joined": joined,
            "lookups_ok": self.lookups()[0],
            "messages_sent": self.sent,
            "messages_delivered": self.delivered,
            "loss": round(max(0.0, 1 - self.delivered / self.expected), 4) if self.expected else 0,
            "echoes_ok": sum(each["ok"] for each in self.echoes),
            "heap_max": max((node.heap_max for node in self.nodes), default=0),
            "seconds": round(time.monotonic() - self.started, 1),
            "ok": joined >= nodes,
        }

    def named(self, name: str) -> NodeProcess | None:
        """The node with this number, or whose id begins so."""
        for node in self.nodes:
            if name == node.name or (len(name) >= 4 and node.first_id.startswith(name)):
                return node
        return None

    async def obey(self, line: str) -> None:
        """Carry out `k N` (kill node N) or `r N` (start it again); N is a number or the beginning of an id."""
        verb, _, name = line.strip().partition(" ")
        node = self.named(name.strip())
        if node is None or verb not in ("k", "r"):
            self.note = HELP
        elif verb == "k":
            await node.kill()
            self.note = f"node {node.name} is killed: forgotten within 30 s"
        elif not node.is_up:
            await self.start_node(node)
            self.note = f"node {node.name} starts again"


def table(demo: Demo, width: int) -> Group:
    """What a terminal of `width` columns shows."""
    heap = f"{demo.heap_bytes / 1024:.0f} KB"
    title = f"picoswarm: {demo.joined()} of {len(demo.nodes) + 1} nodes know their nearest; heaps of {heap}"
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 2 if width >= WIDE else 1, 0, 0), show_edge=False)
    for heading in ("node", "id", "state", "peers", "table", "links", "said", "heard", "asked", "heap"):
        grid.add_column(heading, justify="left" if heading in ("node", "id", "state") else "right", no_wrap=True)
    hub = demo.bootstrap
    fill = f"{hub.stats()['entries']}/{demo.profile.records}"
    links = str(len(hub.sessions()))
    grid.add_row("CPython", hub.id.hex()[:8], "bootstrap", str(len(hub.peers())), fill, links, "", f"{demo.heard:,}", "", "")
    for node in demo.nodes:
        state = "down" if not node.is_up else "up" if node.id else "new key" if node.boots == 1 else "starting"
        told = node.state
        seen = [f"{node.stat('entries')}/{Profile.records}", str(told.get("sessions", 0))]
        seen += [f"{told.get(name, 0):,}" for name in ("sent", "heard", "answered")]
        peers, heap = str(len(node.peers)), f"{told.get('heap', 0) / 1024:.1f} KB"
        grid.add_row(node.name, node.first_id[:8], state, peers if node.is_up else "", *seen, heap)
    found, ended = demo.lookups()
    facts = f"{time.monotonic() - demo.started:5.0f} s   lookups {found} of {ended} found   {demo.typed or demo.note}"
    return Group(title, grid, Text("\n".join([facts, channels(demo), *troubles(demo)])))


def channels(demo: Demo) -> str:
    """What goes over the sessions now, by channel."""
    published, delivered, asked = demo.rates()
    done = sorted(each["ms"] for each in demo.echoes if each["ok"])
    middle = f"{done[len(done) // 2]} ms" if done else "none yet"
    return (
        f"publish {published:.1f}/s, delivered {delivered:.1f}/s   requests {asked:.1f}/s   "
        f"stream echoes {len(done)} of {len(demo.echoes)}, {middle}"
    )


def troubles(demo: Demo) -> list[str]:
    """A line for each node that ended though nobody ended it."""
    return [f"node {node.name} ended: {node.trouble}" for node in demo.nodes if node.trouble]


def line(demo: Demo) -> str:
    """What anything but a terminal shows, each second."""
    up = [node for node in demo.nodes if node.is_up and node.id]
    peers = [len(node.peers) for node in up] or [0]
    found, ended = demo.lookups()
    heap = max((node.state.get("heap", 0) for node in up), default=0)
    return (
        f"{time.monotonic() - demo.started:5.1f} s  up {len(up)} of {len(demo.nodes)}  joined {demo.joined()} of "
        f"{len(demo.nodes) + 1}  peers {min(peers)}-{max(peers)}  lookups {found} of {ended} found  {channels(demo)}  "
        f"heap {heap:,} B" + "".join(f"  {trouble}" for trouble in troubles(demo))
    )


async def echo(stream: Any) -> None:
    """The protocol /echo/1.0.0 of the bootstrap node."""
    while data := await stream.read():
        await stream.write(data)


class Keyboard:
    """`with Keyboard(demo)`: what is typed goes to `demo.typed` instead of over the table, whole lines to `lines`."""

    def __init__(self, demo: Demo) -> None:
        self.lines: list[str] = []
        self._demo = demo
        self._mode = termios.tcgetattr(sys.stdin)

    def __enter__(self) -> Keyboard:
        tty.setcbreak(sys.stdin)  # no echo, key by key; Ctrl-C stays what it is
        asyncio.get_running_loop().add_reader(sys.stdin, self._read)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._mode)

    def _read(self) -> None:
        for key in os.read(sys.stdin.fileno(), 64).decode(errors="replace"):
            if key in "\r\n":
                self.lines.append(self._demo.typed)
                self._demo.typed = ""
            elif key in "\b\x7f":
                self._demo.typed = self._demo.typed[:-1]
            elif key.isprintable():
                self._demo.typed += key


async def show(demo: Demo, seconds: float, console: Console) -> None:
    """Let the mesh run, and show it, until the time is over."""
    end = time.monotonic() + seconds
    find_at = line_at = 0.0
    with ExitStack() as stack:
        keyboard = stack.enter_context(Keyboard(demo)) if console.is_terminal and sys.stdin.isatty() else None
        live = stack.enter_context(Live(console=console, auto_refresh=False)) if console.is_terminal else None
        demo.note = HELP if keyboard else ""
        while (now := time.monotonic()) < end and any(node.is_up for node in demo.nodes):
            while keyboard and keyboard.lines:
                await demo.obey(keyboard.lines.pop(0))
            demo.watch()
            demo.converse(now >= end - HUSH_S)
            if now >= find_at:
                demo.look_up()
                if now < end - HUSH_S:
                    demo.echo()
                find_at = now + FIND_EVERY_S
            if live is not None:
                live.update(table(demo, console.width), refresh=True)
            elif now >= line_at:
                print(line(demo), flush=True)
                line_at = now + 1
            await asyncio.sleep(SHOWN_EVERY_S)


async def run(count: int, seconds: float, board: str, first_port: int | None, folder: Path, console: Console) -> dict:
    """One demo, from the first node to the summary; every process that it started has ended when this returns."""
    say(console, "precompiling the library for the nodes")
    mpy.compile_library("x86")
    demo = Demo(count, board, first_port, folder)
    say(console, f"starting a bootstrap node on CPython, and {count} nodes on 32-bit MicroPython:")
    say(console, f"each has the heap of {board}, {demo.heap_bytes:,} B, and makes its own key at its first boot")
    try:
        await demo.start()
        with suppress(asyncio.CancelledError):  # Ctrl-C: end in order, and still tell what was seen
            await show(demo, seconds, console)
        for trouble in troubles(demo):
            console.print(trouble, style="red", highlight=False)
        return demo.summary()
    finally:
        await demo.stop()


def say(console: Console, text: str) -> None:
    console.print(f"[dim]{text}[/dim]", highlight=False)


@click.command()
@click.option("--nodes", default=8, show_default=True, type=click.IntRange(1, 64), help="MicroPython nodes.")
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(1), help="How long the mesh runs.")
@click.option("--board", default="RPI_PICO_W", show_default=True, help="Whose heap the nodes have: a folder of boards/.")
@click.option("--port", type=click.IntRange(1025, 65535 - 65), help="First UDP port; by default any that are free.")
def demo(nodes: int, seconds: float, board: str, port: int | None) -> None:
    """Run a mesh of real MicroPython nodes on this machine and watch it find itself.

    Ends with one line of JSON. Exit status: 0 every node joined, 1 not, or it could not be started.
    """
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="picoswarm-demo-"))
    try:
        summary = asyncio.run(run(nodes, seconds, board, port, folder, console))
    except (Trouble, runtimes.Missing, mpy.CompileError, PicoswarmError) as trouble:
        raise click.ClickException(str(trouble)) from None
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(summary), flush=True)
    sys.exit(0 if summary["ok"] else 1)
