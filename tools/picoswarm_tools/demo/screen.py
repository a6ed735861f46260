"""What `picoswarm demo` shows: a live table on a terminal, where `k 3` and `r 3` (and Enter) pull the plug of node 3 and
start it again; elsewhere a line every second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import time
import tty
from contextlib import ExitStack

from picoswarm import Profile
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..swarm import HOST, NodeProcess
from .mesh import HELP, Demo, what

SHOWN_EVERY_S = 0.5
FIND_EVERY_S = 2.0
WIDE = 100  # columns from which on the table has more air, and more columns of its own
HEADINGS = ("node", "id", "state", "peers", "table", "RTT", "links", "said", "heard", "MQTT", "newest", "heap")
FOR_WIDE = ("heard", "MQTT")
UNITS = {"temperature": "°C", "humidity": "%", "co2": "ppm", "power": "W"}


def introduce(demo: Demo, console: Console) -> None:
    """What there is, and where one can look at it."""
    lines = (
        f"a gateway, and {len(demo.nodes) - demo.picos} nodes on 32-bit MicroPython, each with the heap of {demo.board}: "
        f"{demo.heap_bytes:,} B",
        *([f"{demo.picos} emulated Picos with MicroPython's own RP2040 firmware"] if demo.picos else ()),
        f"dashboard  {demo.dashboard}  (token to send with: {demo.token})",
        f"MQTT       {demo.broker.kind}, {HOST}:{demo.broker.port}, topics {demo.topics}",
    )
    for text in lines:
        console.print(text, highlight=False, soft_wrap=True)


def table(demo: Demo, width: int) -> Group:
    """What a terminal of `width` columns shows."""
    heap = f"{demo.heap_bytes / 1024:.0f} KB"
    title = f"picoswarm: {demo.joined()} of {len(demo.nodes) + 1} nodes know their nearest; heaps of {heap}"
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 2 if width >= WIDE else 0, 0, 0), show_edge=False)
    shown = [name for name in HEADINGS if width >= WIDE or name not in FOR_WIDE]
    for name in shown:
        grid.add_column(name, justify="left" if name in ("node", "id", "state") else "right", no_wrap=True)
    for cells in (cells_of_gateway(demo), *(cells_of(demo, i, node) for i, node in enumerate(demo.nodes, 1))):
        grid.add_row(*(cells.get(name, "") for name in shown))
    found, ended = demo.lookups()
    facts = f"{time.monotonic() - demo.started:5.0f} s   lookups {found} of {ended} found   {demo.typed or demo.note}"
    return Group(title, grid, Text("\n".join([facts, channels(demo), *demo.troubles()])))


def cells_of_gateway(demo: Demo) -> dict[str, str]:
    """Its row, by heading."""
    hub = demo.gateway.node
    known = {"peers": str(len(hub.peers())), "table": str(hub.stats()["entries"])}
    heard = {"links": str(len(hub.sessions())), "heard": f"{demo.heard:,}", "MQTT": f"{demo.ear.counts.total():,}"}
    return {"node": "gateway", "id": demo.gateway.id.hex()[:8], "state": "CPython", **known, **heard}


def cells_of(demo: Demo, number: int, node: NodeProcess) -> dict[str, str]:
    """The row of a node, by heading: `peers` are its live neighbours, `table` says how full that is."""
    told = node.state
    state = "down" if not node.is_up else "up" if node.id else "new key" if node.boots == 1 else "starting"
    known = {
        "peers": str(len(told.get("peers", ()))),
        "table": f"{told.get('stats', {}).get('entries', 0)}/{Profile.records}",
        "RTT": f"{told['rtt_ms']} ms" if told.get("rtt_ms") else "",
        "links": str(told.get("sessions", 0)),
    }
    counts = {"said": node.total("sent"), "heard": node.total("heard"), "MQTT": demo.ear.counts[node.name]}
    return {
        "node": f"{number} {node.name}",
        "id": node.first_id[:8],
        "state": state,
        **(known if node.is_up else {}),
        **{name: f"{count:,}" for name, count in counts.items()},
        "newest": newest(demo, node.name),
        "heap": f"{told.get('heap', 0) / 1024:.0f} KB",
    }


def newest(demo: Demo, name: str) -> str:
    """The newest reading of a node that came out of the broker."""
    return f"{demo.ear.newest[name]} {UNITS[what(name)]}" if name in demo.ear.newest else ""


def channels(demo: Demo) -> str:
    """What goes over the sessions now, by channel."""
    published, delivered, asked = demo.rates()
    done = sorted(each["ms"] for each in demo.echoes if each["ok"])
    middle = f"{done[len(done) // 2]} ms" if done else "none yet"
    return (
        f"publish {published:.1f}/s, delivered {delivered:.1f}/s   requests {asked:.1f}/s   "
        f"stream echoes {len(done)} of {len(demo.echoes)}, {middle}"
    )


def line(demo: Demo) -> str:
    """What anything but a terminal shows, each second."""
    found, ended = demo.lookups()
    heap = max((node.state.get("heap", 0) for node in demo.up), default=0)
    last = demo.ear.last
    reading = f", {last} {newest(demo, last)}" if last else ""
    return (
        f"{time.monotonic() - demo.started:5.1f} s  up {len(demo.up)} of {len(demo.nodes)}  joined {demo.joined()} of "
        f"{len(demo.nodes) + 1}  in MQTT {demo.ear.counts.total()} readings{reading}  lookups {found} of {ended} found  "
        f"{channels(demo)}  heap {heap:,} B" + "".join(f"  {trouble}" for trouble in demo.troubles())
    )


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


async def show(demo: Demo, console: Console) -> None:
    """Let the mesh run, and show it, until it is to end, or no node is left that anybody could start again."""
    find_at = line_at = 0.0
    with ExitStack() as stack:
        keyboard = stack.enter_context(Keyboard(demo)) if console.is_terminal and sys.stdin.isatty() else None
        live = stack.enter_context(Live(console=console, auto_refresh=False)) if console.is_terminal else None
        demo.note = f"{HELP}; Ctrl-C ends" if keyboard else ""
        while (now := time.monotonic()) < demo.end_at and (keyboard or any(map(is_up, demo.nodes))):
            while keyboard and keyboard.lines:
                await demo.obey(keyboard.lines.pop(0))
            demo.watch()
            demo.converse()
            if now >= find_at:
                demo.look_up()
                if not demo.is_ending:
                    demo.echo()
                find_at = now + FIND_EVERY_S
            if live is not None:
                live.update(table(demo, console.width), refresh=True)
            elif now >= line_at:
                print(line(demo), flush=True)
                line_at = now + 1
            await asyncio.sleep(SHOWN_EVERY_S)
        demo.watch()
        demo.converse()


def is_up(node: NodeProcess) -> bool:
    return node.is_up
