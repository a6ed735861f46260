"""Programs that take orders on standard input and tell facts on standard output, a JSON object a line."""

from __future__ import annotations

import asyncio
import json
import os

WALL_S = 60


class Process:
    """A program that takes orders and tells facts."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.id = ""
        self.told: list[dict] = []
        self._command = command
        self._environment = {**os.environ, **environment}

    async def __aenter__(self) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._listener = asyncio.create_task(self._listen())
        self.id = (await self.fact("id"))["id"]
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.kill()
        if exception[0]:
            print(self._command[-4], self.id[:8], *self.told, sep="\n  ")

    async def _listen(self) -> None:
        while line := await self._process.stdout.readline():
            try:
                self.told.append(json.loads(line))
            except ValueError:
                self.told.append({"said": line.decode(errors="replace")})

    async def kill(self) -> None:
        """SIGKILL: it says nothing to anybody."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._listener

    async def fact(self, name: str) -> dict:
        """The next fact with this name, which is taken."""
        async with asyncio.timeout(WALL_S):
            while True:
                for fact in self.told:
                    if name in fact or "said" in fact or "error" in fact:
                        assert name in fact, fact
                        self.told.remove(fact)
                        return fact
                await asyncio.sleep(0.02)

    def order(self, *words: object) -> None:
        self._process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    async def ask(self, name: str, *words: object) -> dict:
        self.order(*words)
        return await self.fact(name)

    async def is_connected(self, ids: set[str]) -> str:
        """Wait until there is a session with one of these ids; returns it."""
        async with asyncio.timeout(WALL_S):
            while True:
                there = {
                    peer[0] if isinstance(peer, list) else peer for peer in (await self.ask("sessions", "state"))["sessions"]
                }
                if there & ids:
                    return (there & ids).pop()
                await asyncio.sleep(0.2)
