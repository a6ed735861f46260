"""Rows of Bitcoin: how fast a gateway checks and saves headers, and what one costs a board."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from picoswarm_gateway.families.bitcoin import messages
from picoswarm_gateway.families.bitcoin.chain import target
from picoswarm_gateway.families.bitcoin.chainstore import SCHEMA, ChainStore
from picoswarm_gateway.families.bitcoin.networks import NETWORKS, double_sha256
from picoswarm_gateway.families.bitcoin.wire import MOST_HEADERS
from picoswarm_gateway.state import State

from .. import mpy, qemu
from ..report import Row
from .kernel import METHOD

COUNT = 20_000
TRIES = 3
REGTEST = NETWORKS["regtest"]
ANSWER = 8  # headers that a gateway tells a board at a time

PROGRAM = """
import gc, json
from binascii import unhexlify
from instructions import start, stop
from picoswarm.headers import Headers

headers = unhexlify("%s")
chain = Headers("regtest", 0, headers[:80])
costs = []
before = 0
for at in range(0, len(headers) // 80 - 1, 8):
    answer = at.to_bytes(4, "big") + (at + 8).to_bytes(4, "big")
    for i in range(at + 1, at + 9):
        header = headers[80 * i : 80 * i + 80]
        answer += header[:4] + header[36:]
    gc.collect()
    begin, end, take = start, stop, chain.take
    begin()
    wrong = take(answer)
    costs.append(end())
    assert wrong is None, wrong
assert chain.height == 48
del headers, answer, header, take
gc.collect()
held = gc.mem_alloc()
chain = None
gc.collect()
print(json.dumps([max(costs), held - gc.mem_alloc()]))
"""


def mined(count: int) -> list[bytes]:
    """A chain of regtest with real proof of work, of the easiest target; the first is the genesis."""
    headers, limit = [REGTEST.genesis], target(REGTEST.limit_bits)
    moment = int.from_bytes(REGTEST.genesis[68:72], "little")
    for height in range(1, count + 1):
        moment += 600
        head = (4).to_bytes(4, "little") + double_sha256(headers[-1]) + height.to_bytes(32, "little")
        head += moment.to_bytes(4, "little") + REGTEST.genesis[72:76]
        nonce = 0
        while int.from_bytes(double_sha256(head + nonce.to_bytes(4, "little")), "little") > limit:
            nonce += 1
        headers.append(head + nonce.to_bytes(4, "little"))
    return headers


async def _rate(folder: Path) -> float:
    db = State(folder / "state.sqlite")
    await db.open()
    await db.adopt("bitcoin", SCHEMA)
    store = ChainStore(db, REGTEST)
    chain = await store.load()
    headers = mined(COUNT)[1:]
    said = [messages.encode_headers(headers[at : at + MOST_HEADERS]) for at in range(0, COUNT, MOST_HEADERS)]
    began = time.perf_counter()
    for payload in said:
        change = chain.add(messages.decode_headers(payload), int(time.time()))
        if change.trouble:
            raise RuntimeError(str(change.trouble))
        await store.save(change)
    took = time.perf_counter() - began
    await db.close()
    if chain.tip.height != COUNT:
        raise RuntimeError("headers are missing")
    return COUNT / took


def measure() -> Iterator[Row]:
    rate = 0.0
    for _ in range(TRIES):
        with tempfile.TemporaryDirectory() as folder:
            rate = max(rate, asyncio.run(_rate(Path(folder))))
    yield Row(
        "bitcoin.headers_per_second",
        "headers that a gateway decodes, checks and has on its disk",
        rate,
        "headers/s",
        20_000,
        "higher",
        gate=False,
        method=f"the best of {TRIES} times {COUNT:,} headers of regtest, whose target every second hash meets; "
        f"{MOST_HEADERS:,} a message and commit",
    )
    program = mpy.translate(PROGRAM % b"".join(mined(48)).hex(), qemu.arch("m0"), 3, form=mpy.APART)
    output = qemu.run("m0", qemu.library_files("m0", level=3, form=mpy.APART), program, timeout_s=300)
    most, held = json.loads(output)
    yield Row(
        "bitcoin.board.header_instructions",
        "a header checked by a board: links, difficulty, proof of work, times",
        most / ANSWER,
        "instructions",
        method=f"{METHOD}; an eighth of the dearest answer of {ANSWER} headers, SHA-256 of the firmware included",
    )
    yield Row("bitcoin.board.ring", "the ring of 64 blocks and what goes with it", held, "bytes", method=METHOD)
