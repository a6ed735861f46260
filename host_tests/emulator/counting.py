"""Instructions of machine code on the emulated Cortex-M0+, for one input after another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from picoswarm_tools import mpy, qemu

_BEGIN = """
import json
from hashlib import sha256
from instructions import start, stop

def patterns(n):
    yield bytes(n)
    yield bytes(n)  # again, because the first counts are not taken
    yield b"\\xff" * n
    yield b"\\x55" * n
    for i in range(17):
        part = sha256(bytes((i,))).digest()
        yield (part * (n // 32 + 1))[:n]

taken = {}

def note(name, function):
    begin, end = start, stop
    function()
    begin()
    function()
    n = end()
    if name in taken:
        taken[name].add(n)
    else:
        taken[name] = set()  # the first count differs: the firmware remembers where it found the last names
"""
_END = """
print(json.dumps({name: sorted(counts) for name, counts in taken.items()}))
"""


def run(modules: Iterable[str], program: str) -> Any:
    """What `program` says in JSON, with these modules of the library beside it."""
    files = {}
    for name in modules:
        source = (mpy.LIBRARY / f"{name}.py").read_bytes()
        files[f"picoswarm/{name}.mpy"] = mpy.compile_source(source, f"{name}.py", "armv6m", 3)
    return json.loads(qemu.run("m0", files, program, 120))


def counts(modules: Iterable[str], program: str) -> dict[str, list[int]]:
    """The different counts by name. `program` calls `note(name, function)` for many inputs; `patterns(n)` gives it some."""
    return run(modules, _BEGIN + program + _END)
