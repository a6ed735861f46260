"""How faithful the simulator is: twelve nodes by one script, as 32-bit MicroPython processes over real sockets and here.

Node 0 is a bootstrap node. The others start half a second apart and know its address. All hear `fidelity/#`; once all have
joined and TALK_FROM_S is over, each publishes a message a second, for TALK_S, all at moments of their own. The simulator is
told what a key agreement takes such a process, which is measured first.

    python -m picoswarm_tools.sim.fidelity
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .. import runtimes
from ..mpy import BOARD_LEVEL, compile_library
from ..probe import PROGRAMS
from ..provision import Membership, new_network_key
from ..swarm import HOST, NodeProcess, free_ports
from .clock import MILLISECOND, SECOND
from .mesh import PORT
from .network import Conditions
from .swarm_node import SwarmMesh, SwarmNode

NODES = 12
APART_S = 0.5
TALK_FROM_S = 30
TALK_S = 60
EVERY_MS = 1000
STAGGER_S = 0.08  # between the first words of two nodes
AFTER_S = 5
HEAP = 400_000
LOOPBACK = Conditions(latency_ms=0.05, jitter_ms=0.1)
PATIENCE_S = 120
JOINS = 6  # meshes of processes whose joins are timed: each node waits for a random part of a second first
SEEDS = 12
KEYS = 200


@dataclass(frozen=True)
class Counts:
    """What came of the script: of all nodes together, and their median time to join."""

    datagrams: int
    datagram_bytes: int
    published: int
    delivered: int
    passed_on: int  # messages written to sessions
    join_s: float
    sessions: float  # of a node at the end


class _Process(NodeProcess):
    program = PROGRAMS / "fidelity_node.py"


@asynccontextmanager
async def _joined(folder: Path) -> AsyncIterator[list[_Process]]:
    """Twelve processes that have joined. Raises Missing, TimeoutError."""
    compile_library("x86", BOARD_LEVEL)
    folder.mkdir()
    membership = Membership(new_network_key())
    ports = free_ports(NODES)
    nodes = [_Process(f"n{i}", folder / f"n{i}", port, membership, HEAP) for i, port in enumerate(ports)]
    try:
        for number, node in enumerate(nodes):
            known = "-" if not number else f"{HOST}:{ports[0]}"
            await node.start(known, {"bootstrap": 1} if not number else {})
            async with asyncio.timeout(PATIENCE_S):
                while not node.id:  # to make a key takes a while; the half second counts from then on
                    await asyncio.sleep(0.02)
            await asyncio.sleep(APART_S)
        async with asyncio.timeout(PATIENCE_S):
            while not all(node.state.get("joined_ms") for node in nodes):
                await asyncio.sleep(0.2)
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


async def real(folder: Path) -> Counts:
    """With processes. Raises Missing, TimeoutError."""
    joins: list[float] = []
    for number in range(JOINS - 1):
        async with _joined(folder / f"join{number}") as nodes:
            joins += [node.state["joined_ms"] / 1000 for node in nodes[1:]]
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with _joined(folder / "talk") as nodes:
        joins += [node.state["joined_ms"] / 1000 for node in nodes[1:]]
        await asyncio.sleep(max(0.0, TALK_FROM_S - (loop.time() - began)))
        for node in nodes:
            node.talk(EVERY_MS)
            await asyncio.sleep(STAGGER_S)
        await asyncio.sleep(TALK_S - NODES * STAGGER_S)
        for node in nodes:
            node.talk(0)
            await asyncio.sleep(STAGGER_S)
        await asyncio.sleep(AFTER_S)
        return Counts(
            sum(node.stat("sent") for node in nodes),
            sum(node.stat("bytes_sent") for node in nodes),
            sum(node.state["sent"] for node in nodes),
            sum(node.state["heard"] for node in nodes),
            sum(node.stat("pubsub_sent") for node in nodes),
            statistics.median(joins),
            statistics.mean(node.state["sessions"] for node in nodes),
        )


def measured_key_ms() -> float:
    """Processor time that a key agreement takes a process whose loop has other tasks. Raises Missing."""
    return (_cpu_ms(KEYS) - _cpu_ms(0)) / KEYS


def _cpu_ms(count: int) -> float:
    """Processor time of a process that does `count` key agreements: how busy the machine is changes little of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}", str(PROGRAMS / "key_time.py"), str(count)],
        env={**os.environ, "MICROPYPATH": f"{compile_library('x86')}:.frozen"},
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def simulated(key_ms: float) -> Counts:
    """In virtual time: the counts of the first seed, the time to join of SEEDS of them."""
    runs = [_simulated(seed, key_ms, TALK_S if seed == 1 else 0) for seed in range(1, SEEDS + 1)]
    return replace(runs[0][0], join_s=statistics.median(join for _, joins in runs for join in joins))


def _simulated(seed: int, key_ms: float, talk_s: int) -> tuple[Counts, list[float]]:
    mesh = SwarmMesh(seed, key_ms=key_ms)
    lan = mesh.network.add_lan("127.0.0.0/8", conditions=LOOPBACK)
    heard = published = 0
    joins: dict[SwarmNode, float] = {}

    def take(_node: SwarmNode, _message: object) -> None:
        nonlocal heard
        heard += 1

    def look(node: SwarmNode, since_us: int) -> None:
        if node.has_joined:
            joins[node] = (mesh.clock.now_us - since_us) / SECOND
        else:
            mesh.clock.after(50 * MILLISECOND, look, node, since_us)

    def talk(node: SwarmNode, left: int) -> None:
        nonlocal published
        if left:
            published += 1
            node.publish(f"fidelity/{node.endpoint.address[1]}", b"12345678")
            mesh.clock.after(EVERY_MS * MILLISECOND, talk, node, left - 1)

    for number in range(NODES):
        start_us = round(number * APART_S * SECOND)
        node = mesh.add(
            know=mesh.nodes[:1],
            is_id_known=False,
            profile={"bootstrap": 1} if not number else {},
            segment=lan,
            ip=HOST,
            port=PORT + number,
            start_us=start_us,
        )
        assert isinstance(node, SwarmNode)
        node.filters.append("fidelity/#")
        node.on_message = take
        mesh.clock.at(start_us + 50 * MILLISECOND, look, node, start_us)
        mesh.clock.at(round((TALK_FROM_S + number * STAGGER_S) * SECOND), talk, node, talk_s * 1000 // EVERY_MS)
    mesh.clock.run_until((TALK_FROM_S + talk_s + AFTER_S) * SECOND)
    times = [joins[node] for node in mesh.nodes[1:]]
    counts = Counts(
        sum(node.engine.stats()["sent"] for node in mesh.nodes if node.engine),
        sum(node.engine.stats()["bytes_sent"] for node in mesh.nodes if node.engine),
        published,
        heard,
        sum(node.pubsub.counts[8] for node in mesh.nodes),
        statistics.median(times),
        statistics.mean(len(node.swarm.peers) for node in mesh.nodes),
    )
    return counts, times


def measure() -> tuple[Counts, Counts]:
    """(of processes, of the simulator). Raises Missing, TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        key_ms = measured_key_ms()
        return asyncio.run(real(Path(folder))), simulated(key_ms)


def main() -> None:
    print(f"{'':16}{'processes':>12}{'simulator':>12}{'differs by':>12}")
    found, here = measure()
    for name in Counts.__dataclass_fields__:
        a, b = getattr(found, name), getattr(here, name)
        print(f"{name:16}{a:12,.4g}{b:12,.4g}{abs(b - a) / a if a else 0:12.1%}")


if __name__ == "__main__":
    main()
