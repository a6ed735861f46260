"""Firmware images as the flasher's tests need them: small, and whole in everything that a flasher looks at."""

from __future__ import annotations

import random
import struct

from picoswarm_tools.shipping.board import CHIPS
from picoswarm_tools.shipping.uf2 import pages_of, write_uf2

# MicroPython's partitions for 4 MB: label, type, subtype, offset, size
PARTITIONS = (
    ("nvs", 1, 2, 0x9000, 0x6000),
    ("phy_init", 1, 1, 0xF000, 0x1000),
    ("factory", 0, 0, 0x10000, 0x1F0000),
    ("vfs", 1, 0x81, 0x200000, 0x200000),
)


def esp_header(chip):
    """The 24 bytes with which a program for a chip begins."""
    return bytes([0xE9, 1, 2, 0x20]) + bytes(8) + CHIPS[chip].esp_id.to_bytes(2, "little") + bytes(10)


def esp_firmware(chip="ESP32", program=20_000, partitions=PARTITIONS, seed=1, inner=None):
    """Boot loader, partition table and a program of random bytes, as MicroPython's download for a board is put together."""
    start = CHIPS[chip].boot_at
    image = bytearray(b"\xff" * (0x10000 + program - start))
    noise = random.Random(seed).randbytes
    parts = [(start, esp_header(chip) + noise(5000)), (0x10000, esp_header(inner or chip) + noise(program - 24))]
    table = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in partitions
    )
    for at, data in [*parts, (0x8000, table)]:
        image[at - start : at - start + len(data)] = data
    return bytes(image)


def pico_firmware(chip="RP2040", size=9000, family=None, seed=1):
    """A UF2 file of random bytes at the beginning of the flash."""
    return write_uf2(pages_of(random.Random(seed).randbytes(size), 0), family or CHIPS[chip].families[0])
