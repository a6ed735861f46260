"""How much native code a node has: on the emulated Cortex-M0+ importing a kernel takes its code from the heap, as on a Pico;
the 32-bit unix build has it outside, as an ESP32."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path

from . import mpy, plans, qemu, runtimes
from .plans import Overlay

LEVEL = 3

# What a running node has loaded: one that only discovers, and one with sessions.
DISCOVERY = ("node", "discovery", "net")
SESSIONS = (*DISCOVERY, "swarm", "services", "tcp")

_NAMES_BEFORE = 400
_LOADED = """
import sys
for name in {modules!r}:
    __import__("picoswarm." + name)
print(*[name for name in sys.modules if name.startswith('picoswarm.')])
"""
_IMPORTS = """
import gc
for name in ("os", "time", "hashlib", "asyncio"):  # in C on a board; the emulator has stand-ins for some
    try:
        __import__(name)
    except ImportError:
        pass
class Names:  # so many that nothing measured begins a new table of names on one runtime, and not on the other
    pass
for i in range({names_before}):
    setattr(Names, "name%d" % i, 0)
for name in {names!r}:
    gc.collect()
    gc.collect()
    before = gc.mem_alloc()
    __import__(name)
    gc.collect()
    gc.collect()
    print("cost", gc.mem_alloc() - before)
"""


def _is_native(mpy_file: bytes) -> bool:
    """Whether an .mpy holds native code: then its third byte names the architecture."""
    return mpy_file[2] >> 2 != 0


def _cost(output: str) -> int:
    return sum(int(line.split()[1]) for line in output.splitlines() if line.startswith("cost"))


@cache
def native_bytes(modules: tuple[str, ...] = DISCOVERY, form: str = "discovery") -> int:
    """Bytes of native code of an imported node on a Cortex-M0+: what its native modules take of the heap there, less what
    they take where native code lies outside. Those of a first boot (Ed25519, SHA-512) do not count: they are gone again.
    `form`: see mpy.FORMS."""
    env = {"MICROPYPATH": f"{mpy.compile_library('x86', LEVEL, form)}:.frozen"}
    loaded = runtimes.run_micropython(["-c", _LOADED.format(modules=modules)], 400, env).stdout.split()
    files = qemu.library_files("m0", LEVEL, form)
    names = [name for name in loaded if _is_native(files[name.replace(".", "/") + ".mpy"])]
    return _more_inside(names, files, env)


def _more_inside(names: list[str], files: dict[str, bytes], env: dict[str, str]) -> int:
    """How much more modules take of the heap on the emulated board, with `files`, than on the unix build."""
    program = _IMPORTS.format(names=names, names_before=_NAMES_BEFORE)
    inside = qemu.run("m0", files, program)
    outside = runtimes.run_micropython(["-c", program], 400, env).stdout
    assert names and inside.count("cost") == outside.count("cost") == len(names), (names, inside, outside)
    cost = _cost(inside) - _cost(outside)
    assert cost > 0, (inside, outside)
    return cost


def native_bytes_of_agreement() -> int:
    """The part of key agreements, which a leaf has in an overlay."""
    return native_bytes(("curve_viper",), "apart") - native_bytes(("cipher_viper",), "apart")


@cache
def _native_bytes_of_functions(n: int) -> int:
    """The part of overlay `n` of a leaf, which has functions only: by itself, since nothing calls them here."""
    text = mpy.small_library(qemu.arch("m0"), LEVEL, "leaf")[0][f"cold{n}"]
    source = re.sub(r"(?m)^from \..*\n", "", text).encode()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "part.mpy").write_bytes(mpy.compile_source(source, "part", "x86", LEVEL))
        inside = {"part.mpy": mpy.compile_source(source, "part", qemu.arch("m0"), LEVEL)}
        return _more_inside(["part"], inside, {"MICROPYPATH": f"{folder}:.frozen"})


def native_bytes_of_overlay(part: Overlay) -> int:
    """The part of an overlay of plans.LEAF."""
    if part is plans.NATIVE:
        return native_bytes_of_agreement()
    return _native_bytes_of_functions(plans.LEAF.index(part)) if part in plans.MACHINE_CODE else 0


def native_bytes_of_leaf() -> int:
    """The same of a leaf at rest."""
    return native_bytes_with_sessions() - sum(map(native_bytes_of_overlay, plans.MACHINE_CODE))


def native_bytes_with_sessions() -> int:
    """The same of a node with sessions. Their bundle needs sockets, which the emulated board has not: what they add is
    measured without bundles."""
    return native_bytes() + native_bytes(SESSIONS, "apart") - native_bytes(DISCOVERY, "apart")
