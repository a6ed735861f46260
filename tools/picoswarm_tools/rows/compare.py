"""What a user would pick instead, beside ours: same interpreter, same heap, in one run (`make peers` brings them).

Each runs as a program of unix/ on 32-bit MicroPython, precompiled with -O3, and sends readings of 32 bytes: MQTT to a
real mosquitto under a topic, microdot through a websocket without one, ours under the same topic to a subscriber,
encrypted. Bytes are those that TCP carries, both ways. Processor time is the process's own, in turns: A B A B.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from picoswarm import Node, Profile
from picoswarm.crypto import run
from picoswarm.keys import LoadOrCreate, gather
from picoswarm.membership import Membership
from picoswarm.store import Store

from .. import mpy, peers, runtimes
from ..boards import boards, numbers_of
from ..keyfolder import new_network_key, save
from ..native import native_bytes
from ..probe import PROGRAMS, Ended
from ..report import Row
from ..swarm import HOST, free_ports

LEVEL = 3
BOARD = "RPI_PICO_W"  # whose heap each has
APART_MS = 100
SINGLE = 50  # readings, APART_MS apart
BURST = 300  # readings as fast as they go
ROUNDS = 3
ECHOES = 100
METHOD = f"32-bit unix build, .mpy -O3, heap of {BOARD}, loopback"


class Pipe:
    """A TCP relay that counts what it passes on."""

    def __init__(self) -> None:
        self.bytes = 0

    @asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[int]:
        """Relay one port of ours to `port`."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, forth = await asyncio.open_connection(HOST, port)
            with suppress(ConnectionError):
                await asyncio.gather(self._copy(reader, forth), self._copy(back, writer))

        server = await asyncio.start_server(serve, HOST, 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            self.bytes += len(data)
            target.write(data)
            await target.drain()
        target.close()


@dataclass
class Program:
    """A program under measurement, and what was seen of it. `wire` gives the bytes that its connection has carried."""

    name: str
    process: asyncio.subprocess.Process
    wire: Callable = field(default=None)  # set once it is connected
    heap: int = 0
    each: float = 0  # bytes of a single reading
    seconds: list[float] = field(default_factory=list)  # of processor time for BURST readings
    us: int = 0

    async def hear(self) -> dict:
        assert self.process.stdout is not None
        said = []
        while line := await asyncio.wait_for(self.process.stdout.readline(), 60):
            with suppress(ValueError):
                return json.loads(line)
            said.append(line.decode(errors="replace"))
        raise Ended(f"{self.name}: {''.join(said[-20:])}")

    async def ask(self, command: str) -> dict:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        return await self.hear()

    def processor_s(self) -> float:
        """Processor time so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9


@asynccontextmanager
async def started(name: str, path: list[Path], *arguments: str) -> AsyncIterator[Program]:
    programs = mpy.library_folder("x86", LEVEL, mpy.LEAF)
    programs = programs.with_name(f"{programs.name}-programs")
    mpy.compile_beside([PROGRAMS / f"{each}.py" for each in (name, "compared")], programs, "x86", LEVEL, mpy.LEAF)
    heap = next(board["heap_bytes"] for board in boards() if board["board"] == BOARD)
    process = await asyncio.create_subprocess_exec(
        str(runtimes.find("micropython")),
        *("-X", f"heapsize={heap}", "-m", name, *arguments),
        env={**os.environ, "MICROPYPATH": ":".join(map(str, [*path, programs, ".frozen"]))},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Program(name.partition("_")[2], process)
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _listens(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError(f"nobody listens at port {port}")


@asynccontextmanager
async def broker(config: Path) -> AsyncIterator[int]:
    """A mosquitto that takes anybody, by a file to be written; gives its port."""
    command, environment = peers.mosquitto()
    (port,) = free_ports(1)
    config.write_text(f"listener {port} {HOST}\nallow_anonymous true\nset_tcp_nodelay true\n")
    process = await asyncio.create_subprocess_exec(
        *command,
        *("-c", str(config)),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listens(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def mqtt(folder: Path, name: str, path: Path) -> AsyncIterator[Program]:
    """A client, with a broker of its own behind a relay that counts."""
    pipe = Pipe()
    async with (
        broker(folder / f"{name}.conf") as broker_port,
        pipe.to(broker_port) as port,
        started(f"compare_{name}", [path], str(port)) as program,
    ):
        program.heap = (await program.hear())["heap"]

        async def wire() -> int:
            return pipe.bytes

        program.wire = wire
        yield program


@asynccontextmanager
async def websocket() -> AsyncIterator[Program]:
    """microdot, and the other end of its socket: it counts, and sends back what came while nothing else is going on."""
    (port,) = free_ports(1)
    async with started("compare_microdot", [peers.microdot()], str(port)) as program:
        await _listens(port)
        reader, writer = await asyncio.open_connection(HOST, port)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (f"Host: {HOST}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
        lines = ("GET / HTTP/1.1", *head, f"Sec-WebSocket-Key: {key}", "", "")
        writer.write("\r\n".join(lines).encode())
        await reader.readuntil(b"\r\n\r\n")
        count = [0]

        async def serve() -> None:
            while True:
                _, size = struct.unpack("BB", await reader.readexactly(2))
                data = await reader.readexactly(size)
                count[0] += 2 + size
                if program.us < 0:  # it asks for an echo
                    mask = os.urandom(4)
                    masked = bytes(byte ^ mask[i & 3] for i, byte in enumerate(data))
                    writer.write(bytes((0x82, 0x80 | size)) + mask + masked)
                    count[0] += 6 + size

        async def wire() -> int:
            return count[0]

        serving = asyncio.create_task(serve())
        program.heap = (await program.hear())["heap"]
        program.wire = wire
        try:
            yield program
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            writer.close()


@asynccontextmanager
async def ours(folder: Path, numbers: dict[str, int]) -> AsyncIterator[Program]:
    """A node of ours, with a session to a subscriber that takes as many messages as come."""
    membership = Membership(new_network_key())
    store = Store(str(folder / "node"))
    save(store, membership)
    run(LoadOrCreate(store, gather(store)))
    (port, own_port) = free_ports(2)
    profile = Profile(links=8, outbound=1, inbound=7, publish_burst=1000, publish_ms=1, deliveries=1000)
    async with Node(str(folder / "member"), membership, profile, host=HOST, port=own_port) as member:
        member.handle("echo", lambda caller, payload: payload)
        heard = [0]

        async def hear() -> None:
            async for _ in member.subscribe("house/#"):
                heard[0] += 1

        hearing = asyncio.create_task(hear())
        arguments = [str(folder / "node"), str(port), member.id.hex(), *(f"{k}={v}" for k, v in numbers.items())]
        async with started("compare_picoswarm", [mpy.compile_library("x86", LEVEL, mpy.LEAF)], *arguments) as program:
            born = await program.hear()
            member._discovery.add_bootstrap(bytes((127, 0, 0, 1)), port, bytes.fromhex(born["id"]))
            seen = await program.ask("go")
            if seen["sessions"] != 1:
                raise Ended("ours has no session")
            program.heap = seen["heap"] + native_bytes(mpy.LEAF)  # which a board from files has in its heap, too

            is_counting = []

            async def wire() -> int:
                is_counting.append(True)
                return (await program.ask("wire" if len(is_counting) > 1 else "count"))["wire"]

            program.wire = wire
            yield program
            await asyncio.sleep(0.5)
            if heard[0] != SINGLE + ROUNDS * BURST:
                raise Ended(f"of {SINGLE + ROUNDS * BURST} readings {heard[0]} came")
        hearing.cancel()


async def _observe(folder: Path, troubles: list[str]) -> list[Program]:
    async with AsyncExitStack() as stack:
        programs: list[Program] = []
        for bring in (
            lambda: mqtt(folder, "umqtt", peers.umqtt()),
            lambda: mqtt(folder, "mqtt_as", peers.mqtt_as()),
            websocket,
            lambda: ours(folder, numbers_of("leaf")),
        ):
            try:
                programs.append(await stack.enter_async_context(bring()))
            except runtimes.Missing as trouble:
                troubles.append(str(trouble))
        for program in programs:
            before = await program.wire()
            await program.ask(f"send {SINGLE} {APART_MS}")
            await asyncio.sleep(0.5)
            program.each = (await program.wire() - before) / SINGLE
        for _ in range(ROUNDS):
            for program in programs:
                before = program.processor_s()
                await program.ask(f"send {BURST} 0")
                await asyncio.sleep(0.5)
                program.seconds.append(program.processor_s() - before)
        for program in programs:
            program.us = -1
            program.us = (await program.ask(f"echo {ECHOES}"))["us"]
        return programs


WHAT = {
    "umqtt": "umqtt.simple, QoS 0, to mosquitto",
    "mqtt_as": "mqtt_as, QoS 0, to mosquitto",
    "microdot": "microdot, one websocket, no topic",
    "picoswarm": "picoswarm, leaf profile, one session, encrypted",
}


def measure() -> Iterator[Row]:
    troubles: list[str] = []
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        programs = asyncio.run(_observe(Path(folder), troubles))
    for program in programs:
        name, what = program.name, WHAT[program.name]
        yield Row(f"compare.heap.{name}", f"{what}: heap once connected", program.heap, "bytes", method=METHOD)
        yield Row(
            f"compare.wire.{name}",
            f"{what}: TCP payload of a single 32-byte reading, both ways",
            round(program.each, 1),
            "bytes",
            method=f"{SINGLE} readings, {APART_MS} ms apart",
        )
        rate = BURST / median(program.seconds)
        yield Row(
            f"compare.messages.{name}",
            f"{what}: 32-byte readings sent in a second of processor time",
            round(rate),
            "1/s",
            better="higher",
            gate=False,
            method=f"{METHOD}; {BURST} at once, median of {ROUNDS} in turns; wall-clock noise",
        )
        yield Row(
            f"compare.round_trip.{name}",
            f"{what}: a reading that comes back",
            program.us,
            "us",
            gate=False,
            method=f"{METHOD}, median of {ECHOES}",
        )
    if troubles:
        raise runtimes.Missing("; ".join(troubles))
