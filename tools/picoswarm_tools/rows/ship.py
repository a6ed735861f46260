"""What the ways of bringing the library onto a board leave of its heap: how much of it an import takes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .. import mpy, runtimes
from ..probe import frozen_micropython
from ..report import Row
from ..shipping.remote import romfs_image

# As x86 code, which this machine runs and which lies outside the heap, as on an ESP32. On a Pico native code from .mpy files
# is in the heap besides (report row discovery.heap.native); from ROMFS and from frozen code it is not known to be.
ARCH, LEVEL = "x86", 3
HEAP_KB = 1024
METHOD = "32-bit unix build: heap after `from picoswarm import Node` and all that a node with sessions loads"
_MODULES = ("node", "discovery", "net", "swarm", "services", "tcp")
_MEASURE = """
import gc, sys
def used():
    for _ in range(3):
        gc.collect()
    return gc.mem_alloc()
for name in ("os", "time", "hashlib", "asyncio", "socket", "select", "struct", "binascii", "errno"):
    __import__(name)
{prepare}
before = used()
for name in {modules!r}:
    __import__("picoswarm." + name)
print("took", used() - before)
"""
_MOUNT = """
import vfs
image = open({path!r}, "rb").read()
vfs.mount(vfs.VfsRom(memoryview(image)), "/rom")
sys.path[:] = ["/rom/lib"]
"""


class NotMeasured(RuntimeError):
    """A way did not work here; the text is what MicroPython said."""


def import_bytes(path: str, prepare: str = "", binary: Path | None = None) -> int:
    """Bytes of heap that importing a node with sessions takes, with the module search path `path`. Raises NotMeasured."""
    program = _MEASURE.format(prepare=prepare, modules=_MODULES)
    done = runtimes.run_micropython(["-c", program], HEAP_KB, {"MICROPYPATH": path}, binary=binary)
    words = done.stdout.split()
    if done.returncode or "took" not in words:
        raise NotMeasured(done.stdout[-300:])
    return int(words[words.index("took") + 1])


def by_source() -> int:
    """As `mip` installs it: the sources, which the board compiles."""
    return import_bytes(f"{mpy.LIBRARY.parent}:.frozen")


def by_mpy() -> int:
    """As `picoswarm deploy` and an image have it: .mpy files on the file system."""
    return import_bytes(f"{mpy.compile_library(ARCH, LEVEL)}:.frozen")


def by_romfs() -> int:
    """The same files in a ROMFS, whose code stays where it is."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(mpy.compile_library(ARCH, LEVEL, mpy.FROZEN) / "picoswarm", Path(scratch, "rom", "lib", "picoswarm"))
        image = Path(scratch, "image.romfs")
        image.write_bytes(romfs_image(Path(scratch, "rom")))
        return import_bytes(".frozen", _MOUNT.format(path=str(image)))


def by_freezing() -> int:
    """As a firmware with the library frozen in has it (manifest.py)."""
    return import_bytes(".frozen", binary=frozen_micropython())


def measure() -> Iterator[Row]:
    ways = (
        ("ship.heap.mip", "by mip: sources on the file system", by_source),
        ("ship.heap.mpy", "by deploy, or in a one-file image: .mpy on the file system", by_mpy),
        ("ship.heap.frozen", "frozen into the firmware by manifest.py", by_freezing),
        ("ship.heap.romfs", "by deploy --romfs: .mpy in the firmware's ROMFS", by_romfs),
    )
    for name, what, way in ways:
        yield Row(name, f"heap that the library takes, {what}", way(), "bytes", method=METHOD)
