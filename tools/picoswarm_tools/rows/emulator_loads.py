"""What it takes the emulated Pico to load a part of the library from its file system: real firmware, real LittleFS."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from ..emulator import clock, observe
from ..report import Row
from .emulator import HOW


def measure() -> Iterator[Row]:
    took = clock.run(observe.load_times)
    method = f"{HOW}; each of the {len(took)} of a discovery node"
    yield Row(
        "emu.overlay_ms", "to load an overlay from the file system, median", statistics.median(took), "ms", method=method
    )
    yield Row("emu.overlay_ms.max", "the same, the longest", max(took), "ms", method=method)
