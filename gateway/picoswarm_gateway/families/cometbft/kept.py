"""The newest verified block of a chain over a restart, so that trust goes on from there (docs/cometbft.md).

It is kept for what trust began with: another genesis file or another trusted block in the configuration begins anew. What is
read is verified like a block of a node.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from .chain import Chain
from .rpc import Validators

if TYPE_CHECKING:
    from ...state import State

SCHEMA = [
    "CREATE TABLE cometbft_tip (chain TEXT PRIMARY KEY, root BLOB, header BLOB, signed BLOB, validators BLOB, after BLOB);"
]
LINE = 40  # bytes of a validator: its key, its votes


def packed(validators: Validators) -> bytes:
    """(Ed25519 key, votes) of each, as bytes."""
    return b"".join(key + votes.to_bytes(8, "big") for key, votes in validators)


def unpacked(data: bytes) -> Validators:
    """What `packed` was given."""
    lines = (data[at : at + LINE] for at in range(0, len(data), LINE))
    return [(line[:32], int.from_bytes(line[32:], "big")) for line in lines]


class Kept:
    """See the module. `root`: what trust began with, 32 bytes."""

    def __init__(self, db: State, root: bytes) -> None:
        self._db = db
        self._root = root

    async def load(self, chain: Chain) -> bool:
        """Whether the chain goes on from what was kept. Raises NotVerified: it is too old, or it is damaged."""
        await self._db.adopt("cometbft", SCHEMA)
        sql = "SELECT header, signed, validators, after FROM cometbft_tip WHERE chain = ? AND root = ?"
        for header, signed, validators, after in await self._db.read(sql, (chain.name, self._root)):
            await chain.resume(header, signed, unpacked(validators), unpacked(after))
            return True
        return False

    async def save(self, chain: Chain) -> None:
        """Keep the newest."""
        if chain.tip is None:
            return
        tip, after = chain.tip, chain.next_validators
        row = (chain.name, self._root, tip.raw, tip.commit, packed(tip.validators), packed(after))

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO cometbft_tip VALUES (?, ?, ?, ?, ?, ?)", row)

        await self._db.change(write)
