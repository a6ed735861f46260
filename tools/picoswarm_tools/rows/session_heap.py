"""The heap of a node with sessions: the whole of it, a session, the largest piece, and what each module costs.

Heap is `gc.mem_alloc()` on 32-bit MicroPython after two collections, without the program that measures. Native code lies
outside the heap in this build; where the library is not frozen, that of a Raspberry Pi (native.py) is added. Overlays are
let go of before: which of them a node happens to keep is chance, and is told beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

from .. import mpy, plans, runtimes
from ..bundle import in_order
from ..native import SESSIONS, native_bytes, native_bytes_of_overlay
from ..probe import Ended, frozen_micropython
from ..report import Row
from ..whole_node import Outcome, cases, observe
from .discovery_device import bare_interpreter

KB = 1024
UNIX = "32-bit unix build, after two collections, bare interpreter counted, real sockets, at rest"
GOALS_KB = {"full.mpy": 128, "full.frozen": 64, "leaf.mpy": 76, "leaf.frozen": 32}
GOAL_SESSION = 2.8 * KB
GOAL_PIECE = 2 * KB
SMALLEST_COMB, LARGEST_COMB, STEP = 896, 4096, 128  # bytes of the free pieces that are tried
# Loaded with sessions, or by using them.
OTHERS = ("addrbook", "pex", "pubsub", "rpc", "logstats", "topics", "streams", "failures")
COSTS = """
import gc, json
import asyncio.stream
from asyncio import Event, create_task, sleep_ms  # which fetch its parts
from collections import deque, namedtuple

import picoswarm

last = 0
for name in {names!r}:
    gc.collect()
    gc.collect()
    last = gc.mem_alloc()
    __import__("picoswarm." + name)
    gc.collect()
    gc.collect()
    print(json.dumps([name, gc.mem_alloc() - last]))
"""
OVERLAYS = """
import gc

import picoswarm

for name in {homes!r}:
    __import__("picoswarm." + name)
from picoswarm.compat import collect, overlay


def used():
    collect()  # those that came last are kept until then
    return gc.mem_alloc()


for n in range({count}):
    overlay(n)  # its names stay
    before = used()
    part = overlay(n)
    print(used() - before)
    part = None
"""


@cache
def at_rest(name: str, sessions: int | None = None, is_frozen: bool = False) -> Outcome:
    """The node of a case with its sessions open: `whole_node.observe`, once in a run."""
    return observe(cases()[name], sessions, is_frozen)


def around(name: str, is_frozen: bool) -> int:
    """Bytes beside those of an Outcome: of the interpreter, and native code where it is in the heap."""
    return bare_interpreter() + (0 if is_frozen else native_bytes(cases()[name].form))


def whole(name: str, is_frozen: bool) -> int:
    """Bytes of all that is allocated."""
    return around(name, is_frozen) + at_rest(name, None, is_frozen).heap


def largest_piece(name: str) -> int:
    """Bytes of the least free pieces with which a node that has started opens all its sessions, and is refused nothing: in
    steps, or by what was refused."""
    comb = SMALLEST_COMB
    while comb <= LARGEST_COMB:
        outcome = observe(cases()[name], comb=comb)
        if not (outcome.wanted or outcome.refused) and outcome.sessions == cases()[name].profile.links:
            return comb
        comb = max(comb + STEP, outcome.wanted)
    raise Ended(f"not all sessions opened with free pieces of {LARGEST_COMB} bytes")


def import_costs() -> dict[str, int]:
    """Bytes that importing each module of a whole node leaves on the heap, the modules it needs being there."""
    folder = mpy.compile_library("x86", 3, form=mpy.APART)
    texts = mpy.small_library("x86", 3, form=mpy.APART)[0]
    env = {"MICROPYPATH": f"{folder}:.frozen"}
    program = "import sys\nfor name in {!r}: __import__('picoswarm.' + name)\nprint(*sys.modules)"
    loaded = runtimes.run_micropython(["-c", program.format((*SESSIONS, *OTHERS))], 400, env).stdout.split()
    names = [name.partition(".")[2] for name in loaded if name.startswith("picoswarm.")]
    done = runtimes.run_micropython(["-c", COSTS.format(names=in_order(names, texts))], 400, env)
    if done.returncode:
        raise RuntimeError(done.stdout)
    return dict(json.loads(line) for line in done.stdout.splitlines())


def overlay_costs(form: str = "", is_frozen: bool = False) -> list[int]:
    """Bytes that each overlay of a form takes while it is loaded, in the order of their plan; native code is outside."""
    plan = mpy.FORMS[form][1]
    program = OVERLAYS.format(homes=list(dict(plan)), count=len(plan))
    path = ".frozen" if is_frozen else f"{mpy.compile_library('x86', mpy.BOARD_LEVEL, form)}:.frozen"
    binary = frozen_micropython(form) if is_frozen else None
    done = runtimes.run_micropython(["-c", program], 400, {"MICROPYPATH": path}, binary=binary)
    if done.returncode:
        raise RuntimeError(done.stdout)
    return list(map(int, done.stdout.split()))


def overlay_costs_of_leaf() -> list[int]:
    """The same of a leaf from .mpy files on a Raspberry Pi, where native code is in the heap."""
    return [cost + native_bytes_of_overlay(mpy.LEAF, n) for n, cost in enumerate(overlay_costs(mpy.LEAF))]


def measure() -> Iterator[Row]:
    yield Row(
        "heap.native",
        "native code of a node with sessions",
        native_bytes(mpy.WHOLE),
        "bytes",
        method="of the armv6m .mpy files that it loads, each function in whole blocks of 16 bytes",
    )
    for name, case in cases().items():
        for form in ("mpy", "frozen"):
            yield Row(
                f"heap.{name}.{form}",
                f"{case.what}, cryptography counted, at rest; {'frozen' if form == 'frozen' else 'from .mpy files'}",
                whole(name, form == "frozen"),
                "bytes",
                GOALS_KB[f"{name}.{form}"] * KB,
                method=f"{UNIX}; {at_rest(name, None, form == 'frozen').sessions} sessions seen open",
            )
    sessions = cases()["full"].profile.links
    yield Row(
        "heap.session",
        "each further idle session",
        (at_rest("full").heap - at_rest("full", 1).heap) / (sessions - 1),
        "bytes",
        GOAL_SESSION,
        method=f"{UNIX}; {sessions} sessions less 1, by {sessions - 1}",
    )
    yield Row(
        "heap.largest_piece",
        "free pieces with which all sessions open after the start: none that is taken is larger",
        largest_piece("full"),
        "bytes",
        GOAL_PIECE,
        method=f"32-bit unix build; the free heap is broken up, {SMALLEST_COMB} bytes at first, {STEP} more at a time",
    )
    yield Row(
        "heap.overlay",
        "the largest overlay while it is loaded, on top of the other figures",
        max(overlay_costs()),
        "bytes",
        method=f"32-bit unix build, .mpy -O3; {len(plans.FULL)} overlays, see docs/architecture.md",
    )
    kept, room, _ = mpy.LATEST[mpy.WHOLE]
    yield Row(
        "heap.kept",
        f"the {kept} largest overlays: so many stay while {room:,} bytes are free, on top of the other figures",
        sum(sorted(overlay_costs())[-kept:]),
        "bytes",
        method="32-bit unix build, .mpy -O3",
    )
    two = "the two largest overlays of a leaf, which keeps two even where memory is short, on top of the other figures"
    yield Row(
        "heap.leaf.overlays.mpy",
        f"{two}; from .mpy files",
        sum(sorted(overlay_costs_of_leaf())[-2:]),
        "bytes",
        method=f"32-bit unix build, .mpy -O3, native code added; {len(plans.LEAF)} overlays",
    )
    yield Row(
        "heap.leaf.overlays.frozen",
        f"{two}; frozen",
        sum(sorted(overlay_costs(mpy.LEAF_FROZEN, True))[-2:]),
        "bytes",
        method=f"32-bit unix build with the library frozen in; {len(plans.LEAF_FROZEN)} overlays",
    )
    for name, form in (("full", "mpy"), ("leaf", "mpy"), ("leaf", "frozen")):
        yield Row(
            f"heap.momentary.{name}.{form}",
            "of the overlays, what was loaded at the reading of the node, and is not in it",
            at_rest(name, None, form == "frozen").momentary,
            "bytes",
            method="32-bit unix build, native code outside the heap; chance decides",
        )
    costs = import_costs()
    unix = "32-bit unix build, .mpy -O3 without bundles, which save some; native code outside the heap"
    for name, cost in sorted(costs.items(), key=lambda item: -item[1]):
        yield Row(f"heap.import.{name}", f"importing {name}, what it needs being there", cost, "bytes", method=unix)
