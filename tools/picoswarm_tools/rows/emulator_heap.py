"""The heap that a node leaves on the emulated Pico: real firmware with 192 KB of it, real lwIP."""

from __future__ import annotations

from collections.abc import Iterator

from ..emulator import clock, observe
from ..report import Row
from .emulator import HOW

KB = 1024
STAGES = {"boot": "after the boot", "joined": "with the first session"}


def measure() -> Iterator[Row]:
    full = f"with {observe.SESSIONS} sessions of {observe.CHANNELS} channels"
    for form, where, goal in (("", "frozen", 64), (".mpy", "from .mpy files", 48)):
        seen = clock.run(lambda time, form=form: observe.heap(not form, time, observe.tell))
        assert seen.sessions == observe.SESSIONS, f"{seen.sessions} sessions came, {where}"
        for stage, what in {**STAGES, "full": full}.items():
            name = "after_boot" if stage == "boot" else stage
            limits = {"goal": goal * KB, "gate": not form, "better": "higher"} if stage == "full" else {}
            yield Row(f"emu.heap.{name}{form}", f"free {what}, {where}", seen.free[stage], "bytes", method=HOW, **limits)
        if not form:
            seconds = seen.times["joined_ms"] / 1000
            yield Row("emu.join_seconds", "from the start of a new node to its first session", seconds, "s", 10, method=HOW)
