"""A node on the emulated Pico: real firmware with 192 KB of heap, real lwIP; times are those of its own clock."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from ..emulator import clock, observe
from ..report import Row

KB = 1024
HOW = "emulated Pico, 125 MHz, MicroPython 1.26.1 with lwIP and PPP"


def measure() -> Iterator[Row]:
    for form, is_frozen in (("", True), (".mpy", False)):
        seen = clock.run(lambda time, is_frozen=is_frozen: observe.heap(is_frozen, time))
        where = "frozen" if is_frozen else "from .mpy files"
        for stage, what, goal in (
            ("boot", "free after the boot", None),
            ("joined", "free with the first session", None),
            ("full", f"free with {seen.sessions} sessions of {observe.CHANNELS} channels", 64 * KB if is_frozen else None),
        ):
            name = "after_boot" if stage == "boot" else stage
            yield Row(f"emu.heap.{name}{form}", f"{what}, {where}", seen.free[stage], "bytes", goal, "higher", method=HOW)
        if is_frozen:
            seconds = seen.times["joined_ms"] / 1000
            yield Row("emu.join_seconds", "from the start of a new node to its first session", seconds, "s", 10, method=HOW)
    timed = clock.run(observe.times)
    yield Row("emu.handshake_ms", "from dialing to a proven peer", observe.median_handshake(timed), "ms", 600, method=HOW)
    yield Row("emu.loop_hold_ms", "longest wait of another task meanwhile", timed.hold_ms, "ms", 20, method=HOW)
    held = timed.times["start_hold_ms"]
    yield Row("emu.start_hold_ms", "longest wait of another task while a node starts and joins", held, "ms", method=HOW)
    cycles = clock.run(lambda time: observe.sleep_cycles(3, time))
    awake = statistics.median(cycle["awake_ms"] for cycle in cycles)
    yield Row("emu.awake_ms", "awake for one cycle of waking, publishing, fetching mail", awake, "ms", method=HOW)
