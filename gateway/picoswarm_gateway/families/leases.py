"""What boards hear from the broker: a lease is a board's filter, renewed by the board or at its end after 15 minutes.

A board has one queue, of which one message is on its way at a time: the gateway calls the board's method `gateway/message`,
and the answer is the board's acknowledgement. A message that a board did not answer in three tries, or that finds the queue
full, is lost and counted; of a full queue the oldest goes. A board that has no room now is asked again, ever more seldom.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from picoswarm.errors import LocalError
from picoswarm.failures import RequestError

LEASE_S = 900.0
MOST = 10_000  # leases of all boards: each message of the broker is held against all of them
FRESH_S = 10.0  # after its beginning a lease gets what the broker had kept
TRIES = 3
TRY_MS = 5000
PAUSE_S = 0.25  # a board had no room: as long as that, then twice as long, up to
LONGEST_PAUSE_S = 8.0
RETAINED, REPEAT = 2, 4  # flags
NO_ROOM, NOBODY = b"\1", b"\2"  # what a board answers
METHOD = "gateway/message"  # the only method that anything from a broker can reach


@dataclass
class Lease:
    """A filter of a board. `began`, `ends`: monotonic seconds."""

    pattern: str  # at the broker
    began: float
    ends: float


@dataclass
class _Board:
    leases: dict[int, Lease] = field(default_factory=dict)  # by the board's number
    waiting: deque[tuple[int, int, str, bytes]] = field(default_factory=deque)  # lease, flags, topic, payload
    task: asyncio.Task | None = None


class Leases:
    """Those of all boards. `call`: `Node.request`; `on_unused`: a filter that nobody has any more."""

    def __init__(
        self,
        call: Callable[..., Any],
        most: int,
        filters: int,
        on_unused: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter(delivered=0, dropped=0, undelivered=0)
        self._call = call
        self._most = most
        self._filters = filters
        self._on_unused = on_unused
        self._clock = clock
        self._boards: dict[bytes, _Board] = {}
        self._number = 0

    def __len__(self) -> int:
        return sum(len(board.leases) for board in self._boards.values())

    def take(self, board: bytes, number: int, pattern: str) -> bool | None:
        """Give a board a lease, or renew the one with this number. True: it is new; None: it has as many as it may."""
        now = self._clock()
        mine = self._boards.get(board) or _Board()
        old = mine.leases.get(number)
        if old and old.pattern == pattern:
            old.ends = now + LEASE_S
            return False
        if old:
            self.end(board, number)
        if len(mine.leases) >= self._filters or len(self) >= MOST:
            return None
        self._boards[board] = mine
        mine.leases[number] = Lease(pattern, now, now + LEASE_S)
        return True

    def end(self, board: bytes, number: int | None = None) -> None:
        """A board, or one of its leases, is over."""
        mine = self._boards.get(board)
        for each in [number] if number is not None else list(mine.leases if mine else ()):
            lease = mine.leases.pop(each, None) if mine else None
            if lease and not self.has(lease.pattern):
                self._on_unused(lease.pattern)
        if mine and not mine.leases:
            del self._boards[board]
            if mine.task:
                mine.task.cancel()
                mine.task = None

    def has(self, pattern: str) -> bool:
        """Whether a board has this filter."""
        return any(lease.pattern == pattern for board in self._boards.values() for lease in board.leases.values())

    def expire(self) -> None:
        """End what was not renewed in time."""
        now = self._clock()
        for board, mine in list(self._boards.items()):
            for number, lease in list(mine.leases.items()):
                if lease.ends <= now:
                    self.end(board, number)

    def spread(self, fits: Callable[[str], bool], topic: str, payload: bytes, is_retained: bool) -> None:
        """Queue a message for all leases whose filter fits."""
        now = self._clock()
        for id32, board in self._boards.items():
            for number, lease in board.leases.items():
                if fits(lease.pattern) and (not is_retained or now - lease.began < FRESH_S):
                    if len(board.waiting) >= self._most:
                        board.waiting.popleft()
                        self.counts["dropped"] += 1
                    board.waiting.append((number, RETAINED if is_retained else 0, topic, payload))
                    if board.task is None or board.task.done():
                        board.task = asyncio.create_task(self._deliver(id32, board))

    async def _deliver(self, id32: bytes, board: _Board) -> None:
        while board.waiting:
            number, flags, topic, payload = board.waiting.popleft()
            self._number = (self._number + 1) & 0x3FFFFFFF
            name = topic.encode()
            text = self._number.to_bytes(4, "big") + bytes((len(name),)) + name + payload
            tries, pause = 0, PAUSE_S
            while tries < TRIES:
                try:
                    answer = await self._call(id32, METHOD, bytes((number, flags)) + text, TRY_MS)
                except LocalError:  # longer than a board can take
                    self.counts["undelivered"] += 1
                    break
                except RequestError:
                    flags |= REPEAT
                    tries += 1
                    continue
                if answer == NO_ROOM:
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE_S, 2 * pause)
                    continue
                if answer == NOBODY:
                    self.counts["undelivered"] += 1
                    return self.end(id32, number)
                self.counts["delivered"] += 1
                break
            else:
                self.counts["undelivered"] += 1

    async def stop(self) -> None:
        """End all."""
        for board in self._boards.values():
            if board.task:
                board.task.cancel()
        self._boards.clear()
