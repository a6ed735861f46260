"""A picture of a screen in few bytes: PNG with a palette. Such a picture has few colours; what is beyond the most frequent
256 of them is the smooth edge of a letter, where the nearest does as well."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
LIKE = 3 * 7 * 7  # squared distance of colours that nobody tells apart

Colour = tuple[int, ...]


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        (n,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + n]
        at += n + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _paeth(a: int, b: int, c: int) -> int:
    pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def _rows(raw: bytes, width: int, step: int) -> Iterator[bytearray]:
    """The rows of pixels, their filters (PNG 9) undone."""
    before = bytearray(width * step)
    for at in range(0, len(raw), width * step + 1):
        kind, row = raw[at], bytearray(raw[at + 1 : at + 1 + width * step])
        for i in range(len(row)) if kind else ():
            left = row[i - step] if i >= step else 0
            corner = before[i - step] if i >= step else 0
            guess = (left, before[i], (left + before[i]) // 2, _paeth(left, before[i], corner))[kind - 1]
            row[i] = row[i] + guess & 255
        yield row
        before = row


def _distance(one: Colour, other: Colour) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2


def _palette(counts: Counter[Colour]) -> list[Colour]:
    """The most frequent colours; one that is much like another does not take a rare one's place."""
    chosen: list[Colour] = []
    for colour, _ in counts.most_common():
        if all(_distance(colour, other) >= LIKE for other in chosen):
            chosen.append(colour)
    return chosen[:COLOURS]


def shrink(png: bytes) -> bytes:
    """The same picture, of 8-bit RGB or RGBA without transparency and not interlaced, with a palette."""
    parts = list(_chunks(png))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", parts[0][1])
    if depth != 8 or kind not in (2, 6) or interlaced:
        raise ValueError("only plain 8-bit RGB and RGBA")
    step = 3 if kind == 2 else 4
    raw = zlib.decompress(b"".join(data for name, data in parts if name == b"IDAT"))
    rows = [[tuple(row[i : i + 3]) for i in range(0, len(row), step)] for row in _rows(raw, width, step)]
    counts = Counter(pixel for row in rows for pixel in row)
    palette = _palette(counts)
    index = {colour: min(range(len(palette)), key=lambda i: _distance(palette[i], colour)) for colour in counts}
    packed = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = bytes(part for colour in palette for part in colour)
    body = (
        _chunk(b"IHDR", head) + _chunk(b"PLTE", colours) + _chunk(b"IDAT", zlib.compress(packed, 9)) + _chunk(b"IEND", b"")
    )
    return SIGNATURE + body
