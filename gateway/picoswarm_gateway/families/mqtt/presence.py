"""Who is there, as retained messages of the broker: `online` or `offline` under PREFIX/status/board/ID and /gateway/ID.

A gateway says `online` of the boards that have a session with it, and `offline` when that ends. Where gateways disagree they
mend it: who sees `offline` of a board that it has a session with says `online` again. When a gateway comes or goes, all call
the roll: each repeats its boards, and 15 s later the owner of a board that nobody named says `offline`.

A board without a session, whose messages come through others, counts as online for ten minutes from each of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .topics import STATUS, below, under

ROLL_S = 15.0
HEARD_S = 600.0
MOST = 10_000  # boards; who else is heard through the mesh, under whatever id, is not shown
GRACE_S = 2.0  # a session that is replaced by another one is no absence
ONLINE, OFFLINE = "online", "offline"


class Presence:
    """See the module. `say(topic, text)` publishes a retained message; `is_mine(id)`: whether this gateway owns a board;
    `has_session(id)`."""

    def __init__(
        self,
        prefix: str,
        own_id: bytes,
        say: Callable[[str, str], None],
        is_mine: Callable[[bytes], bool],
        has_session: Callable[[bytes], bool],
        start: Callable[[Coroutine[Any, Any, None]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.boards: dict[bytes, bool] = {}  # whether it is online, as the broker has it
        self._prefix = prefix
        self._own_id = own_id
        self._say = say
        self._is_mine = is_mine
        self._has_session = has_session
        self._start = start
        self._clock = clock
        self._named: dict[bytes, float] = {}  # when somebody said that it is online
        self._heard: dict[bytes, float] = {}  # when it last said something itself
        self._rolls = 0

    def gateway_topic(self, id32: bytes) -> str:
        """Where it stands whether a gateway is there."""
        return under(self._prefix, f"{STATUS}/gateway/{id32.hex()}")

    def board_topic(self, id32: bytes) -> str:
        """Where it stands whether a board is there."""
        return under(self._prefix, f"{STATUS}/board/{id32.hex()}")

    def filters(self) -> list[str]:
        """What is to be heard."""
        return [under(self._prefix, f"{STATUS}/{kind}/+") for kind in ("gateway", "board")]

    def on_session(self, board: bytes, is_there: bool) -> None:
        """A session began or ended."""
        if is_there:
            self._online(board)
        else:
            self._start(self._gone(board))

    async def _gone(self, board: bytes) -> None:
        await asyncio.sleep(GRACE_S)
        if not self._has_session(board) and self.boards.get(board, True):
            self._say(self.board_topic(board), OFFLINE)

    def on_heard(self, board: bytes) -> None:
        """A message of a board that this gateway owns came through the mesh."""
        if board not in self.boards and len(self.boards) >= MOST:
            return
        self._heard[board] = self._clock()
        if not self.boards.get(board):
            self._online(board)

    def _online(self, board: bytes) -> None:
        self.boards[board] = True
        self._named[board] = self._clock()
        self._say(self.board_topic(board), ONLINE)

    def is_near(self, board: bytes) -> bool:
        """Whether this gateway knows by itself that a board is there."""
        return self._has_session(board) or self._clock() - self._heard.get(board, -HEARD_S) < HEARD_S

    def on_message(self, topic: str, payload: bytes, is_retained: bool) -> bool:
        """The broker has a word on presence. False: it is about something else."""
        kind, _, name = (below(under(self._prefix, STATUS), topic) or "").partition("/")
        try:
            id32 = bytes.fromhex(name)
        except ValueError:
            return False
        if kind not in ("gateway", "board") or len(id32) != 32:
            return False
        if kind == "gateway":
            if id32 != self._own_id and not is_retained:
                self.call_roll()
        elif not payload:
            self.boards.pop(id32, None)
            self._named.pop(id32, None)
        else:
            self.boards[id32] = is_there = payload == ONLINE.encode()
            if is_there and not is_retained:
                self._named[id32] = self._clock()
            elif not is_there and self._has_session(id32):
                self._online(id32)
        return True

    def call_roll(self) -> None:
        """A gateway came or went, or the connection is new."""
        self._rolls += 1
        self._start(self._roll(self._rolls, self._clock()))

    async def _roll(self, number: int, began: float) -> None:
        await asyncio.sleep(GRACE_S)
        if number != self._rolls:
            return  # a newer one is under way
        for board in list(self.boards):
            if self._has_session(board):
                self._online(board)
        await asyncio.sleep(ROLL_S)
        if number != self._rolls:
            return
        for board, is_there in list(self.boards.items()):
            if is_there and self._is_mine(board) and not self.is_near(board) and self._named.get(board, 0.0) < began:
                self._say(self.board_topic(board), OFFLINE)

    def look(self) -> None:
        """Once a minute: boards that were only heard, and are no longer."""
        for board, at in list(self._heard.items()):
            if self._clock() - at >= HEARD_S:
                del self._heard[board]
                if self.boards.get(board) and self._is_mine(board) and not self._has_session(board):
                    self._say(self.board_topic(board), OFFLINE)

    def forget(self, board: bytes) -> None:
        """A board was revoked: nothing stays at the broker."""
        self.boards.pop(board, None)
        self._named.pop(board, None)
        self._heard.pop(board, None)
        self._say(self.board_topic(board), "")
