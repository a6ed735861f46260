"""The time of an emulated Pico, for the nodes around it.

On a busy machine the Pico falls behind the clock on the wall. Whoever waits for it by the wall gives it up for reasons that
no real board has: its handshake of a second takes five then. What goes by its own clock sees a Pico of 125 MHz, however
slow this machine is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from picoswarm import compat

Result = TypeVar("Result")
AHEAD_S = 0.002  # of what a busy Pico told last, at most


class PicoTime:
    """Seconds that pass as those of one Pico do; as those of the wall before its start and after its end."""

    def __init__(self) -> None:
        self._told, self._told_at, self._is_idle = 0.0, time.monotonic(), True
        self._offset = 0.0  # of this clock before the Pico's
        self._last = 0.0

    def follow(self, seconds: float, is_idle: bool) -> None:
        """The Pico told its time. `is_idle`: it waits, and its time passes as that of the wall does."""
        if self._told == 0.0:
            self._offset = self.now() - seconds
        self._told, self._told_at, self._is_idle = seconds + self._offset, time.monotonic(), is_idle

    def leave(self) -> None:
        """The Pico is gone."""
        self._told, self._told_at, self._is_idle = self.now(), time.monotonic(), True

    def now(self) -> float:
        passed = time.monotonic() - self._told_at
        self._last = max(self._last, self._told + (passed if self._is_idle else min(passed, AHEAD_S)))
        return self._last

    def monotonic_ns(self) -> int:
        """In the place of time.monotonic_ns."""
        return int(self.now() * 1e9)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: PicoTime) -> None:
        super().__init__()
        self._pico_time = clock

    def time(self) -> float:
        return self._pico_time.now()


def run(work: Callable[[PicoTime], Coroutine[Any, Any, Result]]) -> Result:
    """asyncio.run(work(clock)), in which the event loop and all nodes of the library live by `clock`, and so by the Pico
    that is given it."""
    clock = PicoTime()
    real, compat.time = compat.time, clock  # type: ignore[assignment]
    try:
        with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
            return runner.run(work(clock))
    finally:
        compat.time = real


__all__ = ["PicoTime", "run"]
