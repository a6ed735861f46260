"""Which messages of boards the broker has acknowledged, so that a repeat is not published twice. It outlives the process."""

from __future__ import annotations

import time
from typing import Any

KEPT_S = 3600  # a board that waited longer for an answer has given up
MOST = 20_000
TRIM_S = 600.0  # between two looks for rows that are too old
SCHEMA = ["CREATE TABLE mqtt_seen (board BLOB, number INTEGER, at REAL, PRIMARY KEY (board, number)) WITHOUT ROWID"]


class Seen:
    """Message ids by board. `db`: the gateway's State, or None for memory only."""

    def __init__(self, db: Any = None) -> None:
        self._db = db
        self._at: dict[tuple[bytes, int], float] = {}  # oldest first
        self._trim_at = 0.0  # time.monotonic()

    async def start(self) -> None:
        """Read what there was."""
        if self._db is None:
            return
        await self._db.adopt("mqtt", SCHEMA)
        oldest = time.time() - KEPT_S
        await self._db.write("DELETE FROM mqtt_seen WHERE at < ?", (oldest,))
        for board, number, at in await self._db.read("SELECT board, number, at FROM mqtt_seen ORDER BY at"):
            self._at[bytes(board), number] = at

    def has(self, board: bytes, number: int) -> bool:
        """Whether this message was acknowledged."""
        return (board, number) in self._at

    async def add(self, board: bytes, number: int) -> None:
        """It was; on the disk when this returns."""
        now = time.time()
        self._at[board, number] = now
        while len(self._at) > MOST or now - next(iter(self._at.values())) > KEPT_S:
            self._at.pop(next(iter(self._at)))
        if self._db is not None:
            await self._db.write("INSERT OR REPLACE INTO mqtt_seen VALUES (?, ?, ?)", (board, number, now))
            if time.monotonic() >= self._trim_at:
                self._trim_at = time.monotonic() + TRIM_S
                oldest = next(iter(self._at.values()), now)
                self._db.later(lambda db: db.execute("DELETE FROM mqtt_seen WHERE at < ?", (oldest,)))
