"""UF2, the format that a Pico's boot drive takes: blocks of 512 bytes, each with the flash address of 256 of them.

Source: the UF2 specification (magics, family id in the last header word, flag 0x2000 says that there is one).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from .board import CHIPS, Chip
from .exits import Failed

BLOCK = 512
PAGE = 256
FLASH_AT = 0x10000000  # where an RP2040 and an RP2350 see their flash
_HEADER = struct.Struct("<8I")
_FIRST, _SECOND, _END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_HAS_FAMILY = 0x2000
_NOT_FLASH = 0x0001
# Blocks of the RP2350 that belong to no program: an absolute one works around an erratum of it (RP2350-E10).
_ABSOLUTE = 0xE48BFF57


@dataclass(frozen=True)
class Uf2:
    """The pages of an image by flash address (0 is the flash's beginning), and the chip that its blocks name."""

    chip: Chip
    family: int
    pages: dict[int, bytes]

    @property
    def end(self) -> int:
        """The first flash address after the last page."""
        return max(self.pages) + PAGE

    def span(self, begin: int, end: int) -> bytes:
        """The bytes between two flash addresses; what no page brings is erased (0xff)."""
        return b"".join(self.pages.get(at, b"\xff" * PAGE) for at in range(begin, end, PAGE))


def read_uf2(data: bytes) -> Uf2:
    """Understand a UF2 file. Raises Failed, with the reason, for one that is cut, damaged or of an unknown chip."""
    if not data or len(data) % BLOCK:
        raise Failed("This is no whole UF2 file: its length is no multiple of 512 bytes.")
    pages: dict[int, bytes] = {}
    families, counted = set(), 0
    for at in range(0, len(data), BLOCK):
        first, second, flags, address, size, number, total, family = _HEADER.unpack_from(data, at)
        if (first, second) != (_FIRST, _SECOND) or int.from_bytes(data[at + 508 : at + 512], "little") != _END:
            raise Failed(f"This is no UF2 file: block {at // BLOCK} has not its magic numbers.")
        if flags & _NOT_FLASH or family == _ABSOLUTE:
            continue
        if not flags & _HAS_FAMILY:
            raise Failed("The UF2 file does not say for which chip it is (no family id).")
        if size != PAGE or address % PAGE or address < FLASH_AT:
            raise Failed(f"The UF2 file writes {size} bytes to {address:#x}, which is no page of a Pico's flash.")
        if number >= total:
            raise Failed(f"The UF2 file is damaged: block {number} of {total}.")
        counted, families = counted + 1, families | {family}
        pages[address - FLASH_AT] = data[at + 32 : at + 32 + PAGE]
        blocks = total
    if not pages or counted != blocks:
        raise Failed(f"The UF2 file is cut: {counted} of {blocks if pages else 'no'} blocks.")
    if len(families) > 1:
        raise Failed("The UF2 file is for several chips: " + ", ".join(f"{family:#010x}" for family in sorted(families)))
    family = families.pop()
    chip = next((chip for chip in CHIPS.values() if family in chip.families), None)
    if chip is None:
        raise Failed(f"The UF2 file is for another chip (family id {family:#010x}).")
    return Uf2(chip, family, pages)


def write_uf2(pages: Iterable[tuple[int, bytes]], family: int) -> bytes:
    """The UF2 file of pages, each a flash address and its 256 bytes."""
    pages = sorted(pages)
    blocks = [
        _HEADER.pack(_FIRST, _SECOND, _HAS_FAMILY, FLASH_AT + address, PAGE, number, len(pages), family)
        + page.ljust(476, b"\0")
        + _END.to_bytes(4, "little")
        for number, (address, page) in enumerate(pages)
    ]
    return b"".join(blocks)


def pages_of(data: bytes, start: int) -> list[tuple[int, bytes]]:
    """`data` at flash address `start` (a multiple of 256) as pages, the last one filled with 0xff."""
    return [(start + at, data[at : at + PAGE].ljust(PAGE, b"\xff")) for at in range(0, len(data), PAGE)]
