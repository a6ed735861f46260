"""The best chain on the disk: every header of it by its height, in the gateway's state file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from .chain import KEPT, Chain, Change
from .networks import SPAN, Network

if TYPE_CHECKING:
    from ...state import State

SCHEMA = [
    """CREATE TABLE bitcoin_headers (network TEXT, height INTEGER, header BLOB, work BLOB, PRIMARY KEY (network, height))
    WITHOUT ROWID;""",
]


class ChainStore:
    """See the module."""

    def __init__(self, db: State, network: Network) -> None:
        self._db = db
        self._name = network.name
        self._network = network

    async def load(self) -> Chain:
        """The chain that was saved, or a new one."""
        sql = "SELECT max(height) FROM bitcoin_headers WHERE network = ?"
        ((height,),) = await self._db.read(sql, (self._name,))
        if height is None:
            return Chain(self._network)
        floor = max(0, height - KEPT) // SPAN * SPAN
        sql = "SELECT height, header, work FROM bitcoin_headers WHERE network = ? AND height >= ? ORDER BY height"
        rows = await self._db.read(sql, (self._name, floor))
        found = [(at, header, int.from_bytes(total, "big")) for at, header, total in rows]
        if not floor:
            found.insert(0, (0, self._network.genesis, Chain(self._network).tip.work))
        return Chain(self._network, found)

    async def save(self, change: Change) -> None:
        """Write what changed. A crash in between leaves the chain as it was before, whole."""
        name = self._name
        rows = [(name, each.height, each.header, each.work.to_bytes(32, "big")) for each in change.connected]
        if not rows:
            return

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM bitcoin_headers WHERE network = ? AND height >= ?", (name, rows[0][1]))
            db.executemany("INSERT INTO bitcoin_headers VALUES (?, ?, ?, ?)", rows)

        await self._db.change(write)

    async def headers(self, first: int, count: int) -> list[bytes]:
        """Headers of the best chain from a height on."""
        sql = "SELECT header FROM bitcoin_headers WHERE network = ? AND height >= ? AND height < ? ORDER BY height"
        return [header for (header,) in await self._db.read(sql, (self._name, first, first + count))]
