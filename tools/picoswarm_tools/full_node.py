"""A MicroPython node with a full table, asked by all its neighbours and looking ids up, in a heap of a given size."""

from __future__ import annotations

import asyncio
import random
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from picoswarm.nodekey import Identity
from picoswarm.profile import Profile

from . import mpy
from .crowd import Crowd, table_full
from .native import native_bytes
from .probe import Ended, Probe

# The default profile has all the memory that a node takes. These let its time run faster: what the network may ask of it,
# and how often it asks itself.
HURRIED = {
    "own_keys": 1000,
    "own_key_ms": 1,
    "inbound_keys": 1000,
    "inbound_key_ms": 1,
    "inbound_key_ip_ms": 0,
    "proven_per_second": 1000,
    "stranger_per_second": 1000,
    "revalidate_s": 1,
    "beacon": 0,
}
LOOKUPS = 10
KB = 1024


@dataclass(frozen=True)
class Case:
    """One way to have the library: the heap in which a full node shall do with it, and that in which it does so far. The
    tests hold it to the latter, `picoswarm report` to the former."""

    what: str
    is_frozen: bool
    is_native_counted: bool
    goal_kb: int
    held_kb: int


# Native code lies outside the heap in the unix build, as on an ESP32; a Raspberry Pi has it inside.
SMALLEST = {
    "frozen": Case("the library frozen into the firmware", True, False, 48, 44),
    "mpy": Case("the library from .mpy files in the form of discovery, native code outside the heap", False, False, 64, 64),
    "native": Case("the library from .mpy files in the form of discovery, native code counted", False, True, 80, 80),
}


@dataclass
class Outcome:
    """Of one node. `trouble` is empty when it kept its table and answered everything without a full heap; otherwise it
    says what went wrong."""

    trouble: str = ""
    answered: int = 0  # datagrams of members that the node answered
    lookups: int = 0
    heap: dict[str, int] = field(default_factory=dict)  # used and free, after two collections, at the end
    stats: dict[str, int] = field(default_factory=dict)


@cache
def _keys() -> tuple[Identity, list[Identity]]:
    return table_full(Profile.k, Profile.spares, Profile.replacements_per_bucket)


async def _look_up(node: Probe, crowd: Crowd, outcome: Outcome) -> None:
    """One lookup after another: a member's id and a random one in turn."""
    rng = random.Random(2)
    while True:
        target = rng.choice(crowd.members).id if outcome.lookups % 2 else rng.randbytes(32)
        found = (await node.ask(f"find {target.hex()}"))["found"]
        if not found:
            outcome.trouble = outcome.trouble or "a lookup found nobody"
        outcome.lookups += 1
        await asyncio.sleep(0.1)


async def _serve(folder: Path, heap_bytes: int, is_frozen: bool, datagrams: int) -> Outcome:
    outcome = Outcome()
    own, keys = _keys()
    try:
        form = mpy.IN_FIRMWARE[mpy.DISCOVERY] if is_frozen else mpy.DISCOVERY
        async with Probe(folder, heap_bytes, 3, HURRIED, "small_node", is_frozen, own, form) as node:
            with Crowd(node.membership, keys, own.id, node.port) as crowd:
                looking = None
                try:
                    await crowd.fill()
                    live = (await node.ask("stats"))["stats"]["live"]
                    if live < Profile.records:
                        return Outcome(f"{live} of {Profile.records} entries are live")
                    looking = asyncio.create_task(_look_up(node, crowd, outcome))
                    await crowd.load(datagrams)
                    while outcome.lookups < LOOKUPS and not looking.done():
                        await asyncio.sleep(0.1)
                    looking.cancel()
                    await asyncio.wait([looking])
                    if not looking.cancelled():
                        looking.result()
                except TimeoutError:
                    outcome.trouble = f"the node fell silent after {crowd.answered} answers"
                    if looking is not None:  # two cannot wait for what the node says next
                        looking.cancel()
                        await asyncio.wait([looking])
                outcome.answered = crowd.answered
                # An answer to the lookup that was cancelled may come before that to this.
                said = await node.ask("stats")
                if "stats" not in said:
                    said = await node.ask("stats")
                outcome.stats, outcome.heap = said["stats"], said["heap"]
                for name in ("out_of_memory", "faults"):
                    if outcome.stats[name]:
                        outcome.trouble = f"{name} = {outcome.stats[name]} ({said['fault']})"
    except Ended as ended:
        # It may have said why to the lookup, and nothing more to the question after that.
        outcome.trouble = str(ended).strip() or outcome.trouble or "the node ended"
    except TimeoutError:
        outcome.trouble = "the node does not say how it is: its program waits for a lookup"
    return outcome


async def _count_loads(folder: Path, heap_bytes: int, datagrams: int) -> tuple[float, float]:
    own, keys = _keys()
    numbers = {"links": 0, **HURRIED, "revalidate_s": Profile.revalidate_s}
    async with Probe(folder, heap_bytes, 3, numbers, "loads_node", False, own, mpy.DISCOVERY) as node:
        with Crowd(node.membership, keys, own.id, node.port) as crowd:
            await crowd.fill()
            await node.ask("stats")
            answered = crowd.answered
            await crowd.load(datagrams)
            per_question = (await node.ask("stats"))["loads"] / (crowd.answered - answered)
            rng = random.Random(2)
            loads = [(await node.ask(f"find {rng.randbytes(32).hex()}"))["loads"] for _ in range(LOOKUPS)]
            return per_question, sum(loads) / LOOKUPS


def loads(heap_bytes: int, datagrams: int) -> tuple[float, float]:
    """So many overlays a discovery node with a full table loads from files: (for one of `datagrams` questions of its
    members, half of them PINGs; for a lookup of a random id)."""
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        return asyncio.run(_count_loads(Path(folder), heap_bytes, datagrams))


def serve(heap_bytes: int, is_frozen: bool, datagrams: int) -> Outcome:
    """Let a node with a heap of `heap_bytes` fill its table with proven members, answer `datagrams` of them, and look ids up
    meanwhile. `is_frozen`: the library is in the firmware, otherwise it is imported from .mpy files; native code lies
    outside the heap in both."""
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        return asyncio.run(_serve(Path(folder), heap_bytes, is_frozen, datagrams))


def heap_for(case: Case, kb: int) -> int:
    """Bytes of the unix build's heap that stand for `kb` KB on a board."""
    return kb * KB - (native_bytes(mpy.DISCOVERY) if case.is_native_counted else 0)


def smallest(is_frozen: bool, datagrams: int, low_kb: int = 24, high_kb: int = 256) -> int:
    """The least heap in whole KB, above `low_kb`, in which a full node answers `datagrams`, by bisection. Raises
    RuntimeError where `high_kb` is not enough."""
    outcome = serve(high_kb * KB, is_frozen, datagrams)
    if outcome.trouble:
        raise RuntimeError(f"a full node fails even with {high_kb} KB: {outcome.trouble}")
    while high_kb - low_kb > 1:
        middle = (low_kb + high_kb) // 2
        if serve(middle * KB, is_frozen, datagrams).trouble:
            low_kb = middle
        else:
            high_kb = middle
    return high_kb
