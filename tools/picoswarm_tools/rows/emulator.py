"""How long a node on the emulated Pico takes: real firmware, real lwIP; times are those of its own clock."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from ..emulator import clock, observe
from ..report import Row

HOW = "emulated Pico, 125 MHz, MicroPython 1.26.1 with lwIP and PPP"
CYCLES = 6
LEAF_CYCLES = 4  # each takes a processor half a minute


def _counted(timed: observe.Outcome) -> str:
    """Of how many handshakes a median is, and why not of all."""
    return f"median of {len(timed.handshakes)} handshakes of {observe.HANDSHAKES}: those for which the peer did not dial too"


def measure() -> Iterator[Row]:
    timed = clock.run(lambda time: observe.times(time, observe.tell))
    took, method = observe.median_handshake(timed), f"{HOW}; {_counted(timed)}"
    yield Row("emu.handshake_ms", "from dialing to a proven peer", took, "ms", 600, method=method)
    method = f"{HOW}; in all of {observe.HANDSHAKES}"
    yield Row("emu.loop_hold_ms", "longest wait of another task meanwhile", timed.hold_ms, "ms", 20, method=method)
    yield Row("emu.collect_ms", "one collection of garbage, with a session", timed.collect_ms, "ms", method=HOW)
    held = timed.times["start_hold_ms"]
    yield Row("emu.start_hold_ms", "longest wait of another task while a node starts and joins", held, "ms", method=HOW)
    leaf = clock.run(lambda time: observe.times(time, observe.tell, is_leaf=True))
    of_leaf = f"{HOW}; the library as .mpy files on its flash"
    took = observe.median_handshake(leaf)
    method = f"{of_leaf}; {_counted(leaf)}"
    yield Row("emu.leaf.handshake_ms", "the same of a leaf, which loads what it takes", took, "ms", method=method)
    yield Row("emu.leaf.loop_hold_ms", "longest wait of another task meanwhile", leaf.hold_ms, "ms", method=of_leaf)
    yield Row("emu.leaf.joined", "free heap of a leaf with its session", leaf.free["joined"], "bytes", method=of_leaf)
    joined = leaf.times["joined_ms"]
    yield Row("emu.leaf.wake_ms", "from the start of a leaf to its session", joined, "ms", method=of_leaf)
    cycles = clock.run(lambda time: observe.sleep_cycles(LEAF_CYCLES, time, observe.tell, is_leaf=True))
    awake = statistics.median(cycle["awake_ms"] for cycle in cycles[1:])
    what = "awake for one cycle of a leaf: waking, publishing, fetching mail"
    yield Row("emu.leaf.awake_ms", what, awake, "ms", method=f"{of_leaf}; median of {LEAF_CYCLES - 1}")
    cycles = clock.run(lambda time: observe.sleep_cycles(CYCLES, time, observe.tell))
    awake = statistics.median(cycle["awake_ms"] for cycle in cycles[1:])  # in the first it makes its key
    what = "awake for one cycle of waking, publishing, fetching mail"
    yield Row("emu.awake_ms", what, awake, "ms", method=f"{HOW}; median of {CYCLES - 1}")
