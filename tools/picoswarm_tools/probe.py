"""One MicroPython node under measurement (a program of unix/), and members around it in this process.

The node's heap is stated as a board would have it: what the bare interpreter holds, the library and the node, without the
program that measures, and with paths of a board's length.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from picoswarm import Node, Profile
from picoswarm.crypto import run
from picoswarm.keys import LoadOrCreate, gather
from picoswarm.membership import Membership
from picoswarm.nodekey import Identity
from picoswarm.slots import IDENTITY
from picoswarm.store import Store

from . import mpy, runtimes
from .keyfolder import new_network_key, save
from .swarm import HOST, free_ports

PROGRAMS = Path(__file__).with_name("unix")
# Neighbours that talk much: each asks the others once a second.
BUSY = {"revalidate_s": 1, "refresh_min_s": 5, "refresh_max_s": 10}


class Ended(RuntimeError):
    """The node ended, or said nothing for too long; the message is what it printed last: a traceback."""


def frozen_micropython(form: str = mpy.FROZEN) -> Path:
    """The 32-bit MicroPython with this library frozen in, in one of mpy.FORMS, built now where it is not up to date: one
    link. Raises RuntimeError when the library cannot be frozen, Missing where nothing is built because $MICROPYTHON is
    given."""
    runtimes.find("micropython")
    builder = runtimes.ROOT / "firmware" / "micropython" / "build.py"
    library = mpy.compile_library("x86", 3, form) / "source" / "picoswarm"
    command = [sys.executable, str(builder), "--library", str(library), "--form", form, "unix32-frozen"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and os.environ.get("MICROPYTHON"):
        raise runtimes.Missing(f"the library is not frozen into anything while MICROPYTHON is set: {done.stderr}")
    if done.returncode:
        raise RuntimeError(f"the library cannot be frozen: {done.stderr or done.stdout}")
    return runtimes.find("micropython-frozen" + (form and f"-{form}"))


class Probe:
    """`async with Probe(folder, heap_bytes)`: the node runs. `born` is its first word, see the program in unix/. It has its
    key file already: what is measured is a boot after the first. The program is precompiled, as the library is; with
    `is_frozen` the library is frozen into the firmware instead."""

    def __init__(
        self,
        folder: Path,
        heap_bytes: int,
        level: int = 3,
        numbers: dict[str, int] | None = None,
        program: str = "node_probe",
        is_frozen: bool = False,
        identity: Identity | None = None,
        form: str = "",
    ) -> None:
        self.folder = folder
        self.membership = Membership(new_network_key())
        (self.port,) = free_ports(1)
        self.born: dict = {}
        self.process: asyncio.subprocess.Process | None = None
        form = form or (mpy.FROZEN if is_frozen else mpy.WHOLE)
        programs = mpy.library_folder("x86", level, form)
        programs = programs.with_name(f"{programs.name}-programs")
        mpy.compile_beside([PROGRAMS / f"{program}.py"], programs, "x86", level, form)
        if not is_frozen:  # under a path about as long as a board's /lib: each module keeps its own on the heap
            folder.joinpath("lib").symlink_to(mpy.compile_library("x86", level, form))
        library = "" if is_frozen else "./lib:"
        self._environment = {**os.environ, "MICROPYPATH": f"{library}{programs}:.frozen"}
        binary = frozen_micropython(form) if is_frozen else runtimes.find("micropython")
        self._command = [str(binary), "-X", f"heapsize={heap_bytes}", "-m", program, str(folder / "node"), str(self.port)]
        self._command += [f"{name}={value}" for name, value in (numbers or {}).items()]
        self._identity = identity

    async def __aenter__(self) -> Probe:
        store = Store(str(self.folder / "node"))
        save(store, self.membership)
        if self._identity is not None:
            store.write(IDENTITY, self._identity.encode())
        run(LoadOrCreate(store, gather(store)))
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self.folder,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            self.born = await self._hear()
        except BaseException:
            await self.__aexit__()
            raise
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
        """The node's answer to a command. Raises Ended, with its traceback, when it ended instead."""
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
        raise Ended("".join(said[-20:]))

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
