"""How faithful the simulator is: twelve nodes by one script, as 32-bit MicroPython processes over real sockets and here.

Node 0 is a bootstrap node. The others start half a second apart, and the time later that the one before took to make its
key; they know its address. All hear `fidelity/#`; once all have joined and TALK_FROM_S is over, each publishes a message a
second, for TALK_S, all at moments of their own. The simulator is told what a key agreement takes such a process, which is
measured first, and when the processes started.

How many sessions twelve nodes make of the four that each may have is chance, and a message goes over each of them. So
what is compared are means, of meshes of processes and of SEEDS runs here. Chance is, too, whether a mesh is one piece by
then: in 30 s the first five nodes may have taken all their sessions among themselves. Where it is not, few messages have
anywhere to go. So counts are of the meshes that were one piece, and how many were is a figure of its own. It takes five
minutes, in which the machine should have little else to do.

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

from picoswarm.membership import Membership

from .. import runtimes
from ..keyfolder import new_network_key
from ..mpy import BOARD_LEVEL, compile_library
from ..probe import PROGRAMS
from ..swarm import HOST, NodeProcess, Trouble, free_ports
from .clock import MILLISECOND, SECOND
from .mesh import PORT
from .network import Conditions
from .swarm_node import SwarmMesh, SwarmNode

NODES = 12
APART_S = 0.5
TALK_FROM_S = 30
TALK_S = 20
EVERY_MS = 1000
STAGGER_S = 0.08  # between the first words of two nodes
AFTER_S = 5
HEAP = 400_000
LOOPBACK = Conditions(latency_ms=0.05, jitter_ms=0.1)
PATIENCE_S = 120
MESHES = 4  # of processes, in each of LANES that run side by side
LANES = 2
SEEDS = 24
WHOLE = 0.9  # of the messages that could come; where one node of twelve is apart, 0.83 do
KEYS = 200


@dataclass(frozen=True)
class Counts:
    """What came of the script: of all nodes together, the mean of several meshes, and the median time to join."""

    datagrams: float
    datagram_bytes: float
    published: float
    delivered: float
    passed_on: float  # messages written to sessions
    join_s: float
    sessions: float  # of a node at the end
    whole: float = 0.0  # share of meshes that were one piece, as all that was said came to nearly all


@dataclass(frozen=True)
class Talk:
    """One mesh: its counts, how long each node took to join, and when each started, all in seconds."""

    counts: Counts
    joins: list[float]
    starts: list[float]

    @property
    def is_whole(self) -> bool:
        return self.counts.delivered > WHOLE * self.counts.published * (NODES - 1)


def mean(talks: list[Talk]) -> Counts:
    """Of several meshes: counts of those that were one piece, and of all the median time to join. Raises StatisticsError
    where none was."""
    whole = [talk for talk in talks if talk.is_whole]
    means = {name: statistics.mean(getattr(talk.counts, name) for talk in whole) for name in Counts.__dataclass_fields__}
    join_s = statistics.median(join for talk in talks for join in talk.joins)
    return replace(Counts(**means), join_s=join_s, whole=len(whole) / len(talks))


class _Process(NodeProcess):
    program = PROGRAMS / "fidelity_node.py"


@asynccontextmanager
async def _joined(folder: Path) -> AsyncIterator[tuple[list[_Process], list[float]]]:
    """Twelve processes that have joined, and when they started, by the clock of this loop. Raises Missing, Trouble,
    TimeoutError."""
    compile_library("x86", BOARD_LEVEL)
    folder.mkdir(parents=True)
    membership = Membership(new_network_key())
    ports = free_ports(NODES)
    starts = []
    nodes = [_Process(f"n{i}", folder / f"n{i}", port, membership, HEAP) for i, port in enumerate(ports)]
    try:
        for number, node in enumerate(nodes):
            known = "-" if not number else f"{HOST}:{ports[0]}"
            await node.start(known, {"bootstrap": 1} if not number else {})
            async with asyncio.timeout(PATIENCE_S):
                while not node.id:  # to make a key takes a while; the half second counts from then on
                    if node.trouble:
                        raise Trouble(f"a process ended: {node.trouble}")
                    await asyncio.sleep(0.02)
            starts.append(asyncio.get_running_loop().time())
            await asyncio.sleep(APART_S)
        async with asyncio.timeout(PATIENCE_S):
            while not all(node.state.get("joined_ms") for node in nodes):
                await asyncio.sleep(0.2)
        yield nodes, starts
    finally:
        for node in nodes:
            await node.stop()


async def real(folder: Path) -> list[Talk]:
    """With processes. Raises Missing, Trouble, TimeoutError."""
    lanes = [_one_after_another(folder / f"lane{number}") for number in range(LANES)]
    return [talk for talks in await asyncio.gather(*lanes) for talk in talks]


async def _one_after_another(folder: Path) -> list[Talk]:
    return [await _talked(folder / f"mesh{number}") for number in range(MESHES)]


async def _talked(folder: Path) -> Talk:
    async with _joined(folder) as (nodes, starts):
        await asyncio.sleep(max(0.0, starts[0] + TALK_FROM_S - asyncio.get_running_loop().time()))
        for node in nodes:
            node.talk(EVERY_MS)
            await asyncio.sleep(STAGGER_S)
        await asyncio.sleep(TALK_S - NODES * STAGGER_S)
        for node in nodes:
            node.talk(0)
            await asyncio.sleep(STAGGER_S)
        await asyncio.sleep(AFTER_S)
        joins = [node.state["joined_ms"] / 1000 for node in nodes[1:]]
        counts = Counts(
            sum(node.stat("sent") for node in nodes),
            sum(node.stat("bytes_sent") for node in nodes),
            sum(node.state["sent"] for node in nodes),
            sum(node.state["heard"] for node in nodes),
            sum(node.stat("pubsub_sent") for node in nodes),
            statistics.median(joins),
            statistics.mean(node.state["sessions"] for node in nodes),
        )
        return Talk(counts, joins, [start - starts[0] for start in starts])


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


def simulated(key_ms: float, starts: list[list[float]]) -> list[Talk]:
    """In virtual time, a seed after another, with the starts of the meshes of processes in turn."""
    return [_simulated(seed, key_ms, starts[seed % len(starts)]) for seed in range(1, SEEDS + 1)]


def _simulated(seed: int, key_ms: float, starts: list[float]) -> Talk:
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

    for number, start in enumerate(starts):
        start_us = round(start * SECOND)
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
        mesh.clock.at(round((TALK_FROM_S + number * STAGGER_S) * SECOND), talk, node, TALK_S * 1000 // EVERY_MS)
    mesh.clock.run_until((TALK_FROM_S + TALK_S + AFTER_S) * SECOND)
    times = [joins[node] for node in mesh.nodes[1:]]  # a node that has not joined by now is an error
    counts = Counts(
        sum(node.engine.stats()["sent"] for node in mesh.nodes if node.engine),
        sum(node.engine.stats()["bytes_sent"] for node in mesh.nodes if node.engine),
        published,
        heard,
        sum(node.pubsub.counts[8] for node in mesh.nodes),
        statistics.median(times),
        statistics.mean(len(node.swarm.peers) for node in mesh.nodes),
    )
    return Talk(counts, times, starts)


def measure() -> tuple[Counts, Counts]:
    """(of processes, of the simulator). Raises Missing, Trouble, TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        key_ms = measured_key_ms()
        talks = asyncio.run(real(Path(folder)))
    return mean(talks), mean(simulated(key_ms, [talk.starts for talk in talks]))


def main() -> None:
    print(f"{'':16}{'processes':>12}{'simulator':>12}{'differs by':>12}")
    found, here = measure()
    for name in Counts.__dataclass_fields__:
        a, b = getattr(found, name), getattr(here, name)
        print(f"{name:16}{a:12,.4g}{b:12,.4g}{abs(b - a) / a if a else 0:12.1%}")


if __name__ == "__main__":
    main()
