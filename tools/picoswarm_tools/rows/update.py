"""What an update costs a board: heap, time and bytes. A 32-bit MicroPython node with the library of a board fetches an
application of 40 KB from a node in this process, over a session on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm import Node
from picoswarm.appslots import UPDATE_KEY
from picoswarm.membership import Membership
from picoswarm.serving import piece, wants
from picoswarm.store import Store
from picoswarm_gateway.families.update import bundle

from .. import mpy, runtimes
from ..keyfolder import new_network_key, save
from ..report import Row
from ..swarm import HOST, free_ports

PROGRAM = Path(__file__).resolve().parents[1] / "unix" / "update_probe.py"
HEAP = 205_312  # of a Raspberry Pi Pico W
SIZE = 40_000
PATIENCE_S = 120
UNIX = "32-bit unix build, library at -O3, after two collections; beyond a node with one session"


async def _observe(folder: Path) -> dict[str, int]:
    """What the probe told, and how many bytes of questions and answers there were."""
    key, membership = Ed25519PrivateKey.generate(), Membership(new_network_key())
    offered = bundle.make({"app.py": os.urandom(SIZE - 500), "lib.py": os.urandom(500)}, 1, ["probe"], key)
    board = Store(str(folder / "swarm"))
    save(board, membership)
    board.write(UPDATE_KEY, key.public_key().public_bytes_raw())
    ours = Store(str(folder / "neighbour"))
    save(ours, membership)
    ports = free_ports(2)
    told = {"bytes": 0, "bundle": len(offered.raw)}

    def serve(_caller: bytes, payload: bytes) -> bytes:
        answer = b""
        if payload[0] == 0 and "idle" in told and wants(offered.header, payload):
            answer = offered.header.text
        elif payload[0] in (1, 2):
            answer = piece(offered, payload)
        told["bytes"] += len(payload) + len(answer) + 13  # head of request and answer, with the name of the method
        return answer

    profile = {"bootstrap": 1, "start_ms": 0}
    async with Node(ours, profile=profile, host=HOST, port=ports[0]) as node, asyncio.timeout(PATIENCE_S):
        node.handle("update", serve)
        process = await asyncio.create_subprocess_exec(
            *(str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}", str(PROGRAM)),
            *(str(folder), HOST, str(ports[1]), f"{HOST}:{ports[0]}"),
            env={**os.environ, "MICROPYPATH": f"{mpy.compile_library('x86', 3)}:.frozen"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            umask=0o077,
        )
        try:
            async for line in process.stdout:
                told.update(json.loads(line))
                if "idle" in told and "after" not in told:
                    await node.request(node.sessions()[0][0], "update", b"\3" + (1).to_bytes(4))
                if "after" in told and "serving" not in told:
                    question = b"\2" + offered.header.id + bytes(2)
                    await node.request(node.sessions()[0][0], "update", question)
                    process.stdin.write(b"\n")
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return told


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        told = asyncio.run(_observe(Path(name)))
    heap = {"idle": 6 * 1024, "fetching": 18 * 1024, "serving": 11 * 1024}
    what = {"idle": "an Updater that rests", "fetching": "one that fetches, at most", "serving": "one that hands on"}
    for state, goal in heap.items():
        yield Row(f"update.heap.{state}", what[state], told[state], "B", goal, gate=False, method=UNIX)
    how = f"{SIZE:,} bytes in 2 files, from one neighbour on loopback"
    yield Row("update.seconds", "from the first piece to the last check", told["ms"] / 1000, "s", gate=False, method=how)
    share = told["bytes"] / SIZE
    yield Row("update.bytes_ratio", "questions and answers for each byte", share, "x", 1.5, gate=False, method=how)
