"""Real libp2p nodes as processes on 127.0.0.1, told what to do by lines of JSON (host_tests/interop/peers)."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

from ..peers import golang, npm, pip

KINDS = ("go", "js", "py")
ANSWER_S = 60.0  # on a loaded machine


def command(kind: str) -> list[str]:
    """How to run a node of a kind. Raises Missing."""
    if kind == "go":
        return [str(golang.binary("libp2p"))]
    if kind == "js":
        return npm.command("libp2p", "peer.mjs")
    return pip.command("libp2p", "peer.py")


class Peer:
    """One node, for `async with`. `id` and `address` (a multiaddress) are its own; `events` what it said by itself."""

    def __init__(self, kind: str, *arguments: str) -> None:
        self.kind = kind
        self.id = self.address = ""
        self.events: list[dict[str, Any]] = []
        self._arguments = arguments
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> Peer:
        self._process = await asyncio.create_subprocess_exec(
            *command(self.kind), *self._arguments, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL
        )
        hello = json.loads(await asyncio.wait_for(self._line(), ANSWER_S))
        self.id, self.address = hello["id"], hello["addrs"][0]
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._reader.cancel()
        self._process.kill()
        await self._process.wait()

    async def _line(self) -> bytes:
        while line := await self._process.stdout.readline():
            if line.startswith(b"{"):
                return line
        raise EOFError("the libp2p node ended")

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            if line.startswith(b"{"):
                said = json.loads(line)
                self.events.append(said) if "event" in said else self._answers.put_nowait(said)

    async def do(self, what: str, **more: Any) -> dict[str, Any]:
        """Its answer to an order; `error` in it says why not."""
        self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        return await asyncio.wait_for(self._answers.get(), ANSWER_S)

    async def heard(self, data: str) -> bool:
        """Whether it hears a published message soon."""
        for _ in range(100):
            if any(event.get("data") == data for event in self.events):
                return True
            await asyncio.sleep(0.1)
        return False
