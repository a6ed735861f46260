"""What a board's node and its firmware take of the heap, measured on 32-bit MicroPython: for boards/measured.json."""

from __future__ import annotations

import os

from . import boards, mpy, runtimes, size

FIRMWARE = boards.ROOT / "firmware"
SWARMBOARD = FIRMWARE / "lib" / "swarmboard"
# What stays loaded while a board lives; the rest of the package is loaded when it is wanted, and forgotten.
_STAYS = "board, health, led, life, link, station, supervisor, watchdog"
_LATE = "boots, config, improv, provisioning, starting"
# The library is there already, but for what follows updates: a node alone does without it.
_NODE = "from picoswarm import Node"
_UPDATES = "\nimport apps, picoswarm.update"
_PROGRAM = """
import asyncio, gc
def alloc():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
{}
a = alloc()
import swarmboard
from swarmboard import {}
print(alloc() - a)
"""


def compile_firmware(arch: str) -> str:
    """The folder, for a module path, that has swarmboard and apps as small .mpy files. Raises CompileError, Missing."""
    folder = runtimes.build_folder() / "mpy" / f"{arch}-firmware"
    texts = [mpy._put(folder / "source" / "swarmboard" / p.name, p.read_text()) for p in sorted(SWARMBOARD.glob("*.py"))]
    mpy.compile_files(texts, folder / "swarmboard", arch, 3)
    mpy.compile_files([mpy._put(folder / "source" / "apps.py", (FIRMWARE / "apps.py").read_text())], folder, arch, 3)
    return str(folder)


def _heap_of(modules: str, before: str = "") -> int:
    # A board has `micropython.kbd_intr`, sockets and the library too; what counts here is the code that is loaded.
    path = f"{compile_firmware('x86')}:{mpy.compile_library('x86', 3)}:.frozen"
    done = runtimes.run_micropython(["-c", _PROGRAM.format(before, modules)], 400, {**os.environ, "MICROPYPATH": path})
    if done.returncode:
        raise RuntimeError(done.stdout)
    return int(done.stdout)


def measure() -> dict:
    """Bytes by board and by how the library is there, and of the firmware's own modules."""
    found: dict = {"boards": {}, "firmware": _heap_of(_STAYS + _UPDATES, _NODE)}
    found["provisioning"] = _heap_of(f"{_STAYS}, {_LATE}") - _heap_of(_STAYS)
    found["profiles"] = {board["board"]: boards.numbers_of(board["board"]) for board in boards.boards()}
    for board in boards.boards():
        numbers = boards.numbers_of(board["board"])
        is_in_heap = board["native_code"] == "in the heap"
        found["boards"][board["board"]] = {
            way: size.total(size.predict(numbers, way == "frozen", is_in_heap)) for way in ("mpy", "frozen")
        }
    return found
