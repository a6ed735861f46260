"""What an ESP firmware image says about itself: for which chip, where it belongs, and how it divides the flash.

Sources: Espressif's image format (header byte 0xE9, chip id in bytes 12 and 13) and its partition table (at 0x8000 of the
flash, entries of 32 bytes that begin with AA 50: type, subtype, offset, size, label).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .board import CHIPS, Chip
from .exits import Failed

MAGIC = 0xE9
SECTOR = 4096
TABLE_AT = 0x8000
_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC = b"\xaa\x50"
_APP, _DATA = 0, 1


@dataclass(frozen=True)
class Partition:
    """One entry of the partition table; `offset` and `size` are bytes of flash."""

    label: str
    kind: int
    subtype: int
    offset: int
    size: int


@dataclass(frozen=True)
class EspImage:
    """An image that begins at flash address `start`."""

    chip: Chip
    start: int
    data: bytes
    partitions: tuple[Partition, ...]

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    def partition(self, label: str) -> Partition | None:
        """The partition of that name, or None."""
        return next((part for part in self.partitions if part.label == label), None)

    def regions(self) -> list[tuple[int, bytes]]:
        """What has to be written, as (flash address, bytes). Left out is each data partition of which the image holds only
        erased bytes: what a board keeps there (NVS: its key; its files) stays."""
        holes = [
            (part.offset, part.offset + part.size)
            for part in self.partitions
            if part.kind == _DATA and not self._holds(part.offset, part.offset + part.size)
        ]
        found, at = [], self.start
        for begin, end in [*sorted(holes), (self.end, self.end)]:
            begin = min(begin, self.end)
            if begin > at:
                found.append((at, self.data[at - self.start : begin - self.start]))
            at = max(at, end)
        return found

    def _holds(self, begin: int, end: int) -> bytes:
        """The bytes between two flash addresses, unless they are erased."""
        return self.data[max(0, begin - self.start) : max(0, end - self.start)].strip(b"\xff")


def chip_of(header: bytes) -> Chip | None:
    """The chip of an image header; None: it is no image of a chip that we know."""
    if len(header) < 24 or header[0] != MAGIC:
        return None
    number = int.from_bytes(header[12:14], "little")
    return next((chip for chip in CHIPS.values() if chip.esp_id == number), None)


def partitions(table: bytes) -> tuple[Partition, ...]:
    """The entries of a partition table; none where there is no table."""
    found = []
    for at in range(0, min(len(table), SECTOR) - _ENTRY.size + 1, _ENTRY.size):
        magic, kind, subtype, offset, size, label, _flags = _ENTRY.unpack_from(table, at)
        if magic != _ENTRY_MAGIC:
            break
        found.append(Partition(label.rstrip(b"\0").decode("ascii", "replace"), kind, subtype, offset, size))
    return tuple(found)


def read_image(data: bytes) -> EspImage:
    """Understand a whole firmware image. Raises Failed, with the reason, for anything else."""
    lead = len(data) - len(data.lstrip(b"\xff"))
    boot = lead if lead in (0, 0x1000) else 0
    chip = chip_of(data[boot : boot + 24])
    if chip is None:
        raise Failed("This is no ESP firmware image of a known chip: it does not begin with a boot loader.")
    start = chip.boot_at - boot
    if start < 0:
        raise Failed(f"The boot loader of a {chip.name} cannot lie at {boot:#x} of an image.")
    table = partitions(data[TABLE_AT - start :])
    if not table:
        raise Failed("The image has no partition table: it is a part of a firmware, as for an update. Take the whole one.")
    for part in table:
        header = data[part.offset - start : part.offset - start + 24] if part.kind == _APP else b""
        inner = chip_of(header)
        if inner is not None and inner != chip:
            raise Failed(f"The image is mixed: a boot loader for {chip.name}, a program for {inner.name}.")
    return EspImage(chip, start, data, table)
