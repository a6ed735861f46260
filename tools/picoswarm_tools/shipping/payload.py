"""What a board gets: the library compiled for its architecture, the firmware's own files, its profile, its program."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from .. import mpy
from ..runtimes import ROOT
from .board import Board
from .exits import Failed

FIRMWARE = ROOT / "firmware"
LIBRARY = "/lib/picoswarm"
FIRMWARE_PACKAGES = FIRMWARE / "lib"
APP = "/app.py"
# Run by a host, or put to their place by other names.
_NOT_SHIPPED = {"demo_node.py", "manifest.py"}
# MicroPython looks for these by name, as source; the first two come before all else when files land.
_AS_SOURCE = ("landing.py", "boot.py", "main.py")
LEVEL = 3


@dataclass(frozen=True)
class File:
    """One file of a board: its path there, and its bytes."""

    path: str
    data: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def staged_as(self) -> str:
        """The name that it has before it lands: it tells path and content, so that what was copied once is known again."""
        return hashlib.sha256(self.path.encode() + b"\0" + self.data).hexdigest()[:16]


def library(board: Board) -> list[File]:
    """The library as .mpy files, with the kernels of the board's architecture. Raises Failed."""
    try:
        folder = mpy.compile_library(board.arch, LEVEL, board.form) / "picoswarm"
    except mpy.CompileError as trouble:
        raise Failed(f"The library does not compile for {board.arch}: {trouble}") from None
    return [File(f"{LIBRARY}/{path.name}", path.read_bytes()) for path in sorted(folder.glob("*.mpy"))]


def firmware(board: Board) -> list[File]:
    """What the board boots, and its profile. Modules go to /lib as bytecode, which a board loads with less time and heap."""
    found = [File(f"/{name}", (FIRMWARE / name).read_bytes()) for name in _AS_SOURCE if (FIRMWARE / name).is_file()]
    beside = [path for path in sorted(FIRMWARE.glob("*.py")) if path.name not in (*_AS_SOURCE, *_NOT_SHIPPED)]
    inside = sorted(FIRMWARE_PACKAGES.glob("**/*.py"))
    for path in [*beside, *inside]:
        if not path.stem.startswith("app") or path.stem == "apps":
            place = path.relative_to(FIRMWARE_PACKAGES if path in inside else FIRMWARE).with_suffix(".mpy")
            found.append(File(f"/lib/{place.as_posix()}", _compiled(path)))
    found.append(File("/lib/profile.mpy", _compiled(board.profile_file)))
    return found


def _compiled(path: Path) -> bytes:
    try:
        return mpy.compile_source(path.read_bytes(), path.name, "bytecode")
    except mpy.CompileError as trouble:
        raise Failed(str(trouble)) from None


def program(path: Path | None) -> list[File]:
    """The user's program, as /app.py; None: the one that comes with the firmware, if it has one."""
    path = path or FIRMWARE / "app.py"
    return [File(APP, path.read_bytes())] if path.is_file() else []
