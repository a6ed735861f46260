"""The picture in the README: made small without a change that anybody sees."""

from __future__ import annotations

import struct
import zlib

from picoswarm_tools.screenshot import MOST_BYTES, PICTURE
from picoswarm_tools.smallpng import SIGNATURE, _chunk, _chunks, shrink


def picture(rows: list[bytes], width: int, kind: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, len(rows), 8, kind, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(b"".join(rows))) + _chunk(b"IEND", b"")


def pixels(png: bytes) -> list[tuple[int, ...]]:
    """Of a picture with a palette and without filters."""
    parts = dict(_chunks(png))
    width, height = struct.unpack_from(">II", parts[b"IHDR"])
    raw = zlib.decompress(parts[b"IDAT"])
    return [tuple(parts[b"PLTE"][3 * raw[y * (width + 1) + 1 + x] :][:3]) for y in range(height) for x in range(width)]


def test_each_filter_is_undone_and_colours_stay():
    # The same row five times, with the filters none, sub, up, average and Paeth (PNG 9.2).
    plain = bytes((200, 10, 30, 0, 90, 250))
    sub = bytes((200, 10, 30, 56, 80, 220))
    average = bytes((100, 5, 15, 156, 40, 110))
    paeth = bytes((0, 0, 0, 0, 0, 0))
    rows = [b"\0" + plain, b"\1" + sub, b"\2" + bytes(6), b"\3" + average, b"\4" + paeth]
    assert pixels(shrink(picture(rows, 2, 2))) == [(200, 10, 30), (0, 90, 250)] * 5


def test_transparency_is_left_out():
    assert pixels(shrink(picture([b"\0" + bytes((1, 2, 3, 255, 90, 8, 7, 255))], 2, 6))) == [(1, 2, 3), (90, 8, 7)]


def test_the_picture_in_the_readme_is_small():
    assert PICTURE.stat().st_size < MOST_BYTES
