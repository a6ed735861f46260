"""What works between our libp2p and each real one, each as dialer and as listener: a table with a mark for each step."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from picoswarm.crypto import run
from picoswarm.failures import StreamError
from picoswarm.identity import Kept
from picoswarm.nodekey import Create
from picoswarm.peerkey import encode_key
from picoswarm.slots import IDENTITY
from picoswarm.store import Store
from picoswarm_gateway.families.libp2p.host import Host
from picoswarm_gateway.families.libp2p.pubsub import PubSub

from .. import mpy, runtimes
from ..swarm import free_ports
from .peers import KINDS, Peer

STEPS = ("handshake", "identify", "100 pings", "echo", "half-close", "reset", "pubsub to it", "pubsub from it")
ECHO, BOARD_ECHO = 4 << 20, 256 << 10
TOPIC = "pairs"
BOARD_HEAP_KB = 192  # a Pico W has 200
BOARD = runtimes.ROOT / "tools" / "picoswarm_tools" / "unix" / "libp2p_board.py"
Marks = dict[str, bool]


class _Pool:
    """Bytes of the system's, as an entropy pool gives them."""

    @staticmethod
    def draw_key(n: int) -> bytes:
        return os.urandom(n)


class Ours:
    """A Host with pubsub, an echo and what it heard."""

    def __init__(self, is_gossip: bool = True) -> None:
        node = run(Create(_Pool()))
        keys = Kept()
        keys.id, keys.static_private, keys.static_public = node.id, node.static_private, node.static_public
        keys.public_key = encode_key(node.id)
        self._folder = tempfile.TemporaryDirectory(prefix="picoswarm-")

        store = Store(self._folder.name)
        store.write(IDENTITY, node.encode())
        self.host = Host(keys, store)
        self.heard: list[bytes] = []
        self.pubsub = PubSub(self.host, node.seed, lambda message: self.heard.append(message.data), is_gossip)
        self.host.handle("/echo/1.0.0", _echo)
        self.host.handle("/reset/1.0.0", _reset)

    async def __aenter__(self) -> Ours:
        await self.host.listen(0, bytes((127, 0, 0, 1)))
        self.pubsub.start()
        self.pubsub.subscribe(TOPIC)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.pubsub.stop()
        await self.host.stop()
        self._folder.cleanup()

    async def hears(self, data: bytes) -> bool:
        for _ in range(100):
            if data in self.heard:
                return True
            await asyncio.sleep(0.1)
        return False


async def _echo(stream: Any) -> None:
    while data := await stream.read(65536):
        await stream.write(data)


async def _reset(stream: Any) -> None:
    stream.reset()


async def echo(connection: Any, size: int, name: str = "/echo/1.0.0") -> tuple[bool, bool]:
    """(the bytes came back, the end came behind them) of an echo."""
    stream = await connection.open_stream(name)
    data, back = os.urandom(size), bytearray()

    async def write() -> None:
        await stream.write(data)
        stream.close()

    writing = asyncio.create_task(write())
    while part := await stream.read(1 << 20):
        back += part
    await writing
    return back == data, True


async def is_reset(connection: Any) -> bool:
    """Whether a stream that the other side resets is known to be so."""
    try:
        stream = await connection.open_stream("/reset/1.0.0")
        await stream.read()
    except StreamError:
        return True
    return False


async def gateway_dials(kind: str, *arguments: str) -> Marks:
    """Our host dials a real node."""
    marks = dict.fromkeys(STEPS, False)
    async with Peer(kind, *arguments) as peer, Ours("floodsub" not in arguments) as ours:
        await peer.do("subscribe", topic=TOPIC)
        connection = await ours.host.dial(peer.address)
        marks["handshake"] = connection.peer == peer.id
        marks["identify"] = "/echo/1.0.0" in (await connection.identify()).protocols
        for _ in range(100):
            await connection.ping()
        marks["100 pings"] = True
        marks["echo"], marks["half-close"] = await echo(connection, ECHO)
        marks["reset"] = await is_reset(connection)
        await talk(marks, ours, peer)
    return marks


async def talk(marks: Marks, ours: Ours, peer: Peer) -> None:
    """Pubsub, both ways."""
    for _ in range(100):
        known = ours.pubsub.router.peers.values()
        if any(TOPIC in each.topics for each in known) and (await peer.do("mesh", topic=TOPIC)).get("peers"):
            break
        await asyncio.sleep(0.1)
    for attempt in range(40):  # the first may come before the mesh
        ours.pubsub.publish(TOPIC, b"ours %d" % attempt)
        await peer.do("publish", topic=TOPIC, data=f"theirs {attempt}")
        await asyncio.sleep(0.5)
        marks["pubsub to it"] |= any(str(event.get("data", "")).startswith("ours") for event in peer.events)
        marks["pubsub from it"] |= any(data.startswith(b"theirs") for data in ours.heard)
        if marks["pubsub to it"] and marks["pubsub from it"]:
            return


async def _is_identified(peer: Peer, own: str) -> bool:
    """Whether a real node soon knows what we serve."""
    for _ in range(100):
        if "/echo/1.0.0" in ((await peer.do("identify", peer=own)).get("protocols") or []):
            return True
        await asyncio.sleep(0.1)
    return False


async def gateway_listens(kind: str) -> Marks:
    """A real node dials our host."""
    marks = dict.fromkeys(STEPS, False)
    async with Peer(kind) as peer, Ours() as ours:
        await peer.do("subscribe", topic=TOPIC)
        own = ours.host.peer_id
        marks["handshake"] = (await peer.do("dial", addr=ours.host.address_texts()[0])).get("peer") == own
        marks["identify"] = await _is_identified(peer, own)
        marks["100 pings"] = (await peer.do("ping", peer=own, count=100)).get("good") == 100
        echoed = await peer.do("echo", peer=own, proto="/echo/1.0.0", size=ECHO)
        marks["echo"] = echoed.get("sent", "") == echoed.get("got") and echoed["bytes"] == ECHO
        marks["half-close"] = marks["echo"]  # the peer ends its half before the echo does
        marks["reset"] = "error" not in await peer.do("reset", peer=own, proto="/echo/1.0.0") and ours.host.connections != []
        await talk(marks, ours, peer)
    return marks


@asynccontextmanager
async def board(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A MicroPython node on the heap of a board, running unix/libp2p_board.py."""
    library = mpy.compile_library("x86", 3)
    folder = Path(tempfile.mkdtemp(prefix="picoswarm-"))
    program = folder / "libp2p_board.py"
    program.write_text(mpy.translate(BOARD.read_text(), "x86", 3))
    process = await asyncio.create_subprocess_exec(
        *(str(runtimes.find("micropython")), "-X", f"heapsize={BOARD_HEAP_KB}k", str(program)),
        *(str(folder / "node"), str(free_ports(1)[0])),
        *arguments,
        stdout=-1,
        env={**os.environ, "MICROPYPATH": f"{library}:.frozen"},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        shutil.rmtree(folder)


async def said(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """The next line of JSON that a board prints. Raises EOFError with what it said instead."""
    text = ""
    while line := await asyncio.wait_for(process.stdout.readline(), 120):
        if line.startswith(b"{"):
            return json.loads(line)
        text += line.decode()
    raise EOFError(text)


async def board_dials(kind: str) -> Marks:
    """A board dials a real node."""
    async with Peer(kind) as peer, board("dial", peer.address, str(BOARD_ECHO)) as process:
        return {step: bool((await said(process)).get("ok")) for step in STEPS[:6]}


async def board_listens(kind: str) -> Marks:
    """A real node dials a board."""
    marks = dict.fromkeys(STEPS[:6], False)
    async with Peer(kind) as peer, board("listen", str(free_ports(1)[0])) as process:
        address = (await said(process))["address"]
        own = address.rpartition("/")[2]
        marks["handshake"] = (await peer.do("dial", addr=address)).get("peer") == own
        marks["identify"] = await _is_identified(peer, own)
        marks["100 pings"] = (await peer.do("ping", peer=own, count=100)).get("good") == 100
        echoed = await peer.do("echo", peer=own, proto="/echo/1.0.0", size=4096)
        marks["echo"] = marks["half-close"] = echoed.get("sent", "") == echoed.get("got") and echoed["bytes"] == 4096
        marks["reset"] = "error" not in await peer.do("reset", peer=own, proto="/echo/1.0.0")
    return marks


async def table(kinds: tuple[str, ...] = KINDS) -> str:
    """The whole table, as Markdown."""
    lines = ["| dialer | listener | " + " | ".join(STEPS) + " |", "|---|---|" + "---|" * len(STEPS)]
    for dialer, listener, pair in (
        ("gateway", "{}-libp2p", gateway_dials),
        ("{}-libp2p", "gateway", gateway_listens),
        ("board", "{}-libp2p", board_dials),
        ("{}-libp2p", "board", board_listens),
    ):
        for kind in kinds:
            try:
                marks = await pair(kind)
            except Exception as error:
                marks = {STEPS[0]: False}
                print(f"{dialer} {listener} {kind}: {error!r}")
            cells = ["yes" if marks.get(step) else "NO" if step in marks else "-" for step in STEPS]
            lines.append(f"| {dialer.format(kind)} | {listener.format(kind)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
