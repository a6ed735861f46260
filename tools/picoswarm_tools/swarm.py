"""Real MicroPython nodes as processes on 127.0.0.1: started, watched through their own words, killed and started again.

Each has a folder of its own with the mesh's network key, makes its node key at its first boot, and runs
firmware/demo_node.py from the precompiled library under a board's heap. What is known of a node is what it printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from picoswarm.membership import Membership
from picoswarm.store import Store

from . import mpy, runtimes
from .keyfolder import save

HOST = "127.0.0.1"
# Below the numbers that systems give to outgoing connections: such a connection could take a free port before its user does.
_PORTS = range(10_000, 32_768)
_claims: deque[socket.socket] = deque(maxlen=64)  # of the ports that were given out last
NODE_PROGRAM = runtimes.ROOT / "firmware" / "demo_node.py"


class Trouble(Exception):
    """The swarm cannot be started; the message says why, for a user."""


def free_ports(count: int, first: int | None = None) -> list[int]:
    """`count` ports of 127.0.0.1 that nobody has now, neither for UDP nor for TCP: the given ones from `first` on, or any of
    _PORTS, which other programs that ask here are not given meanwhile. Raises Trouble."""
    ports: list[int] = []
    with ExitStack() as probes:
        for port in range(first, first + count) if first else random.sample(_PORTS, len(_PORTS)):
            try:
                if not first:
                    _claim(port)  # before the probe, which would be in the way of who was given it
                _probe(port, probes)
            except (OSError, OverflowError) as error:
                if first:
                    raise Trouble(f"Port {port} of {HOST} cannot be had ({error}); choose others with --port.") from None
                continue
            ports.append(port)
            if len(ports) == count:
                break
    return ports


def _probe(port: int, probes: ExitStack) -> None:
    """Take a port for UDP and TCP, as a node does, until `probes` closes. Raises OSError, OverflowError."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        probe = probes.enter_context(socket.socket(socket.AF_INET, kind))
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


def _claim(port: int) -> None:
    """Keep other programs from being given the port before its user has taken it: by a name that a Linux system gives to one
    socket at a time. Raises OSError where another program has it."""
    if not sys.platform.startswith("linux"):
        return
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0picoswarm port {port}")
    except OSError:
        claim.close()
        raise
    if len(_claims) == _claims.maxlen:
        _claims.popleft().close()
    _claims.append(claim)


def board_heap(board: str) -> int:
    """Bytes of the Python heap of a board, from its board.json. Raises Trouble."""
    path = runtimes.ROOT / "boards" / board / "board.json"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in path.parent.parent.glob("*/board.json")))
        raise Trouble(f"There is no board {board}; there are: {known}.")
    return json.loads(path.read_text())["heap_bytes"]


class NodeProcess:
    """One MicroPython node. `state` is its last report; `id` what it said of itself at its start, in hex."""

    program = NODE_PROGRAM

    def __init__(self, name: str, folder: Path, port: int, membership: Membership, heap_bytes: int) -> None:
        self.name = name
        self.port = port
        self.id = ""
        self.first_id = ""  # of its first boot; a node comes back under the same one
        self.boots = 0
        self.boot_ms = 0
        self.last_words = 0  # boots of which it told the state at their end
        self.state: dict = {}
        self.heap_max = 0
        self.finds: list[dict] = []
        self.echoes: list[dict] = []
        self._before: dict[str, int] = {}  # counts of the boots before
        self.said: list[str] = []  # the last lines that were no report: tracebacks
        self.reported_at = 0.0
        self.process: asyncio.subprocess.Process | None = None
        self._folder = folder
        self._heap_bytes = heap_bytes
        self._listener: asyncio.Task | None = None
        self._is_ended = False  # by us
        save(Store(str(folder)), membership)

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.returncode is None

    @property
    def trouble(self) -> str:
        """Why the node is down though nobody ended it: the last line of its traceback; empty when all is well."""
        if self.process is None or self.is_up or self._is_ended:
            return ""
        return self.said[-1] if self.said else f"exit code {self.process.returncode}"

    @property
    def peers(self) -> set[str]:
        """First 4 bytes, in hex, of the ids that the node holds for live."""
        return set(self.state.get("peers", ()))

    def total(self, name: str) -> int:
        """A count of the demo program, over all boots."""
        return self._before.get(name, 0) + self.state.get(name, 0)

    def stat(self, name: str) -> int:
        return self.state.get("stats", {}).get(name, 0)

    async def start(self, bootstrap: str, numbers: Mapping[str, int | str], library: Path | None = None) -> None:
        """Start the process; `numbers` change its profile (and what else the program knows),
        `library` is where the precompiled library is."""
        path = f"{library}:.frozen" if library else mpy.unix_path()
        command = [str(runtimes.find("micropython")), "-X", f"heapsize={self._heap_bytes}", str(self.program)]
        command += [str(self._folder), HOST, str(self.port), bootstrap, *(f"{k}={v}" for k, v in numbers.items())]
        self.process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "MICROPYPATH": path},
            stdin=asyncio.subprocess.PIPE,  # its end ends the node, so that none outlives this process
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us
        )
        self._begin()
        self._listener = asyncio.create_task(self._listen(self.process))

    def _begin(self) -> None:
        """Nothing is known of this boot yet; counts of those before stay."""
        for count in ("sent", "heard", "answered"):
            self._before[count] = self.total(count)
        self.state, self.id, self.said, self.boots = {}, "", [], self.boots + 1
        self._is_ended = False

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        """Take a line that the node said."""
        try:
            facts = json.loads(line)
        except ValueError:
            self.said = [*self.said[-40:], line.decode(errors="replace").rstrip()]
            return
        if "id" in facts:
            self.id, self.boot_ms = facts["id"], facts["ms"]
            self.first_id = self.first_id or self.id
        elif "find" in facts:
            self.finds.append(facts)
        elif "echo" in facts:
            self.echoes.append(facts)
        else:
            self.last_words += "end" in facts
            self.state = facts.get("state") or facts["end"]
            self.heap_max = max(self.heap_max, self.state["heap"])
            self.reported_at = time.monotonic()

    @property
    def was_cut_off(self) -> bool:
        """Whether a boot has ended, or goes on, without its last word: it may have done more than it told."""
        return self.last_words < self.boots

    def find(self, node_id: str) -> None:
        """Tell the node to look an id up; the outcome appears in `finds`."""
        self._tell(f"find {node_id}")

    def echo(self, node_id: str) -> None:
        """Tell the node to send some bytes through a stream to another one and back; the outcome appears in `echoes`."""
        self._tell(f"echo {node_id}")

    def talk(self, every_ms: int) -> None:
        """Tell the node to publish a message each so many milliseconds, 0 for no more."""
        self._tell(f"talk {every_ms}")

    def _tell(self, line: str) -> None:
        if self.is_up:
            assert self.process is not None and self.process.stdin is not None
            self.process.stdin.write(f"{line}\n".encode())

    async def kill(self) -> None:
        """Pull the plug: SIGKILL, nothing is said to anybody."""
        if self.process is None:
            return
        if self.is_up:
            self._is_ended = True
            self.process.kill()
        await self.process.wait()
        if self._listener is not None:
            await self._listener  # its pipe is at its end
            self._listener = None

    async def stop(self) -> None:
        """End the node in order; a node that does not end within 3 s is killed."""
        if self.is_up:
            assert self.process is not None and self.process.stdin is not None
            self._is_ended = True
            self.process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), 3)
        await self.kill()


def knows_nearest(node_id: str, peers: set[str], live: set[str], count: int = 8) -> bool:
    """Whether `peers` (first 4 bytes of ids, in hex) has, of the other `live` ids, the `count` nearest to `node_id`; there
    must be some."""
    nearest = sorted(live - {node_id}, key=lambda other: int(other, 16) ^ int(node_id, 16))[:count]
    return bool(nearest) and {other[:8] for other in nearest} <= peers
