"""Recursive Length Prefix, the encoding of Ethereum (yellow paper, appendix B), read strictly: one encoding for each
value."""

from __future__ import annotations

from typing import Any

DEPTH = 32  # of lists in lists
ITEMS = 300_000  # in a message: some bytes could be so many that reading them takes seconds
Item = Any  # bytes, or a list of items


class Malformed(Exception):
    """Bytes that are no message."""


def encode(item: Item) -> bytes:
    """Bytes, text, numbers from 0, and lists of them."""
    if isinstance(item, int):
        item = number(item)
    elif isinstance(item, str):
        item = item.encode()
    if isinstance(item, (list, tuple)):
        body = b"".join(map(encode, item))
        return _head(0xC0, len(body)) + body
    if len(item) == 1 and item[0] < 0x80:
        return bytes(item)
    return _head(0x80, len(item)) + item


def _head(base: int, size: int) -> bytes:
    if size < 56:
        return bytes((base + size,))
    text = number(size)
    return bytes((base + 55 + len(text),)) + text


def number(value: int) -> bytes:
    """An integer without zeros in front; zero is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode(data: bytes, is_exact: bool = True) -> Item:
    """The item in `data`; what follows it is passed over where it is not `is_exact` (EIP-8). Raises Malformed."""
    item, end = _item(memoryview(data), 0, 0, [ITEMS])
    if is_exact and end != len(data):
        raise Malformed("bytes behind the end")
    return item


def _span(data: memoryview, at: int, base: int) -> tuple[int, int]:
    """(where the body begins, where it ends)."""
    size = data[at] - base
    at += 1
    if size > 55:
        digits = size - 55
        text = bytes(data[at : at + digits])
        if len(text) < digits or text[0] == 0:
            raise Malformed("a length with zeros in front")
        size = int.from_bytes(text, "big")
        if size < 56:
            raise Malformed("a length that is too long")
        at += digits
    if at + size > len(data):
        raise Malformed("it ends too soon")
    return at, at + size


def _item(data: memoryview, at: int, depth: int, left: list[int]) -> tuple[Item, int]:
    """(the item, where it ends). `left`: how many more there may be."""
    if at >= len(data):
        raise Malformed("it ends too soon")
    left[0] -= 1
    if left[0] < 0:
        raise Malformed("too many items")
    if depth > DEPTH:
        raise Malformed("lists too deep")
    first = data[at]
    if first < 0x80:
        return bytes((first,)), at + 1
    if first < 0xC0:
        start, end = _span(data, at, 0x80)
        value = bytes(data[start:end])
        if len(value) == 1 and value[0] < 0x80:
            raise Malformed("a byte with a length")
        return value, end
    start, end = _span(data, at, 0xC0)
    items = []
    while start < end:
        item, start = _item(data[:end], start, depth + 1, left)
        items.append(item)
    return items, end


def integer(item: Item, most: int = 8) -> int:
    """The number in an item, of at most so many bytes. Raises Malformed."""
    if not isinstance(item, bytes) or len(item) > most or item[:1] == b"\0":
        raise Malformed("it is no number")
    return int.from_bytes(item, "big")


def sized(item: Item, size: int) -> bytes:
    """Bytes of a size. Raises Malformed."""
    if not isinstance(item, bytes) or len(item) != size:
        raise Malformed(f"{size} bytes are wanted")
    return item


def listed(item: Item, least: int = 0) -> list[Item]:
    """A list of at least so many items. Raises Malformed."""
    if not isinstance(item, list) or len(item) < least:
        raise Malformed("a list is wanted")
    return item
