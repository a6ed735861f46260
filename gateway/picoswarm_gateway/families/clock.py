"""The family `time`: boards ask what time it is, since few have a clock that goes on while they are off."""

from __future__ import annotations

import time
from typing import Any

from . import Family


class ClockFamily(Family):
    """Its one verb is `now`: seconds since 1970 in UTC, 4 bytes, then milliseconds, 2 bytes."""

    name = "time"

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.verbs = {"now": self._now}

    async def _now(self, _board: bytes, _payload: bytes) -> bytes:
        self.asked += 1
        ms = time.time_ns() // 1_000_000
        return (ms // 1000).to_bytes(4, "big") + (ms % 1000).to_bytes(2, "big")

    def state(self) -> dict[str, Any]:
        return {"state": "up", "asked": self.asked}
