"""Addresses of nodes that a family was connected with or was told of, kept over a restart in the family's own words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..state import State

SCHEMA = ["CREATE TABLE family_nodes (family TEXT, network TEXT, address TEXT);"]
MOST = 1000
KEEP_S = 300.0  # between two times that they are written


class Nodes:
    """Those of one family in one network."""

    def __init__(self, db: State, family: str, network: str) -> None:
        self._db = db
        self._key = (family, network)

    async def load(self) -> list[str]:
        """What was saved."""
        await self._db.adopt("families", SCHEMA)
        sql = "SELECT address FROM family_nodes WHERE family = ? AND network = ?"
        return [row[0] for row in await self._db.read(sql, self._key)]

    async def save(self, addresses: Iterable[str]) -> None:
        """Write these in place of what was saved."""
        rows = [(*self._key, address) for address in islice(addresses, MOST)]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM family_nodes WHERE family = ? AND network = ?", self._key)
            connection.executemany("INSERT INTO family_nodes (family, network, address) VALUES (?, ?, ?)", rows)

        await self._db.change(write)
