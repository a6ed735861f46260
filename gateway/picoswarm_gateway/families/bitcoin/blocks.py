"""Transactions and blocks: where their parts lie, what their hashes are, and the Merkle branch that proves one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .chain import HEADER
from .networks import double_sha256
from .wire import MOST_TX, Malformed, Reader

DEEPEST = 16  # levels of a Merkle tree that a block has room for
LEAST_TX = 60
AMBIGUOUS = 64  # bytes of a transaction that could be two hashes in a Merkle tree


@dataclass(frozen=True)
class Transaction:
    """One transaction. `outputs`: (satoshi, script); `spends`: (txid, index) of what its inputs take."""

    raw: bytes
    txid: bytes
    wtxid: bytes
    spends: list[tuple[bytes, int]]
    outputs: list[tuple[int, bytes]]
    stripped: int  # bytes without the witness


def read_transaction(r: Reader) -> Transaction:
    """The next transaction. Raises Malformed."""
    start = r.at
    version = r.take(4)
    has_witness = r.data[r.at : r.at + 2] == b"\0\1"
    if has_witness:
        r.take(2)
    body = r.at
    spends = r.items(100_000, 41, lambda: _input(r))
    if not spends:
        raise Malformed("a transaction without inputs")
    outputs = r.items(100_000, 9, lambda: (r.number(8), r.text(1_000_000)))
    end = r.at
    if has_witness:
        for _ in spends:
            r.items(100_000, 1, lambda: r.text(4_000_000))
    lock = r.take(4)
    raw = r.data[start : r.at]
    stripped = version + r.data[body:end] + lock if has_witness else raw
    txid = double_sha256(stripped)
    return Transaction(raw, txid, double_sha256(raw) if has_witness else txid, spends, outputs, len(stripped))


def _input(r: Reader) -> tuple[bytes, int]:
    spent = r.take(32), r.number(4)
    r.text(1_000_000)
    r.take(4)
    return spent


def transaction(raw: bytes) -> Transaction:
    """One whole transaction, of which nothing is left over. Raises Malformed."""
    if len(raw) > MOST_TX:
        raise Malformed("a transaction that no node takes")
    r = Reader(raw)
    found = read_transaction(r)
    r.end()
    return found


def without_witness(raw: bytes) -> bytes:
    """A transaction as nodes know it that know no witnesses."""
    r = Reader(raw)
    if r.take(6)[4:] != b"\0\1":
        return raw
    r.items(100_000, 41, lambda: _input(r))
    r.items(100_000, 9, lambda: (r.take(8), r.text(1_000_000)))
    return raw[:4] + raw[6 : r.at] + raw[-4:]


def block_transactions(raw: bytes) -> list[Transaction]:
    """All of a block, whose Merkle root they must have. Raises Malformed."""
    r = Reader(raw)
    header = r.take(HEADER)
    found = r.items(100_000, LEAST_TX, lambda: read_transaction(r))
    r.end()
    root, is_doubled = merkle_root([each.txid for each in found])
    if not found or is_doubled or root != header[36:68]:
        raise Malformed("a block whose transactions are not those of its header")
    return found


def merkle_root(hashes: list[bytes]) -> tuple[bytes, bool]:
    """(the root, whether the list has a part twice in a row, so that a shorter one would have the same root)."""
    level, is_doubled = list(hashes), False
    while len(level) > 1:
        pairs = range(0, len(level) - 1, 2)
        is_doubled |= any(level[i] == level[i + 1] for i in pairs)
        if len(level) % 2:
            level.append(level[-1])
        level = [double_sha256(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return (level[0] if level else bytes(32)), is_doubled


def branch(hashes: list[bytes], index: int) -> list[bytes]:
    """The hashes that lead from a transaction to the root, lowest first."""
    level, found = list(hashes), []
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        found.append(level[index ^ 1])
        level = [double_sha256(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
        index //= 2
    return found
