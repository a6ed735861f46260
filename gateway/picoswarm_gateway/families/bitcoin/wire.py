"""Bytes of the peer-to-peer protocol, version 70016: numbers, and the limits of each message. Pure.

What a peer sent and cannot be raises `Malformed`; the text says what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .networks import double_sha256

PROTOCOL = 70016
LEAST_PROTOCOL = 70001  # before that pings had no number

MOST_INVENTORY = 50_000
MOST_HEADERS = 2000
MOST_ADDRESSES = 1000
MOST_FILTERS = 1000  # BIP157: filters of one answer
MOST_FILTER_HASHES = 2000
MOST_BLOCK = 4_000_000
MOST_TX = 400_000  # what the network passes on: 400,000 units of weight have no more bytes
LONGEST_AGENT = 256

# The longest payload of each command, known before a byte of it is read. What is not here may have UNKNOWN bytes.
UNKNOWN = 65_536
LONGEST = {
    "version": 400,
    "verack": 0,
    "wtxidrelay": 0,
    "sendaddrv2": 0,
    "sendheaders": 0,
    "getaddr": 0,
    "mempool": 0,
    "ping": 8,
    "pong": 8,
    "feefilter": 8,
    "sendcmpct": 9,
    "addr": 3 + 30 * MOST_ADDRESSES,
    "addrv2": 3 + MOST_ADDRESSES * (4 + 9 + 1 + 3 + 512 + 2),
    "inv": 3 + 36 * MOST_INVENTORY,
    "getdata": 3 + 36 * MOST_INVENTORY,
    "notfound": 3 + 36 * MOST_INVENTORY,
    "getheaders": 4 + 1 + 32 * 102,
    "getblocks": 4 + 1 + 32 * 102,
    "headers": 3 + 81 * MOST_HEADERS,
    "tx": MOST_TX,
    "block": MOST_BLOCK,
    "merkleblock": MOST_BLOCK,
    "cfilter": 1 + 32 + 5 + MOST_BLOCK,
    "cfheaders": 1 + 32 + 32 + 3 + 32 * MOST_FILTER_HASHES,
    "cfcheckpt": 1 + 32 + 3 + 32 * 2000,
}

Item = TypeVar("Item")


class Malformed(Exception):
    """What a peer sent cannot be. `score`: how much that counts against it; at 100 it is left."""

    def __init__(self, text: str, score: int = 100) -> None:
        super().__init__(text)
        self.score = score


class Reader:
    """Takes numbers and bytes from a payload, in their order."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = bytes(data)
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self.data) - self.at

    def take(self, n: int) -> bytes:
        """The next `n` bytes."""
        if n > self.left:
            raise Malformed("a message is too short")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, n: int) -> int:
        """An unsigned number of `n` bytes."""
        return int.from_bytes(self.take(n), "little")

    def size(self, most: int = MOST_BLOCK) -> int:
        """A compact size, in the shortest form that it has, of at most `most`."""
        first = self.number(1)
        value = first
        if first >= 0xFD:
            n = 2 << first - 0xFD
            value = self.number(n)
            if value < (0xFD, 0x10000, 0x100000000)[first - 0xFD]:
                raise Malformed("a size is longer than it need be")
        if value > most:
            raise Malformed(f"{value} where at most {most} may be")
        return value

    def text(self, most: int) -> bytes:
        """Bytes with their size before them."""
        return self.take(self.size(most))

    def items(self, most: int, least: int, take: Callable[[], Item]) -> list[Item]:
        """A list with its size before it; an item has `least` bytes at least, so that no size promises what is not there."""
        count = self.size(most)
        if count * least > self.left:
            raise Malformed("a list is longer than its message")
        return [take() for _ in range(count)]

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise Malformed("a message is too long")


def size(value: int) -> bytes:
    """A compact size."""
    if value < 0xFD:
        return bytes((value,))
    for mark, n in ((0xFD, 2), (0xFE, 4), (0xFF, 8)):
        if value < 1 << 8 * n:
            return bytes((mark,)) + value.to_bytes(n, "little")
    raise ValueError("a size has at most 8 bytes")


def text(data: bytes) -> bytes:
    """Bytes with their size before them."""
    return size(len(data)) + data


def longest(command: str) -> int:
    """Bytes of the longest payload that this command may have."""
    return LONGEST.get(command, UNKNOWN)


class Frames:
    """Messages in the first transport (v1): `feed` bytes, `next` gives (command, payload) or None. A message is refused at
    its header, before anything of it is kept."""

    HEADER = 24
    is_ready = True
    is_encrypted = False
    opening = b""

    def __init__(self, magic: bytes) -> None:
        self._magic = magic
        self._buffer = bytearray()
        self._wanted: tuple[str, int, bytes] | None = None  # command, size, checksum

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._buffer)

    @staticmethod
    def answer() -> bytes:
        """What the transport itself has to say now: this one nothing."""
        return b""

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        self._buffer += data

    def next(self) -> tuple[str, bytes] | None:
        """The next whole message. Raises Malformed."""
        if self._wanted is None:
            if len(self._buffer) >= 4 and self._buffer[:4] != self._magic:
                raise Malformed("another network, or no message")
            if len(self._buffer) < self.HEADER:
                return None
            head = bytes(self._buffer[: self.HEADER])
            count = int.from_bytes(head[16:20], "little")
            command = _command(head[4:16])
            if count > longest(command):
                raise Malformed(f"{command} of {count} bytes")
            del self._buffer[: self.HEADER]
            self._wanted = command, count, head[20:24]
        command, count, checksum = self._wanted
        if len(self._buffer) < count:
            return None
        payload = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._wanted = None
        if double_sha256(payload)[:4] != checksum:
            raise Malformed(f"{command} with a wrong checksum")
        return command, payload

    def pack(self, command: str, payload: bytes) -> bytes:
        """A message as it goes over the wire."""
        head = self._magic + command.encode().ljust(12, b"\0") + len(payload).to_bytes(4, "little")
        return head + double_sha256(payload)[:4] + payload


def _command(raw: bytes) -> str:
    name = raw.rstrip(b"\0")
    if not name or not name.isascii() or not name.decode().isprintable():
        raise Malformed("a command without a name")
    return name.decode()
