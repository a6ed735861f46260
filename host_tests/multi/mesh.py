"""A mesh for the tests of this folder: one CPython bootstrap node in this process, MicroPython nodes as processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from picoswarm import Node
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_gateway.profile import gateway_profile
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, NodeProcess, free_ports, knows_nearest

HEAP = 205_312  # of a Raspberry Pi Pico W, whose heap also holds what the demo program and its reports take
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# What the nodes may take is stated in what a slow machine does not change: their datagrams and their processor time. The
# goals in seconds (10, and 60 with loss) are held in virtual time by sim/test_discovery_mesh.py; here a busy machine gets
# three times as long.
WALL_S = 60
SLACK = 3


def needs_micropython() -> None:
    """Raises runtimes.Missing, which skips the test, where the 32-bit MicroPython is not built."""
    runtimes.find("micropython")
    mpy.compile_library("x86", mpy.BOARD_LEVEL)


class Mesh:
    """`bootstrap` and `nodes`, which have `numbers` in their profiles."""

    def __init__(self, folder: Path, count: int, numbers: dict[str, int] | None = None, heap: int = HEAP) -> None:
        needs_micropython()
        self.numbers = numbers or {}
        ports = free_ports(count + 1)
        self.membership = membership = Membership(new_network_key())
        store = Store(str(folder / "bootstrap"))
        save(store, membership)
        self.bootstrap = Node(store, profile=gateway_profile(**self.numbers), host=HOST, port=ports[0])
        self.nodes = [NodeProcess(str(i), folder / str(i), ports[i], membership, heap) for i in range(1, count + 1)]
        self.bootstrap_port = ports[0]
        self.bootstrap_at = f"{HOST}:{ports[0]}"
        self.began = 0.0

    async def __aenter__(self) -> Mesh:
        await self.bootstrap.start()
        self.began = time.monotonic()
        await asyncio.gather(*(self.start(node) for node in self.nodes))
        assert time.monotonic() - self.began < 30, "the nodes were not started together"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))
        await self.bootstrap.close()
        if exception[0] is not None:
            for node in self.nodes:
                print(node.name, node.id[:8], sorted(node.peers), node.state.get("stats"), *node.said, sep="\n  ")

    async def start(self, node: NodeProcess) -> None:
        await node.start(self.bootstrap_at, self.numbers)

    def live_ids(self) -> set[str]:
        return {self.bootstrap.id.hex()} | {node.id for node in self.nodes if node.is_up and node.id}

    def who_knows(self) -> set[str]:
        """Ids of the running nodes that hold their 8 nearest running ones for live, by their own word."""
        live = self.live_ids()
        known = {self.bootstrap.id.hex(): {peer.id.hex()[:8] for peer in self.bootstrap.peers()}}
        known |= {node.id: node.peers for node in self.nodes if node.is_up and node.id}
        return {node_id for node_id, peers in known.items() if knows_nearest(node_id, peers, live)}

    async def until_all_knew_their_nearest(self, seconds: float) -> dict[str, int]:
        """Wait until each running node has known its 8 nearest; one whose ping is under way just now is not taken back.
        Returns by name the second of its life in which each MicroPython node first knew them."""
        knew: set[str] = set()
        lives: dict[str, int] = {}

        def all_knew() -> bool:
            if all(node.id for node in self.nodes if node.is_up):
                knew.update(self.who_knows())
            for node in self.nodes:
                if node.id in knew:
                    lives.setdefault(node.name, node.stat("uptime"))
            return knew >= self.live_ids()

        await self.until(all_knew, seconds)
        return lives

    async def until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Seconds since the nodes were started when `condition` came true. Fails after `seconds` from now."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            for node in self.nodes:
                assert not node.trouble, f"node {node.name}: {node.trouble}"
            await asyncio.sleep(0.05)
        return time.monotonic() - self.began

    def costs(self, lives: dict[str, int]) -> str:
        """What joining took, in words for the summary of the tests."""
        cpu = [cpu_seconds(node) for node in self.nodes]
        sent = [node.stat("sent") for node in self.nodes]
        return (
            f"{len(lives)} nodes knew their 8 nearest after {min(lives.values())}-{max(lives.values())} s of life, with "
            f"{min(sent)}-{max(sent)} datagrams sent and {max(cpu):.2f} s of processor time at most"
        )

    def assert_nodes_are_sound(self) -> None:
        """No bug, no full heap, nothing dropped that a member must not send."""
        assert self.bootstrap.stats()["faults"] == 0, repr(self.bootstrap.fault)
        for node in self.nodes:
            for name in ("faults", "out_of_memory", "drop_forged", "drop_wrong_tag", "oversize", "events_lost"):
                assert node.stat(name) == 0, f"node {node.name}: {name} = {node.stat(name)}, {node.said}"


def cpu_seconds(node: NodeProcess) -> float:
    """Processor time that a running node took so far (Linux)."""
    assert node.process is not None
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
