"""What `picoswarm report` and the tests want to know of a node on an emulated Pico, seen once."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from picoswarm import Node, Profile
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_gateway.config import Config, HttpTable, MeshTable
from picoswarm_gateway.gateway import Gateway

from .. import mpy
from ..boards import numbers_of
from ..keyfolder import new_network_key, save
from ..swarm import free_ports
from ..whole_node import Case, Deaf
from .clock import PicoTime
from .hub import text
from .pico import HOST
from .probe import BOARD, PROGRAMS, EmulatedNode, compiled, emulated_node

SESSIONS, CHANNELS = 3, 8
SETTLE_S = 12.0  # what was published is kept for 10 s
TRIES = 20  # of a request that opens a session: another may be under way
HANDSHAKES = 12  # some meet a lookup, some a collection of garbage
Log = Callable[[str], object]


def tell(line: str) -> None:
    """A `log` for whoever waits at a terminal."""
    print(f"  {line}", file=sys.stderr, flush=True)


def _hush(_line: str) -> None:
    pass


@dataclass
class Outcome:
    """Free bytes of the heap and milliseconds of the Pico's clock, by what they are of."""

    free: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    stats: dict[str, int] = field(default_factory=dict)
    handshakes: list[int] = field(default_factory=list)
    hold_ms: int = 0
    collect_ms: int = 0
    wake_seconds: float = 0.0  # virtual, from power to the first session


def numbers() -> dict[str, int]:
    return numbers_of(BOARD)


def own_channels() -> int:
    """Those of the user, beside the services' own."""
    return Case("", numbers(), CHANNELS).own_channels


def _never_dial(stage: str, _id: bytes | None, _ip: str) -> bool:
    return stage != "dial"


@asynccontextmanager
async def members(membership: Membership, folder: Path, count: int) -> AsyncIterator[list[Node]]:
    """CPython nodes that know each other and take sessions: they open none themselves, so that a handshake has one cause."""
    async with AsyncExitStack() as stack:
        made: list[Node] = []
        for i, port in enumerate(free_ports(count)):
            known = [f"{HOST}:{node._driver.port}" for node in made[:1]]
            profile = Profile(links=8, outbound=1, inbound=7, bootstrap=1)  # else nobody new is answered
            node = Node(str(folder / f"member{i}"), membership, profile, HOST, port, known, allow=_never_dial)
            node.register(Deaf(own_channels()))
            await stack.enter_async_context(node)
            node.handle("probe", lambda _caller, payload: payload)
            made.append(node)
        yield made


async def fill(emu: EmulatedNode, nodes: list[Node], log: Log = _hush) -> int:
    """Open a session to each node. Returns how many are open."""
    for _ in range(TRIES):
        for node in nodes:
            await emu.ask(f"meet {node.id.hex()}")
        seen = await emu.ask("heap")
        log(f"sessions: {seen['sessions']} of {len(nodes)}, {seen['free']:,} bytes free")
        if seen["sessions"] >= len(nodes):
            break
    return seen["sessions"]


async def heap(is_frozen: bool, clock: PicoTime | None = None, log: Log = _hush) -> Outcome:
    """The heap of a node with all its sessions, from its boot on."""
    membership = Membership(new_network_key())
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        async with (
            members(membership, Path(folder), SESSIONS) as nodes,
            emulated_node(membership, is_frozen=is_frozen, clock=clock) as emu,
        ):
            await emu.start([f"{HOST}:{nodes[0]._driver.port}"], numbers(), own_channels(), False, log)
            await fill(emu, nodes, log)
            await asyncio.sleep(SETTLE_S)
            seen = await emu.ask("heap")
            for _ in range(3):  # in the most of them nobody was at the door and no lookup ran
                await asyncio.sleep(1)
                seen = max(seen, await emu.ask("heap"), key=lambda one: one["free"])
            return Outcome({**emu.free, "full": seen["free"]}, emu.times, seen["sessions"], seen["stats"])


async def times(clock: PicoTime | None = None, log: Log = _hush, is_leaf: bool = False) -> Outcome:
    """How long its handshakes take, and for how long it holds up its other tasks meanwhile. `is_leaf`: of a leaf, with its
    library on its file system."""
    form = mpy.LEAF if is_leaf else mpy.WHOLE
    membership = Membership(new_network_key())
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        async with (
            members(membership, Path(folder), 1) as nodes,
            emulated_node(membership, is_frozen=not is_leaf, clock=clock, form=form) as emu,
        ):
            await emu.start([f"{HOST}:{nodes[0]._driver.port}"], numbers_of(form or BOARD), 0, True, log)
            for i in range(HANDSHAKES):
                log(f"handshake {i + 1} of {HANDSHAKES}")
                await emu.ask(f"leave {nodes[0].id.hex()}")
                for _ in range(TRIES):
                    if (await emu.ask(f"meet {nodes[0].id.hex()}"))["answered"]:
                        break
            held = await emu.ask("hold")
            return Outcome(emu.free, emu.times, **held)


def median_handshake(outcome: Outcome) -> float:
    """Of those that the node alone dialed for. Raises RuntimeError where that were less than half."""
    if 2 * len(outcome.handshakes) < HANDSHAKES:
        raise RuntimeError(f"of {HANDSHAKES} handshakes only {len(outcome.handshakes)} can be told from those of the peer")
    return statistics.median(outcome.handshakes)


async def load_times(clock: PicoTime | None = None) -> list[float]:
    """Milliseconds for each overlay that a discovery node loads from its file system."""
    _, plan = mpy.FORMS[mpy.DISCOVERY]
    async with emulated_node(Membership(new_network_key()), is_frozen=False, clock=clock, form=mpy.DISCOVERY) as emu:
        await emu.repl.put("/lib/emu_loads.mpy", compiled(PROGRAMS / "emu_loads.py"))
        homes = sorted({home for home, _ in plan})
        await emu.repl.begin(f"import emu_loads\nemu_loads.run({homes!r}, {len(plan)})")
        return [took / 1000 for took in (await emu.repl.facts(600))["took_us"]]


@asynccontextmanager
async def gateway(membership: Membership, folder: Path) -> AsyncIterator[Gateway]:
    """A gateway of this mesh, with its mailboxes, without HTTP."""
    save(Store(str(folder / "gateway")), membership)
    table = MeshTable(folder=str(folder / "gateway"), name="gateway", host=HOST, port=free_ports(1)[0])
    async with Gateway(Config(mesh=table, http=HttpTable(enabled=False))) as made:
        yield made


async def sleep_cycles(count: int, clock: PicoTime | None = None, log: Log = _hush, is_leaf: bool = False) -> list[dict]:
    """What a board that sleeps tells of each of so many cycles. `is_leaf`: see `times`."""
    form = mpy.LEAF if is_leaf else mpy.WHOLE
    membership = Membership(new_network_key())
    seen = []
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        async with (
            gateway(membership, Path(folder)) as hub,
            emulated_node(membership, is_frozen=not is_leaf, clock=clock, form=form) as emu,
        ):
            await emu.repl.put("/lib/emu_sleep.mpy", compiled(PROGRAMS / "emu_sleep.py"))
            call = f"import emu_sleep\nemu_sleep.run({numbers_of(form or BOARD)!r}, ['{HOST}:{hub.config.mesh.port}'])"
            await emu.repl.put("/main.py", call.encode())
            for _ in range(count):
                emu.pico.power_off()
                await emu.pico.was_cut()
                emu.pico.power_on()
                seen.append(await emu.repl.facts(600))
                log(f"cycle {len(seen)} of {count}: {seen[-1]}")
    return seen


__all__ = ["Outcome", "fill", "gateway", "heap", "members", "sleep_cycles", "tell", "text", "times"]
