"""Filters of blocks (BIP158): whether a block may pay to a script or spend from it, in a hundredth of its size. Pure.

A filter is a sorted set of hashes of all scripts, its differences coded by Golomb and Rice. One in 784,931 says yes by
chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .blocks import Transaction
from .wire import Malformed, Reader

LOW_BITS = 19
RANGE = 784_931
MASK = (1 << 64) - 1
MOST_ITEMS = 1_000_000
RETURN = 0x6A  # OP_RETURN


def _turn(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & MASK


def siphash(key: bytes, data: bytes) -> int:
    """SipHash-2-4 of some bytes, 64 bits, with a key of 16."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count: int) -> None:
        a, b, c, d = v
        for _ in range(count):
            a = (a + b) & MASK
            b = _turn(b, 13) ^ a
            a = _turn(a, 32)
            c = (c + d) & MASK
            d = _turn(d, 16) ^ c
            a = (a + d) & MASK
            d = _turn(d, 21) ^ a
            c = (c + b) & MASK
            b = _turn(b, 17) ^ c
            c = _turn(c, 32)
        v[:] = a, b, c, d

    padded = data + bytes(7 - len(data) % 8) + bytes((len(data) & 0xFF,))
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _hashes(data: bytes) -> Iterator[int]:
    """First the count, then the hashes of a filter, in their order. Raises Malformed."""
    r = Reader(data)
    count = r.size(MOST_ITEMS)
    yield count
    coded = r.take(r.left)
    bits = f"{int.from_bytes(coded, 'big'):0{8 * len(coded)}b}" if coded else ""
    value = at = 0
    for _ in range(count):
        end = bits.find("0", at)
        low = bits[end + 1 : end + 1 + LOW_BITS]
        if end < 0 or len(low) < LOW_BITS:
            raise Malformed("a filter that ends too early")
        value += end - at << LOW_BITS | int(low, 2)
        yield value
        at = end + 1 + LOW_BITS


def _wanted(block: bytes, count: int, scripts: Iterable[bytes]) -> set[int]:
    return {siphash(block[:16], script) * (count * RANGE) >> 64 for script in scripts}


def may_have(block: bytes, data: bytes, scripts: Iterable[bytes]) -> bool:
    """Whether the filter of a block (by its hash) says that one of the scripts may be in it. Raises Malformed."""
    hashes = _hashes(data)
    count = next(hashes)
    wanted = _wanted(block, count, scripts)
    return any(value in wanted for value in hashes)


def has_all(block: bytes, data: bytes, scripts: Iterable[bytes]) -> bool:
    """Whether the filter of a block has each of the scripts, as it must where they are in the block."""
    try:
        hashes = _hashes(data)
        count = next(hashes)
        return _wanted(block, count, scripts).issubset(hashes)
    except Malformed:
        return False


def filtered(transactions: Iterable[Transaction]) -> set[bytes]:
    """The scripts of a block's outputs that its filter must have: not the empty ones, nor those that nobody can spend."""
    scripts = {script for each in transactions for _, script in each.outputs}
    return {script for script in scripts if script and script[0] != RETURN}
