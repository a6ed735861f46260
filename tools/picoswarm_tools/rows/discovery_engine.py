"""Rows of the discovery engine alone, without driver and sockets: what a record, a search of the table and a served datagram
cost. Instructions are those of an emulated Cortex-M0+, where a run is the same every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from picoswarm.crypto import X25519, run
from picoswarm.identity import pair_key
from picoswarm.nodekey import Identity

from .. import crowd, mpy, qemu, runtimes
from ..report import Row

LEVEL = 3
PARTS = Path(__file__).parents[1] / "device" / "engine_parts.py"
ON_M0 = "Cortex-M0+ build under qemu-system-arm -icount, library precompiled with -O3, 1 MB heap, collected just before"
ON_UNIX = "32-bit unix build, .mpy -O3"

BEGIN = """
import gc
import json
from array import array
from binascii import unhexlify
from engine_parts import *

own, first, second = [[unhexlify(text) for text in pair] for pair in {keys}]
out = bytearray(LONGEST)

def made(**numbers):
    engine = make_engine(*own, **numbers)
    engine.tick(20000)  # nobody to ask: what is proven is admitted
    return engine

def two_peers(engine):
    peers = [Peer(engine, *first, 2), Peer(engine, *second, 3)]
    for peer in peers:
        peer.meet(out)
    return peers
"""

RECORD = """
def used(records):
    gc.collect()
    gc.collect()
    before = gc.mem_alloc()
    engine = make_engine(*own, records=records)
    gc.collect()
    gc.collect()
    return gc.mem_alloc() - before

used(RECORDS)
print(json.dumps({"record": (used(RECORDS) - used(16)) / (RECORDS - 16)}))
"""

# Between two datagrams of one peer the other one speaks: nothing of the last answer is at hand.
SERVED = """
engine = made()
fill(engine, [first[0], second[0]])
peers = two_peers(engine)

def measured(write, measure, answer):
    costs = []
    for i in range(4):
        peer = peers[i & 1]
        n = write(peer)
        costs.append(measure(engine, peer.buf, n, peer.ip, out))
        assert peer.hears(out) == answer
        later(engine)
    return costs[2:]
"""

ALLOCATED = """
def taken(*args):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    serve(*args)
    grown = gc.mem_alloc() - before
    gc.enable()
    return grown

print(json.dumps({"ping": max(measured(Peer.ping, taken, PONG))}))
print(json.dumps({"find_node": max(measured(Peer.find_node, taken, NEIGHBORS))}))
"""

INSTRUCTIONS = """
from instructions import count

target = bytearray(8)
found = array("i", bytes(4 * FOUND))
rng = Random(5)
closest(engine, target, found)
costs = []
grown = 0
for i in range(32):
    target[:] = rng(8)
    if i & 1:
        target[0] = engine.own_id[0]  # near the node itself
    costs.append(count(closest, engine, target, found))
    gc.disable()
    before = gc.mem_alloc()
    assert closest(engine, target, found) == FOUND
    grown = max(grown, gc.mem_alloc() - before)
    gc.enable()
print(json.dumps({"closest": max(costs), "mean": sum(costs) // len(costs), "grown": grown}))

print(json.dumps({"ping": max(measured(Peer.ping, counted, PONG))}))
print(json.dumps({"find_node": max(measured(Peer.find_node, counted, NEIGHBORS))}))
peer = peers[0]
kernels = PingKernels(peer, peer.ping())
kernels()
print(json.dumps({"kernels": kernels(), "live": engine.table.live(), "heap": gc.mem_alloc()}))
n = peer.ping()
print(json.dumps({"calls": count_calls(serve, engine, peer.buf, n, peer.ip, out), "subtracted": CALLS}))
"""


def _keys() -> list[list[str]]:
    """The engine's static private key and id; id and pair key of two peers."""
    own, *peers = (crowd.identity(*each) for each in islice(crowd.identities(), 3))

    def pair(peer: Identity) -> bytes:
        return pair_key(run(X25519(peer.static_private, own.static_public)), own.id, peer.id)

    return [[own.static_private.hex(), own.id.hex()], *([peer.id.hex(), pair(peer).hex()] for peer in peers)]


def _said(output: str) -> dict:
    """All facts that a program printed, in one."""
    facts: dict = {}
    for line in output.splitlines():
        if not line.startswith("{"):
            raise RuntimeError(output)
        facts |= json.loads(line)
    return facts


def _on_unix(program: str) -> dict:
    library = mpy.compile_library("x86", LEVEL, mpy.PARTS)
    parts = library.with_name(f"{library.name}-programs")
    mpy.compile_beside([PARTS], parts, "x86", LEVEL, mpy.PARTS)
    env = {"MICROPYPATH": f"{library}:{parts}:.frozen"}
    return _said(runtimes.run_micropython(["-c", mpy.translate(program, "x86", LEVEL, form=mpy.PARTS)], 400, env).stdout)


def _on_m0(program: str) -> dict:
    files = qemu.library_files("m0", LEVEL, mpy.PARTS)
    arch = qemu.arch("m0")
    files["engine_parts.mpy"] = mpy.compile_program(PARTS, arch, LEVEL, mpy.PARTS)
    return _said(qemu.run("m0", files, mpy.translate(program, arch, LEVEL, form=mpy.PARTS), timeout_s=300))


def measure() -> Iterator[Row]:
    begin = BEGIN.format(keys=_keys())
    unix = _on_unix(begin + RECORD + SERVED + ALLOCATED)
    yield Row(
        "discovery.record.bytes",
        "one record of the table, with id, keys, token, address and its share of every index",
        round(unix["record"], 1),
        "bytes",
        76,
        method=f"{ON_UNIX}: an engine for 128 records less one for 16, by 112; heap blocks of 16 bytes blur it by 0.3",
    )
    for name, what in (("ping", "PING"), ("find_node", "FIND_NODE")):
        yield Row(
            f"discovery.alloc_per_{name}",
            f"allocated by the engine, without driver and socket, for a {what} of a proven peer and its answer",
            unix[name],
            "bytes",
            method=f"{ON_UNIX}, full table, collector off; the more of two peers in turn",
        )
    m0 = _on_m0(begin + SERVED + INSTRUCTIONS)
    state = f"{ON_M0}, {m0['heap']:,} bytes of it used; {m0['live']} live entries"
    yield Row(
        "discovery.closest8.instructions",
        "finding the 8 closest in a full table that lacks one far node: the dearest of 32 targets",
        m0["closest"],
        "instructions",
        450_000,
        method=f"{state}; mean {m0['mean']:,}",
    )
    yield Row("discovery.closest8.alloc", "allocated by that", m0["grown"], "bytes", 0, method=state)
    if any(m0["calls"][name] < n for name, n in m0["subtracted"].items()):
        raise RuntimeError(f"a served PING calls the kernels {m0['calls']}, not {m0['subtracted']}: mend PingKernels")
    yield Row(
        "discovery.ping_served.kernels.instructions",
        "the kernel calls of a served PING alone: 5 HMACs and 2 encryptions of 37 bytes",
        m0["kernels"],
        "instructions",
        method=state,
    )
    whole = "a PING of a proven peer with its token: receive, work and to_send"
    yield Row("discovery.ping_served.whole.instructions", whole, m0["ping"], "instructions", method=state)
    yield Row(
        "discovery.ping_served.instructions",
        "that, less the kernel calls",
        m0["ping"] - m0["kernels"],
        "instructions",
        40_000,
        method=state,
    )
    yield Row(
        "discovery.find_node_served.instructions",
        "a FIND_NODE of a proven peer, answered with four records, all of it",
        m0["find_node"],
        "instructions",
        method=state,
    )
