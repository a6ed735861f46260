"""Whether nodes whose links are all taken reach each other: `Visits` runs a mesh in which each node asks another one, drawn
at random, for an answer now and then, as `Services.request` does.

    python -m picoswarm_tools.sim.visits --nodes 30 --every 20
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from random import Random
from typing import Any

from picoswarm.rpc import Rpc
from picoswarm.steering import in_use

from . import stream
from .clock import MILLISECOND, MINUTE, SECOND
from .mesh import BOOTSTRAP, NONE, Changes
from .network import INTERNET, Conditions
from .swarm_node import SwarmMesh, SwarmNode

WITHIN_US = 10 * SECOND
RETRY_US = 50 * MILLISECOND  # as in services.py
CALL, DONE = 1, 2
ESTABLISHED = 4
BUSY, DUPLICATE, TRIMMED = 1, 6, 17  # what may be otherwise in a moment


class Answering(Rpc):
    """Serves "echo" at once; `done`: statuses of own calls, by number."""

    def __init__(self, profile: Any, now: int) -> None:
        super().__init__(profile, now)
        self.register("echo")
        self.done: dict[int, int] = {}

    def receive(self, peer: Any, channel: int, view: memoryview) -> int:
        reason = super().receive(peer, channel, view)
        self._drain()
        return reason

    def remove_peer(self, peer: Any, reason: int) -> None:
        super().remove_peer(peer, reason)
        self._drain()

    def tick(self, now: int) -> None:
        super().tick(now)
        self._drain()

    def _drain(self) -> None:
        while (event := self.next_event()) is not None:
            if event[0] == CALL:
                self.reply(event[1], event[2], 0, event[4])
            else:
                self.done[event[1]] = event[2]


class Visits:
    """`nodes` boards, the first a bootstrap node on a host. After 3 minutes each asks another one, every `every_us` on
    average."""

    def __init__(
        self,
        nodes: int,
        every_us: int,
        seed: object = 1,
        conditions: Conditions = INTERNET,
        profile: Changes = NONE,
    ) -> None:
        self.mesh = mesh = SwarmMesh(seed, conditions, profile)
        self._random: Random = stream(seed, "visits")
        self._every_us = every_us
        self.asked = 0
        self.ends: Counter[str] = Counter()
        self.waits_ms: list[int] = []
        self.links: list[float] = []  # of a node, the mean at each look
        self.pieces: Counter[int] = Counter()
        self.opened = 0
        self._is_asking = False
        self._rpcs: dict[SwarmNode, Answering] = {}
        for number in range(nodes):
            node = mesh.add(know=mesh.nodes[:1], profile=NONE if number else BOOTSTRAP, start_us=number * SECOND // 10)
            node.more_reactors = self._serve
            node.on_swarm_event = self._note

    def run(self, minutes: int, settle_us: int = 3 * MINUTE) -> None:
        clock = self.mesh.clock
        clock.run_until(settle_us)
        self._is_asking = True
        self.opened = 0
        for node in self.mesh.nodes:
            node.swarm.manager.in_use = partial(in_use, self._rpcs[node], ())
            clock.after(self._gap_us(), self._ask, node)
        for _ in range(minutes * 6):
            clock.run_for(10 * SECOND)
            self.links.append(sum(len(self.mesh.neighbors(node)) for node in self.mesh.nodes) / len(self.mesh.nodes))
            self.pieces[len(self.mesh.components())] += 1
        self._is_asking = False
        clock.run_for(2 * WITHIN_US)

    @property
    def share(self) -> float:
        return self.ends["answered"] / self.asked if self.asked else 0.0

    def _gap_us(self) -> int:
        return round(self._random.expovariate(1 / self._every_us))

    def _serve(self, node: SwarmNode) -> list[Answering]:
        self._rpcs[node] = rpc = Answering(node.profile, node.now)
        return [rpc]

    def _note(self, _node: SwarmNode, event: tuple[Any, ...]) -> None:
        self.opened += event[0] == 3

    def _ask(self, node: SwarmNode) -> None:
        if not self._is_asking:
            return
        self.mesh.clock.after(self._gap_us(), self._ask, node)
        target = self._random.choice([other for other in self.mesh.nodes if other is not node])
        self.asked += 1
        self._reach(node, target, None, self.mesh.clock.now_us)

    def _reach(self, node: SwarmNode, target: SwarmNode, link: Any, since_us: int) -> None:
        """One turn of `Services.session`."""
        clock = self.mesh.clock
        manager = node.swarm.manager
        is_late = clock.now_us - since_us >= WITHIN_US
        session = node.session(target)
        if (session is not None or is_late) and link is not None and link.state != ESTABLISHED:
            manager.cancel(link)
            node.swarm_turn()
        if session is not None:
            number = self._rpcs[node].call(session, "echo", b"x", node.now)
            node.swarm_turn()
            if number:
                return self._await(node, number, since_us)
        elif is_late:
            self.ends["no session"] += 1
            return None
        elif link is None:
            if target.id not in node.swarm.peers:
                link = node.want(target)
        elif link not in manager.links:
            if link.reason not in (BUSY, DUPLICATE, TRIMMED):
                self.ends[f"reason {link.reason}"] += 1
                return None
            link = None
        clock.after(RETRY_US, self._reach, node, target, link, since_us)
        return None

    def _await(self, node: SwarmNode, number: int, since_us: int) -> None:
        rpc = self._rpcs[node]
        if number not in rpc.done:
            self.mesh.clock.after(10 * MILLISECOND, self._await, node, number, since_us)
            return
        status = rpc.done.pop(number)
        waited_us = self.mesh.clock.now_us - since_us
        if status == 0 and waited_us <= WITHIN_US:
            self.waits_ms.append(waited_us // MILLISECOND)
            self.ends["answered"] += 1
        else:
            self.ends[f"status {status}" if status else "late"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=30)
    parser.add_argument("--every", type=float, default=20, help="seconds between two requests of a node, on average")
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    for seed in range(1, arguments.seeds + 1):
        run = Visits(arguments.nodes, round(arguments.every * SECOND), seed)
        run.run(arguments.minutes)
        waits = sorted(run.waits_ms) or [0]
        opened = run.opened / len(run.mesh.nodes) / arguments.minutes
        print(
            f"{arguments.nodes} nodes, a request each {arguments.every} s, seed {seed}: "
            f"{run.share:.4f} of {run.asked} answered; "
            f"ms {waits[len(waits) // 2]} median {waits[len(waits) * 95 // 100]} p95; "
            f"links {min(run.links):.2f}-{max(run.links):.2f}; sessions opened {opened:.2f}/node/min; "
            f"pieces {dict(run.pieces)}; {dict(run.ends)}"
        )


if __name__ == "__main__":
    main()
