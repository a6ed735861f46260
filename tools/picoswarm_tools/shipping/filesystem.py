"""Where a board's file system lies in its flash, and one that is made on this computer: littlefs, as MicroPython has it."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from littlefs import LittleFS
from littlefs.errors import LittleFSError

from .board import Board
from .espimage import EspImage
from .exits import Failed
from .payload import File
from .uf2 import FLASH_AT

BLOCK = 4096
_PROGRAM = 256  # bytes that rp2 writes at once; an ESP32 writes fewer, and reads it as well
_LABEL = "vfs"
# Binary info of the Pico SDK: marks around three pointers, and the type of an entry that describes a block device.
_INFO = struct.Struct("<5I")
_BEGIN, _END, _BLOCK_DEVICE = 0x7188EBF2, 0xE71AA390, 7
_DEVICE = struct.Struct("<HHIII")


@dataclass(frozen=True)
class Region:
    """A part of the flash: the bytes from `at`."""

    at: int
    size: int


def by_map(board: Board) -> Region:
    """What the board's flash map says. Raises Failed for a board that has none."""
    for part in board.facts.get("flash_map", ()):
        if part["what"] == "file system":
            return Region(int(part["at"], 16), part["bytes"])
    raise Failed(f"The flash map of {board.name} has no file system.")


def by_firmware(flash: bytes) -> Region | None:
    """What an RP2 firmware says of itself; None: it says nothing. `flash` begins where the flash does."""
    for at in range(0, min(1024, len(flash) - _INFO.size), 4):
        begin_mark, begin, end, _, end_mark = _INFO.unpack_from(flash, at)
        if begin_mark == _BEGIN and end_mark == _END:
            break
    else:
        return None
    for pointer in range(begin - FLASH_AT, end - FLASH_AT, 4):
        entry = int.from_bytes(flash[pointer : pointer + 4], "little") - FLASH_AT
        if 0 <= entry <= len(flash) - _DEVICE.size:
            kind, _, _, address, size = _DEVICE.unpack_from(flash, entry)
            if kind == _BLOCK_DEVICE and address >= FLASH_AT:
                return Region(address - FLASH_AT, size)
    return None


def of_esp(image: EspImage) -> Region:
    """Where an ESP image has its file system. Raises Failed for one without."""
    part = image.partition(_LABEL)
    if part is None:
        raise Failed(f"The firmware has no partition {_LABEL} for files.")
    return Region(part.offset, part.size)


def littlefs(files: Iterable[File], size: int) -> bytes:
    """A littlefs of `size` bytes that holds the files, up to its last block that is in use. Raises Failed where it is too
    small."""
    system = LittleFS(block_size=BLOCK, block_count=size // BLOCK, prog_size=_PROGRAM, read_size=32)
    try:
        for file in files:
            folder = file.path.rpartition("/")[0]
            if folder:
                system.makedirs(folder, exist_ok=True)
            with system.open(file.path, "wb") as out:
                out.write(file.data)
    except LittleFSError as trouble:
        raise Failed(f"The files do not fit into the {size // 1024} KB of the board's file system ({trouble}).") from None
    used = bytes(system.context.buffer).rstrip(b"\xff")
    return used.ljust(-(-len(used) // BLOCK) * BLOCK, b"\xff")
