"""What libp2p costs a board, against a real go-libp2p, and how fast the gateway's is beside py-libp2p."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

from .. import mpy, qemu
from ..libp2p.pairs import STEPS, Ours, board, said
from ..libp2p.peers import Peer
from ..report import Row
from .kernel import CLOCK_KHZ, CYCLES_PER_INSTRUCTION, METHOD, loop_hold_ms

MESSAGES, SIZE = 20_000, 64
ROUNDS = 3
ECHO = 256 << 10

PROGRAM = """
import gc, json
from binascii import unhexlify
from instructions import start, stop
from picoswarm.crypto import run
from picoswarm.ed25519 import Sign
from picoswarm.nodekey import Identity
from picoswarm.p2psetup import P2pSetup, signed_text
from picoswarm.peerkey import encode_key, peer_id

class Running:
    def __init__(self, seed, private, public):
        node = Identity(unhexlify(seed), unhexlify(private), unhexlify(public))
        self.static_private = node.static_private
        self.static_public = node.static_public
        self.public_key = encode_key(node.id)
        self.signature = run(Sign(node.seed, node.id, signed_text(self.static_public)))

a = Running(
    "0000000000000000000000000000000000000000000000000000000000000000",
    "5046adc1dba838867b2bbbfdd0c3423e58b57970b5267a90f57960924a87f156",
    "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
)
b = Running(
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "307c83864f2833cb427a2ef1c00a013cfdff2768d980c0a3a520f006904de94f",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
)

def counted(function, *args):
    gc.collect()
    begin, end = start, stop
    begin()
    result = function(*args)
    return end(), result

def session():
    total, longest = [0, 0], [0, 0]
    dialed = peer_id(b.public_key)
    sides = (P2pSetup(a, lambda n: b"1" * n, True, dialed), P2pSetup(b, lambda n: b"2" * n, False))
    sent = 0
    for turn in range(12):
        i = turn & 1
        side = sides[i]
        more = True
        while more:
            n, more = counted(side.work)
            total[i] += n
            longest[i] = max(longest[i], n)
        data = side.out
        side.out = b""
        sent += len(data)
        if data:
            other = sides[1 - i]
            other.buf[other.fill : other.fill + len(data)] = data
            other.receive(len(data))
    assert sides[0].stage == sides[1].stage == 2, (sides[0].reason, sides[1].reason)
    return total, longest, sent

session()
print(json.dumps(session()))
"""


async def _board() -> tuple[int, int]:
    """(most of the heap until the connection is there, most until all steps are done) of a board that dials a real node."""
    async with Peer("go") as peer, board("dial", peer.address, str(ECHO), "watched") as process:
        assert (await said(process))["ok"]
        dialed = (await said(process))["dialed"]
        for step in STEPS[1:6]:
            assert (await said(process))["ok"], step
        return dialed, (await said(process))["heap"]


async def _blast_of_ours(count: int) -> float:
    """Messages a second of ours to go-libp2p, one write each."""
    async with Peer("go") as peer, Ours() as ours:
        stream = await (await ours.host.dial(peer.address)).open_stream("/count/1.0.0")
        await stream.write(count.to_bytes(4, "big"))
        message = bytes(SIZE)
        began = time.perf_counter()
        for _ in range(count):
            await stream.write(message)
        await stream.read_exactly(1)
        return count / (time.perf_counter() - began)


async def _blast_of_py(count: int) -> float:
    async with Peer("go") as target, Peer("py") as peer:
        await peer.do("dial", addr=target.address)
        done = await peer.do("blast", peer=target.id, count=count)
        return count / done["seconds"]


def measure() -> Iterator[Row]:
    program = mpy.translate(PROGRAM, qemu.arch("m0"), 3, form=mpy.APART)
    output = qemu.run("m0", qemu.library_files("m0", level=3, form=mpy.APART), program, timeout_s=300)
    total, longest, sent = json.loads(output)
    yield Row(
        "libp2p.board.handshake.instructions",
        "a whole libp2p set-up, the dearer side: Noise, and the check of the peer's signature",
        max(total),
        "instructions",
        70_000_000,
        method=METHOD,
    )
    yield Row(
        "libp2p.board.loop_hold_ms",
        "longest span of a libp2p set-up without a turn of the loop",
        loop_hold_ms(max(longest)),
        "ms",
        method=f"{METHOD}; instructions x {CYCLES_PER_INSTRUCTION} / {CLOCK_KHZ:,}",
    )
    yield Row("libp2p.board.setup.bytes", "TCP payload of a libp2p set-up, both ways", sent, "bytes", method=METHOD)
    _, heap = asyncio.run(_board())
    yield Row(
        "libp2p.board.heap_peak",
        "most heap above the mesh node: dialing go-libp2p, identify, 100 pings, 256 KB echoed, streams reset",
        heap,
        "bytes",
        24 * 1024,
        method="32-bit unix build, real sockets; after a collection in each turn of the loop; native code outside the heap",
    )
    ours = max(asyncio.run(_blast_of_ours(MESSAGES)) for _ in range(ROUNDS))
    theirs = max(asyncio.run(_blast_of_py(MESSAGES // 10)) for _ in range(ROUNDS))
    how = f"the best of {ROUNDS}; one stream to go-libp2p {SIZE} B a write, until the last one is counted there"
    yield Row("libp2p.messages_per_s", "messages of 64 B to go-libp2p, one write each", ours, "1/s", method=how)
    yield Row("libp2p.py.messages_per_s", "the same of py-libp2p", theirs, "1/s", method=how)
    yield Row("libp2p.vs_py.ratio", "ours against py-libp2p", ours / theirs, "x", 3, better="higher", method=how)
