"""One MicroPython node under measurement (unix/node_probe.py), and members around it in this process.

The node's heap is stated as a board would have it: what the bare interpreter holds, the library and the node, without the
program that measures.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from picoswarm import Node, Profile
from picoswarm.crypto import run
from picoswarm.keys import LoadOrCreate, gather
from picoswarm.membership import Membership
from picoswarm.store import Store

from . import mpy, runtimes
from .provision import new_network_key, save
from .swarm import HOST, free_ports

PROGRAM = Path(__file__).with_name("unix") / "node_probe.py"
# Neighbours that talk much: each asks the others once a second.
BUSY = {"revalidate_s": 1, "refresh_min_s": 5, "refresh_max_s": 10}


class Probe:
    """`async with Probe(folder, heap_bytes)`: the node runs. `born` is its first word, see unix/node_probe.py. It has its
    key file already: what is measured is a boot after the first."""

    def __init__(self, folder: Path, heap_bytes: int, level: int = 3, numbers: dict[str, int] | None = None) -> None:
        self.folder = folder
        self.membership = Membership(new_network_key())
        (self.port,) = free_ports(1)
        self.born: dict = {}
        self.process: asyncio.subprocess.Process | None = None
        self._heap_bytes = heap_bytes
        self._library = mpy.compile_library("x86", level)
        self._numbers = numbers or {}

    async def __aenter__(self) -> Probe:
        store = Store(str(self.folder / "node"))
        save(store, self.membership)
        run(LoadOrCreate(store, gather(store)))
        numbers = [f"{name}={value}" for name, value in self._numbers.items()]
        self.process = await asyncio.create_subprocess_exec(
            str(runtimes.find("micropython")),
            "-X",
            f"heapsize={self._heap_bytes}",
            str(PROGRAM),
            str(self.folder / "node"),
            str(self.port),
            "-",
            *numbers,
            env={**os.environ, "MICROPYPATH": f"{self._library}:.frozen"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.born = await self._hear()
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), 5)
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def ask(self, command: str) -> dict:
        """The node's answer to a command. Raises RuntimeError, with its traceback, when it ended instead."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        return await self._hear()

    async def _hear(self) -> dict:
        assert self.process is not None and self.process.stdout is not None
        said = []
        while line := await asyncio.wait_for(self.process.stdout.readline(), 120):
            with suppress(ValueError):
                return json.loads(line)
            said.append(line.decode(errors="replace"))
        raise RuntimeError("the node ended:\n" + "".join(said))

    async def surround(self, stack: AsyncExitStack, count: int) -> list[Node]:
        """`count` busy members on CPython that know the node; they end with `stack`."""
        members = []
        for i in range(count):
            member = Node(
                str(self.folder / f"member{i}"),
                self.membership,
                Profile(**BUSY),
                host=HOST,
                port=free_ports(1)[0],
            )
            await stack.enter_async_context(member)
            member._discovery.add_bootstrap(bytes((127, 0, 0, 1)), self.port, bytes.fromhex(self.born["id"]))
            members.append(member)
        return members
