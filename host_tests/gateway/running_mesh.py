"""A gateway with two nodes in a thread of its own, so that tests can ask it as other programs do: over HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
from picoswarm_gateway.config import HttpTable
from picoswarm_gateway.gateway import Gateway
from small_mesh import PATIENCE_S, SmallMesh, until

TOKEN = "a token for tests"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


class RunningMesh:
    """`gateway`, `board` and `other`: all three have sessions with each other. `web`: an httpx client of the API."""

    def __init__(self, folder: Path) -> None:
        self._mesh = SmallMesh(folder)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> RunningMesh:
        self._thread.start()
        assert self._started.wait(PATIENCE_S)
        self.url = f"http://127.0.0.1:{self.gateway.operations.http.port}"
        self.web = httpx.Client(base_url=self.url, timeout=PATIENCE_S)
        return self

    def __exit__(self, *exception: object) -> None:
        self.web.close()
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        try:
            async with AsyncExitStack() as stack:
                config = self._mesh.config(http=HttpTable(port=0, token=TOKEN))
                self.gateway = await stack.enter_async_context(Gateway(config))
                self.board = await stack.enter_async_context(self._mesh.node("board", self.gateway))
                self.other = await stack.enter_async_context(self._mesh.node("other", self.gateway))
                for one, another in ((self.board, self.gateway), (self.other, self.gateway), (self.other, self.board)):
                    await until(lambda one=one, another=another: one.contact(another.id))
                    await one.request(another.id, "about")  # which opens a session at once
                known = self.gateway.operations.nodes.known
                await until(lambda: {node.name for node in known.values()} == {"board", "other"})
                self._started.set()
                await self._ending.wait()
        finally:
            self._started.set()

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine that runs beside the gateway."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def log(self, line: str) -> None:
        """The board adds a line to its log."""

        async def add() -> None:
            self.board.log(line)

        self.do(add())

    def get(self, path: str) -> Any:
        """The JSON of an answer that says all is well."""
        answer = self.web.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> httpx.Response:
        """The answer to a write, with the token."""
        return self.web.post(path, json=body, headers=AUTHORIZED)

    def wait(self, happens: Callable[[], Any]) -> Any:
        """What a function returns, once that is true."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if found := happens():
                return found
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.05)
