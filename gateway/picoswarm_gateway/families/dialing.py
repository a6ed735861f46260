"""Connections to what a family bridges to: found by its `discover`, made by its `dial`, as many as it wants.

Each address has a wait of its own before it is dialed again: none at first, 1 s after a connection that was of use, and
otherwise twice as long each time, up to 60 s, a quarter more or less. The address with the shortest wait is next.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from ..loops import Loops
from . import Family, Unreachable

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
LOOK_S = 5.0  # until a family is asked again that knew no address to dial
REMEMBERED = 1000  # addresses with a wait
LAST_S = 2.0  # that a connection has to say goodbye


def is_kept(own: str, other: str, is_outbound: bool, was_outbound: bool) -> bool:
    """Two nodes that dial each other at once have two connections, and both must let the same one go: that which the node
    with the lower id dialed stays. Whether the second one with `other`, dialed by this node if it `is_outbound`, takes the
    place of the first. Of two from one side the first stays."""
    return is_outbound != was_outbound and (own < other) == is_outbound


class Dialing:
    """The connections of one family. `sleep` stands for asyncio's where a test has its own."""

    def __init__(self, family: Family, loops: Loops, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._family = family
        self._loops = loops
        self._sleep = sleep
        self._busy: set[str] = set()  # addresses that are dialed, connected, or waited for
        self._waits: dict[str, float] = {}  # s, by address
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to dial."""
        name = f"{self._family.name}: dialing"
        places = [*self._family.always, *[""] * self._family.wanted]
        self._tasks = [self._loops.begin(name, partial(self._keep_one, address)) for address in places]

    async def stop(self) -> None:
        """End the connections, as their `dial` ends them when it is cancelled."""
        left = set(self._tasks)
        while left:  # Python 3.11 may lose a cancellation where a library waits
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=LAST_S)

    async def _keep_one(self, only: str) -> None:
        """A connection to whoever is found, or to one of those that are always dialed, whose places nobody else takes."""
        while True:
            found = [address for address in await self._family.discover() if address not in self._busy]
            found = [each for each in found if (each == only if only else each not in self._family.always)]
            if not found:
                await self._sleep(LOOK_S)
                continue
            address = min(found, key=lambda each: self._waits.get(each, 0.0))
            self._busy.add(address)
            try:
                if wait := self._waits.get(address):
                    await self._sleep(wait * random.uniform(0.75, 1.25))
                await self._dial(address)
            finally:
                self._busy.discard(address)

    async def _dial(self, address: str) -> None:
        wait = self._waits.pop(address, 0.0)
        try:
            await self._family.dial(address)
            wait = 0.0
        except (Unreachable, OSError):
            pass  # of which the family tells in its state
        except Exception as error:  # whatever a library comes upon, this goes on
            self._loops.note(f"{self._family.name}: {address}", error)
        self._waits[address] = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, 2 * wait))
        while len(self._waits) > REMEMBERED:
            del self._waits[next(iter(self._waits))]
