"""What a session's set-up costs a Pico: instructions of each side under qemu, bytes over TCP, and what sealing adds."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .. import mpy, qemu
from ..report import Row
from .kernel import CLOCK_KHZ, CYCLES_PER_INSTRUCTION, METHOD, loop_hold_ms

FRAME_HEADER = 3  # of the mux (docs/protocol.md section 5)

PROGRAM = """
import gc, json
from binascii import unhexlify
from instructions import start, stop
from picoswarm.handshake import Handshake, Reception
from picoswarm.hello import Hello
from picoswarm.membership import Membership, NetworkKey
from picoswarm.nodekey import Identity
from picoswarm.sealed import Sealed

a = Identity(
    bytes(32),
    unhexlify("c8a3c662833d15873ff6542fec7e9be91560458ede4489ce1bc7b52ac8e7f46c"),
    unhexlify("d0bb199c263f132f36652769b34172caf2b99c5473d4555b9f0f0228fc37db53"),
)
b = Identity(
    bytes(32),
    unhexlify("709d12ae04719826c0ea1430827438d2ff6e21e1369164872d47bc0103410250"),
    unhexlify("855969fdce98b54abcd8174314f17521cf269223088debdce9743ac60d053c1d"),
)

class Running:  # what a node keeps of its identity: the static key is derived once, at the start
    def __init__(self, identity):
        self.id = identity.id
        self.static_private = identity.static_private
        self.static_public = identity.static_public

a, b = Running(a), Running(b)
key = NetworkKey(bytes(range(32)), 1)
keys = Membership(key)
hello = Hello(0, 4660, bytes(6), bytes(7), 768, 4).encode()
draws = [0]
out = bytearray(200)

def draw(n):
    draws[0] += 1
    return bytes((draws[0],)) * n

def counted(function, *args):
    gc.collect()
    begin, end = start, stop
    begin()
    result = function(*args)
    return end(), result

def session():
    gc.collect()
    before = gc.mem_alloc()
    total, longest, held = [0, 0], [0, 0], 0
    sides = []
    for i in range(2):
        n, side = counted(Handshake, (a, b)[i], (key, keys)[i], draw, hello, i == 0, None if i == 0 else Reception(),
            b.id if i == 0 else None, 0)
        total[i] += n
        longest[i] = max(longest[i], n)
        sides.append(side)
    sent = 0
    turn = 0
    while sides[0].stage < 2 or sides[1].stage < 2:
        i = turn & 1
        more = True
        while more:
            n, more = counted(sides[i].work)
            total[i] += n
            longest[i] = max(longest[i], n)
            gc.collect()
            held = max(held, gc.mem_alloc() - before)
        n, size = counted(sides[i].to_send, out)
        total[i] += n
        sent += size
        other = sides[1 - i]
        other.buf[other.fill : other.fill + size] = out[:size]
        n, _ = counted(other.receive, size, 0)
        total[1 - i] += n
        turn += 1
    assert sides[0].stage == sides[1].stage == 2 and sides[0].send_key == sides[1].receive_key
    return total, longest, sent, held

session()  # what is made once
total, longest, sent, held = session()
record = bytearray(2 + 512 + 16)
sealer = Sealed(bytes(32))
sealer.seal(record, 0, 514)
print(json.dumps([total, longest, sent, held, sealer.seal(record, 0, 514) - 512, counted(sealer.seal, record, 0, 514)[0]]))
"""


def measure() -> Iterator[Row]:
    # Without bundles: that of the sessions needs asyncio, which the emulator's firmware has not.
    program = mpy.translate(PROGRAM, qemu.arch("m0"), 3, form=mpy.APART)
    output = qemu.run("m0", qemu.library_files("m0", level=3, form=mpy.APART), program, timeout_s=300)
    total, longest, sent, held, overhead, sealing = json.loads(output)
    for side, each in zip(("initiator", "responder"), total, strict=True):
        yield Row(
            f"handshake.instructions.{side}", f"a whole set-up, the {side}'s side", each, "instructions", method=METHOD
        )
    yield Row("handshake.instructions", "a whole set-up, a side", max(total), "instructions", 52_000_000, method=METHOD)
    yield Row(
        "handshake.loop_hold_ms",
        "longest span of a set-up without a turn of the loop",
        loop_hold_ms(max(longest)),
        "ms",
        20,
        method=f"{METHOD}; instructions x {CYCLES_PER_INSTRUCTION} / {CLOCK_KHZ:,}",
    )
    yield Row(
        "handshake.heap",
        "most that both sides of one set-up hold together, their keys and HELLOs included",
        held,
        "bytes",
        method=f"{METHOD}; after a collection behind every slice",
    )
    yield Row(
        "session.setup.bytes", "TCP payload of a whole set-up over IPv4 without a name", sent, "bytes", 260, method=METHOD
    )
    yield Row(
        "secure.overhead.bytes",
        "what a record with one frame adds: length, tag and the frame's header",
        overhead + FRAME_HEADER,
        "bytes",
        21,
        method=f"{METHOD}; a record of 512 bytes, and the {FRAME_HEADER} of a frame's header",
    )
    yield Row("secure.seal512.instructions", "sealing a record of 512 bytes", sealing, "instructions", method=METHOD)
