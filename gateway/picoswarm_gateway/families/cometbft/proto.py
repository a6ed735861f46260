"""The part of Protocol Buffers' wire format that CometBFT's messages need, written as its Go code writes it: fields in
order, and none that is zero. Its numbers are those of picoswarm.protobuf, which passes over fields of a kind that it does
not know: here they are a fault.
"""

from __future__ import annotations

from typing import Any

from picoswarm import protobuf

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MASK = (1 << 64) - 1
FIELDS_MAX = 4096  # of a message, unless its reader knows better


class Malformed(Exception):
    """Bytes that are no message."""


Fields = list[tuple[int, Any]]


def varint(value: int) -> bytes:
    """An integer; one below zero as 64 bits in two's complement."""
    return protobuf.varint(value & MASK)


def uvarint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """(the integer, where it ends). Raises IndexError where it is not all there, Malformed where it is too long."""
    value, end = protobuf.read_varint(data, at, len(data))
    if end < 0:
        raise Malformed("a varint is too long")
    if end == 0:
        raise IndexError
    return value & MASK, end


def number(field: int, value: int) -> bytes:
    """A varint field; zero is left out."""
    return varint(field << 3 | VARINT) + varint(value) if value else b""


def fixed64(field: int, value: int) -> bytes:
    """An sfixed64 field; zero is left out."""
    return varint(field << 3 | FIXED64) + (value & MASK).to_bytes(8, "little") if value else b""


def blob(field: int, value: bytes, is_kept: bool = False) -> bytes:
    """A field of bytes, of text or of a message; what is empty is left out unless it `is_kept`."""
    return varint(field << 3 | BYTES) + varint(len(value)) + value if value or is_kept else b""


def message(data: bytes) -> bytes:
    """A message with its length before it."""
    return varint(len(data)) + data


def fields(data: bytes, most: int = FIELDS_MAX) -> Fields:
    """(number, value) of each field: an int or bytes. Raises Malformed, also where there are more than `most`."""
    found: Fields = []
    at = 0
    try:
        while at < len(data):
            key, at = uvarint(data, at)
            kind = key & 7
            if kind == VARINT:
                value: Any
                value, at = uvarint(data, at)
            else:
                size = {FIXED64: 8, FIXED32: 4}.get(kind, -1)
                if kind == BYTES:
                    size, at = uvarint(data, at)
                if size < 0 or at + size > len(data):
                    raise Malformed("a field does not end")
                value = data[at : at + size]
                at += size
            if not key >> 3:
                raise Malformed("a field without a number")
            if len(found) >= most:
                raise Malformed("too many fields")
            found.append((key >> 3, value))
    except IndexError:
        raise Malformed("a field does not end") from None
    return found


def one(found: Fields, field: int, default: Any) -> Any:
    """The last value of a field, of the type of the default; it, where there is none. Raises Malformed for another type."""
    value = default
    for each, part in found:
        if each == field:
            if type(part) is not type(default):
                raise Malformed(f"field {field} is of another type")
            value = part
    return value


def many(found: Fields, field: int) -> list[bytes]:
    """All values of a field of bytes or messages. Raises Malformed for another type."""
    values = [part for each, part in found if each == field]
    if not all(isinstance(part, bytes) for part in values):
        raise Malformed(f"field {field} is of another type")
    return values


def signed(value: int) -> int:
    """The int64 in a varint."""
    return value - (1 << 64) if value >> 63 else value
