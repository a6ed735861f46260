"""The power goes at every program operation of the flash while the files of a deployment land, with a torn page: the next
start finds it in the middle and finishes it. On littlefs as a board has it, with firmware/landing.py itself."""

from __future__ import annotations

import builtins
import contextlib
import random
import types
from collections.abc import Callable
from typing import Any

import pytest
from littlefs import LittleFS, LittleFSError
from littlefs.context import UserContext
from picoswarm_tools.runtimes import ROOT

OLD, NEW = b"old " * 100, b"new " * 100
PATHS = {"0": "/app.py", "1": "/lib/part.py", "2": "/notes"}
LANDING = (ROOT / "firmware/landing.py").read_text()


GONE = -5  # what a flash without power answers


class Chip(UserContext):
    """Flash whose power goes in the so-manieth program operation."""

    def __init__(self, size: int, dice: random.Random) -> None:
        super().__init__(size)
        self.left = -1
        self.dice = dice

    def prog(self, cfg: object, block: int, off: int, data: bytes) -> int:
        if self.left == 0:
            return GONE
        self.left -= 1
        if self.left == 0:  # cells that were to become 0 are so or not
            data = bytes(byte | self.dice.randrange(256) for byte in data)
        start = block * cfg.block_size + off  # type: ignore[attr-defined]
        self.buffer[start : start + len(data)] = bytes(a & b for a, b in zip(self.buffer[start:], data, strict=False))
        return 0

    def erase(self, cfg: object, block: int) -> int:
        if self.left == 0:
            return GONE
        size = cfg.block_size  # type: ignore[attr-defined]
        self.buffer[block * size : (block + 1) * size] = b"\xff" * size
        return 0


def mounted(chip: Chip, mount: bool = True) -> LittleFS:
    sizes = {"block_size": 4096, "block_count": 64, "prog_size": 256, "read_size": 32, "lookahead_size": 32}
    return LittleFS(context=chip, cache_size=1024, mount=mount, **sizes)


def told_by(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with the errors that a board raises."""

    def call(*arguments: object) -> object:
        try:
            return function(*arguments)
        except LittleFSError as error:
            raise OSError(-error.code, "") from None

    return call


def land(fs: LittleFS) -> None:
    """What boot.py does."""
    names = ("listdir", "remove", "rename", "mkdir", "rmdir")
    os = types.SimpleNamespace(**{name: told_by(getattr(fs, name)) for name in names})
    code = LANDING.replace("import os\n", "")
    seen: dict[str, Any] = {"os": os, "open": told_by(fs.open), "__builtins__": builtins}
    exec(code, seen)
    seen["land"]()


def put(fs: LittleFS, path: str, data: bytes) -> None:
    with fs.open(path, "wb") as file:
        file.write(data)


def ready(chip: Chip) -> None:
    """A board with an old release, and a new one that is to land."""
    fs = mounted(chip, mount=False)
    fs.format()
    fs.mount()
    for folder in ("/lib", "/.ready"):
        fs.mkdir(folder)
    for name, path in PATHS.items():
        put(fs, path, OLD)
        put(fs, f"/.ready/{name}", NEW)
    put(fs, "/.ready/list", "".join(f"{name} {path}\n" for name, path in PATHS.items()).encode())
    fs.unmount()


@pytest.mark.parametrize("seed", range(2))
def test_a_landing_that_was_cut_anywhere_is_finished_by_the_next_start(seed: int) -> None:
    whole = Chip(64 * 4096, random.Random(seed))
    ready(whole)
    cuts = 0
    while True:
        chip = Chip(64 * 4096, random.Random(seed * 1000 + cuts))
        chip.buffer[:] = whole.buffer
        chip.left = cuts + 1
        with contextlib.suppress(OSError):
            land(mounted(chip))
        is_cut = chip.left == 0
        chip.left = -1
        fs = mounted(chip)
        land(fs)
        for path in PATHS.values():
            with fs.open(path, "rb") as file:
                assert file.read() == NEW, (path, cuts)
        assert ".ready" not in fs.listdir("/"), cuts
        if not is_cut:
            break
        cuts += 1
    assert cuts > 8
