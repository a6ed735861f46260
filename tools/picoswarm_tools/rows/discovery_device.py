"""Rows of a discovery node on 32-bit MicroPython: its heap, what a datagram makes it allocate, and whether it leaks.

The library is precompiled with -O3, as a board has it. Native code lies outside the heap in this build; a Raspberry Pi has
it inside. So the native bytes (native.py) are added where a row says that they are counted.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from .. import mpy, runtimes
from ..native import native_bytes
from ..probe import Probe
from ..report import Row

KB = 1024
LEVEL = 3
HEAP = 400_000  # more than any board has: a goal that is missed shall still give a figure
NEIGHBOURS = 8
JOIN_S = 12
WINDOW_S = 10
READINGS = 4
SOAK_HOURS = 24


def certain_growth(values: list[float]) -> float:
    """The slope of the straight line through `values`, one step apart, as far as it is certain: less three standard errors,
    and 0 where that leaves none. What single requests remember moves a reading by some ten bytes either way."""
    n = len(values)
    middle, mean = (n - 1) / 2, sum(values) / n
    spread = sum((i - middle) ** 2 for i in range(n))
    slope = sum((i - middle) * (value - mean) for i, value in enumerate(values)) / spread
    rest = sum((value - mean - slope * (i - middle)) ** 2 for i, value in enumerate(values))
    return max(0.0, slope - 3 * (rest / (n - 2) / spread) ** 0.5)


def soak(hours: int = SOAK_HOURS) -> tuple[list[int], int]:
    """(bytes that the heap of unix/soak.py holds after each hour from the third on, datagrams that were received)."""
    folder = mpy.library_folder("x86", LEVEL).with_name("soak")
    mpy.compile_beside([runtimes.ROOT / "tools" / "picoswarm_tools" / "unix" / "soak.py"], folder, "x86", LEVEL, mpy.PARTS)
    env = {"MICROPYPATH": f"{mpy.compile_library('x86', LEVEL, mpy.PARTS)}:{folder}:.frozen"}
    done = runtimes.run_micropython(["-m", "soak", str(hours)], 600, env, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stdout)
    *readings, end = [json.loads(line) for line in done.stdout.splitlines()]
    if end["faults"]:
        raise RuntimeError(end["fault"])
    # After two hours: then every node holds its second token secret, as it does for good.
    return [reading["heap"] for reading in readings[2:]], end["datagrams"]


def bare_interpreter() -> int:
    """Bytes that MicroPython itself holds."""
    done = runtimes.run_micropython(["-c", "import gc; gc.collect(); print(gc.mem_alloc())"], 400)
    return int(done.stdout)


async def _at_rest(node: Probe) -> int:
    """Bytes of the library and the node in a moment without a lookup: the least of readings a second apart, since while
    one runs, its code is loaded."""
    heaps = []
    for _ in range(READINGS):
        await asyncio.sleep(1)
        heaps.append((await node.ask("heap"))["heap"])
    return min(heaps)


async def _observe(folder: Path) -> dict[str, float]:
    async with Probe(folder, HEAP, LEVEL, form=mpy.DISCOVERY) as node, AsyncExitStack() as stack:
        members = await node.surround(stack, NEIGHBOURS)
        await asyncio.sleep(JOIN_S)
        await node.ask(f"find {members[0].id.hex()}")
        state = await node.ask("heap")
        assert state["stats"]["live"] == NEIGHBOURS and not state["stats"]["faults"], state
        # What the first question left behind, and a lookup after it, would show in the later readings.
        readings = [await _at_rest(node)]
        await node.ask(f"find {members[0].id.hex()}")
        readings.append(await _at_rest(node))
        window = await node.ask(f"window {WINDOW_S}")
        return {
            "imported": node.born["imported"],
            "idle": max(readings),
            "per_datagram": window["window"] / window["received"],
            "kept": window["kept"] / window["received"],
            "received": window["received"],
        }


def measure() -> Iterator[Row]:
    native = native_bytes(mpy.DISCOVERY)
    yield Row(
        "discovery.heap.native",
        "native code of a discovery node",
        native,
        "bytes",
        method="of the armv6m .mpy files that it loads, each function in whole blocks of 16 bytes",
    )
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        seen = asyncio.run(_observe(Path(folder)))
    unix = "32-bit unix build, .mpy -O3, after two collections"
    yield Row(
        "discovery.heap.import_mpy",
        "importing picoswarm.node, native code counted",
        seen["imported"] + native,
        "bytes",
        56 * KB,
        method=unix,
    )
    yield Row(
        "discovery.heap.idle",
        "all that is allocated with a joined node at rest, native code counted",
        bare_interpreter() + seen["idle"] + native,
        "bytes",
        72 * KB,
        method=f"{unix}, default profile, {NEIGHBOURS} neighbours; after a lookup, and after another",
    )
    yield Row(
        "discovery.alloc_per_datagram",
        "allocated per received datagram, answers, own requests and the driver included",
        seen["per_datagram"],
        "bytes",
        1.5 * KB,
        method=f"collector off for {WINDOW_S} s, {seen['received']} datagrams of {NEIGHBOURS} busy neighbours",
    )
    yield Row(
        "discovery.alloc_per_datagram.kept",
        "of that, still held after two collections, by requests under way",
        round(max(0.0, seen["kept"]), 2),
        "bytes",
        method="the same window; whether it adds up over a day is discovery.heap.slope_24h",
    )
    heaps, datagrams = soak()
    yield Row(
        "discovery.heap.slope_24h",
        "growth of the heap over a day of traffic and churn",
        certain_growth(heaps),
        "bytes/hour",
        0,
        method=f"5 nodes, asyncio in virtual time, 5 % loss, a reboot an hour, {datagrams} datagrams; less 3 s.e.",
    )
