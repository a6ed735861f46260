"""The loops that run as long as the gateway does: what fails in one is logged and counted, and the loop begins again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

FIRST_S = 1.0  # before a loop that failed begins again; then twice as long, up to
LONGEST_S = 60.0
QUIET_S = 60.0  # the same trouble is logged once in so long


@dataclass
class _Faults:
    count: int = 0
    last: str = ""
    t: float = 0.0  # unix seconds
    logged_at: float = float("-inf")  # time.monotonic()


class Loops:
    """See the module."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._faults: dict[str, _Faults] = {}  # by the name of a loop

    def begin(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a coroutine function until it returns, or the task is cancelled. Who begins a loop ends it, by `end`."""
        return asyncio.create_task(self._keep(name, run), name=name)

    async def end(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """End some loops, and wait until they have."""
        tasks = list(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def note(self, name: str, error: Exception) -> None:
        """Something failed, and the loop goes on."""
        faults = self._faults.setdefault(name, _Faults())
        text = repr(error)
        is_new = text != faults.last or time.monotonic() - faults.logged_at >= QUIET_S
        faults.count += 1
        faults.last, faults.t = text, time.time()
        if is_new:
            faults.logged_at = time.monotonic()
            self._log.error("a loop failed, and goes on", loop=name, count=faults.count, exc_info=error)

    def state(self) -> dict[str, dict[str, Any]]:
        """What failed, by the loop's name: how often, and what was last, when."""
        return {name: {"count": each.count, "last": each.last, "t": round(each.t, 3)} for name, each in self._faults.items()}

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        wait = FIRST_S
        while True:
            began = time.monotonic()
            try:
                return await run()
            except Exception as error:
                self.note(name, error)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self.note(name, RuntimeError(f"what it waited for was cancelled: {error}"))
            if time.monotonic() - began > LONGEST_S:
                wait = FIRST_S
            await asyncio.sleep(wait)
            wait = min(LONGEST_S, 2 * wait)
