"""How long a node on the emulated Pico takes: real firmware, real lwIP; times are those of its own clock."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from ..emulator import clock, observe
from ..report import Row

HOW = "emulated Pico, 125 MHz, MicroPython 1.26.1 with lwIP and PPP"
CYCLES = 6


def measure() -> Iterator[Row]:
    timed = clock.run(lambda time: observe.times(time, observe.tell))
    yield Row("emu.handshake_ms", "from dialing to a proven peer", observe.median_handshake(timed), "ms", 600, method=HOW)
    yield Row("emu.loop_hold_ms", "longest wait of another task meanwhile", timed.hold_ms, "ms", 20, method=HOW)
    yield Row("emu.collect_ms", "one collection of garbage, with a session", timed.collect_ms, "ms", method=HOW)
    held = timed.times["start_hold_ms"]
    yield Row("emu.start_hold_ms", "longest wait of another task while a node starts and joins", held, "ms", method=HOW)
    cycles = clock.run(lambda time: observe.sleep_cycles(CYCLES, time, observe.tell))
    awake = statistics.median(cycle["awake_ms"] for cycle in cycles[1:])  # in the first it makes its key
    what = "awake for one cycle of waking, publishing, fetching mail"
    yield Row("emu.awake_ms", what, awake, "ms", method=f"{HOW}; median of {CYCLES - 1}")
