"""Whether nodes whose links are all taken reach each other: `Visits` runs a mesh in which each node asks another one, drawn
at random, for an answer now and then, as `Services.request` does.

    python -m picoswarm_tools.sim.visits --nodes 30 --every 20
"""

from __future__ import annotations

import argparse
from collections import Counter
from random import Random
from typing import Any

from . import stream
from .asking import WITHIN_US, Requests
from .clock import MILLISECOND, MINUTE, SECOND
from .mesh import BOOTSTRAP, NONE, Changes
from .network import INTERNET, Conditions
from .swarm_node import SwarmMesh, SwarmNode


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
        self.requests = Requests(mesh)
        self.ends = self.requests.ends
        self.waits_ms: list[int] = []
        self.links: list[float] = []  # of a node, the mean at each look
        self.pieces: Counter[int] = Counter()
        self.apart_s: list[int] = []  # of each look that found several pieces: until they were one, at most 10
        self.opened = 0
        self._is_asking = False
        for number in range(nodes):
            node = mesh.add(know=mesh.nodes[:1], profile=NONE if number else BOOTSTRAP, start_us=number * SECOND // 10)
            node.more_reactors = self.requests.serve
            node.on_swarm_event = self._note

    def run(self, minutes: int, settle_us: int = 3 * MINUTE) -> None:
        clock = self.mesh.clock
        clock.run_until(settle_us)
        self._is_asking = True
        self.opened = 0
        for node in self.mesh.nodes:
            self.requests.keep_busy(node)
            clock.after(self._gap_us(), self._ask, node)
        for look in range(1, minutes * 6 + 1):
            clock.run_until(settle_us + look * 10 * SECOND)
            self.links.append(sum(len(self.mesh.neighbors(node)) for node in self.mesh.nodes) / len(self.mesh.nodes))
            pieces = len(self.mesh.components())
            self.pieces[pieces] += 1
            if pieces > 1:
                self._apart(clock.now_us)
        self._is_asking = False
        clock.run_for(2 * WITHIN_US)

    def _apart(self, since_us: int) -> None:
        seconds = 0
        while seconds < 10 and len(self.mesh.components()) > 1:
            seconds += 1
            self.mesh.clock.run_until(since_us + seconds * SECOND)
        self.apart_s.append(seconds)

    @property
    def share(self) -> float:
        return self.ends["answered"] / self.asked if self.asked else 0.0

    def _gap_us(self) -> int:
        return round(self._random.expovariate(1 / self._every_us))

    def _note(self, _node: SwarmNode, event: tuple[Any, ...]) -> None:
        self.opened += event[0] == 3

    def _ask(self, node: SwarmNode) -> None:
        if not self._is_asking:
            return
        self.mesh.clock.after(self._gap_us(), self._ask, node)
        target = self._random.choice([other for other in self.mesh.nodes if other is not node])
        self.asked += 1
        self.requests.ask(node, target, self._end)

    def _end(self, is_answered: bool, _why: str, waited_us: int) -> None:
        if is_answered:
            self.waits_ms.append(waited_us // MILLISECOND)


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
