"""What the graphs of the dashboard show: values over time, kept for a year in a bounded number of rows.

Each series is kept at three steps at once. A step is a ring: the slot of a time is overwritten when the ring has gone
round, so that no series ever takes more rows than LENGTHS add up to, and nothing has to be cleaned up.
"""

from __future__ import annotations

import sqlite3
import time

from .state import State

STEPS = (10, 300, 3600)  # seconds
LENGTHS = (720, 2016, 8784)  # slots: 2 hours, a week, a year
SERIES = 64  # at most; each takes some 500 KB in a year
NAME = 48  # letters of a series

SCHEMA = [
    """
    CREATE TABLE history (
        series TEXT, step INTEGER, slot INTEGER,
        at INTEGER,     -- when the slot begins, unix seconds
        total REAL, count INTEGER,
        PRIMARY KEY (series, step, slot)
    ) WITHOUT ROWID;
    """
]
_PUT = """
    INSERT INTO history VALUES (:series, :step, :slot, :at, :value, 1)
    ON CONFLICT DO UPDATE SET
        total = CASE at WHEN excluded.at THEN total ELSE 0 END + excluded.total,
        count = CASE at WHEN excluded.at THEN count ELSE 0 END + 1,
        at = excluded.at
"""


class History:
    """See the module."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._series: set[str] = set()

    async def start(self) -> None:
        """Make the table. Errors as those of `State.adopt`."""
        await self._state.adopt("history", SCHEMA)
        self._series = {row[0] for row in await self._state.read("SELECT DISTINCT series FROM history")}

    @property
    def series(self) -> list[str]:
        """The names of all series."""
        return sorted(self._series)

    def record(self, values: dict[str, float], now: float | None = None) -> None:
        """Add a value to each of some series, once every STEPS[0] seconds. A series beyond SERIES is left out."""
        now = time.time() if now is None else now
        rows = []
        for series, value in values.items():
            if series not in self._series:
                if len(self._series) >= SERIES or len(series) > NAME:
                    continue
                self._series.add(series)
            for step, length in zip(STEPS, LENGTHS, strict=True):
                at = int(now) // step * step
                slot = at // step % length
                rows.append({"series": series, "step": step, "slot": slot, "at": at, "value": float(value)})

        def put(connection: sqlite3.Connection) -> None:
            connection.executemany(_PUT, rows)

        self._state.later(put)

    async def read(self, series: str, seconds: float = 3600, now: float | None = None) -> list[tuple[int, float]]:
        """(unix seconds, mean) of the last `seconds` of a series, oldest first, in the finest step that reaches so far."""
        now = time.time() if now is None else now
        step = next((step for step, length in zip(STEPS, LENGTHS, strict=True) if step * length >= seconds), STEPS[-1])
        rows = await self._state.read(
            "SELECT at, total / count FROM history WHERE series = ? AND step = ? AND at > ? AND at <= ? ORDER BY at",
            (series, step, now - seconds - step, now),
        )
        return [(at, round(mean, 3)) for at, mean in rows]
