"""The least heap in which a discovery node with a full table serves and looks ids up without a MemoryError."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from .. import mpy
from ..full_node import KB, SMALLEST, loads, smallest
from ..native import native_bytes
from ..probe import frozen_micropython
from ..report import Row

DATAGRAMS = 600  # host_tests/multi/test_small_heap.py holds the goals with more
METHOD = f"32-bit unix build, bisection to 1 KB; table filled by proven members, {DATAGRAMS} datagrams and lookups"
IMPORT = """
import gc
gc.collect()
before = gc.mem_alloc()
import picoswarm.node
gc.collect()
gc.collect()
print(gc.mem_alloc() - before)
"""


def import_frozen() -> int:
    """Bytes that importing the node takes where the library is frozen: what is made at run time of what lies in flash."""
    command = [str(frozen_micropython()), "-X", "heapsize=400k", "-c", IMPORT]
    done = subprocess.run(command, env={"MICROPYPATH": ".frozen"}, capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure() -> Iterator[Row]:
    yield Row(
        "discovery.heap.import_frozen",
        "importing picoswarm.node where it is frozen into the firmware",
        import_frozen(),
        "bytes",
        method="32-bit unix build with firmware/manifest.py, after two collections",
    )
    for name, heap_kb, where in (("", 256, "with room for the last ones"), (".small", 68, "where only the last one stays")):
        question, lookup = loads(heap_kb * KB, DATAGRAMS)
        how = f"32-bit unix build, the library in the form of discovery from files, full table, heap of {heap_kb} KB"
        what = f"overlays loaded for a question, {where}"
        yield Row(f"discovery.loads.question{name}", what, question, "loads", method=how)
        what = f"the same for a lookup of a random id, {where}"
        yield Row(f"discovery.loads.lookup{name}", what, lookup, "loads", method=how)
    least = {is_frozen: smallest(is_frozen, DATAGRAMS) for is_frozen in (True, False)}
    for name, case in SMALLEST.items():
        native = native_bytes(mpy.DISCOVERY) / KB if case.is_native_counted else 0
        yield Row(
            f"discovery.heap.smallest.{name}",
            f"least heap of a node with a full table: {case.what}",
            round(least[case.is_frozen] + native, 1),
            "KB",
            case.goal_kb,
            method=METHOD,
        )
