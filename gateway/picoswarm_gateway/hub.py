"""What happens in the gateway, for those who watch it live: named events with JSON-able data.

Each watcher has a bounded queue. One that does not keep up loses the oldest of them and is told how many; the gateway never
waits for anybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

EVENTS = ("node", "link", "message", "log", "family", "state", "lost")
QUEUE = 1024  # events of a watcher

Event = tuple[str, str]  # name, data as JSON


class Watcher:
    """One who watches: an async iterator of Events, which ends when the hub or the watcher is closed."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._arrived = asyncio.Event()
        self._is_closed = False

    def offer(self, event: Event) -> None:
        """Take an event."""
        if len(self._waiting) >= QUEUE:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(event)
        self._arrived.set()

    def close(self) -> None:
        """Watch no more."""
        self._is_closed = True
        self._hub.watchers.discard(self)
        self._arrived.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._is_closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        if self._lost:
            lost, self._lost = self._lost, 0
            return "lost", f'{{"events":{lost}}}'
        return self._waiting.popleft()


class Hub:
    """Gives each event to every watcher."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()

    def watch(self) -> Watcher:
        """A new watcher; `close` it."""
        watcher = Watcher(self)
        self.watchers.add(watcher)
        return watcher

    def tell(self, name: str, data: dict[str, Any]) -> None:
        """An event happened. Costs next to nothing while nobody watches."""
        if self.watchers:
            event = name, msgspec.json.encode(data).decode()
            for watcher in self.watchers:
                watcher.offer(event)

    def close(self) -> None:
        """Every watcher ends."""
        for watcher in list(self.watchers):
            watcher.close()
