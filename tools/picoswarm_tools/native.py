"""How much native code a node has: on a Raspberry Pi importing a kernel takes its code from the heap; the 32-bit unix build
has it outside, as an ESP32."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from . import mpy, qemu, runtimes
from .machine_code import code_sizes

BLOCK = 16  # bytes of which a heap is made

# What a running node has loaded: one that only discovers, and one with sessions.
_DISCOVERY = ("node", "discovery", "net")
SESSIONS = (*_DISCOVERY, "swarm", "services", "tcp")

_LOADED = """
import sys
for name in {modules!r}:
    __import__("picoswarm." + name)
print(*[name[10:] for name in sys.modules if name.startswith('picoswarm.')])
"""


def in_blocks(sizes: Iterable[int]) -> int:
    """Bytes that pieces of these sizes take of a heap."""
    return sum(-size // BLOCK * -BLOCK for size in sizes)


@cache
def _of_module(form: str, name: str) -> int:
    """Bytes of heap that the native code of a module of a form of the library takes, a piece for each function."""
    files = qemu.library_files("m0", mpy.BOARD_LEVEL, form)
    return in_blocks(code_sizes(files[f"picoswarm/{name}.mpy"]))


@cache
def native_bytes(form: str) -> int:
    """Bytes of native code that an imported node from files of this form (mpy.FORMS) has in the heap of a Cortex-M0+. That
    of a first boot (Ed25519, SHA-512) does not count, it is gone again; nor does that of overlays."""
    env = {"MICROPYPATH": f"{mpy.compile_library('x86', mpy.BOARD_LEVEL, form)}:.frozen"}
    modules = _DISCOVERY if form == mpy.DISCOVERY else SESSIONS
    loaded = runtimes.run_micropython(["-c", _LOADED.format(modules=modules)], 400, env).stdout.split()
    return sum(_of_module(form, name) for name in loaded)


def native_bytes_of_overlay(form: str, n: int) -> int:
    """The same of overlay `n`, while it is loaded."""
    return _of_module(form, f"cold{n}")
