"""How many of those who could have a published message get it: `Delivery` runs a mesh whose nodes lose packets and power,
and settles what was due by the truth about its sessions.

A message is due to each subscriber that, for the WITHIN_US after it was published, has a chain of open sessions to the
publisher whose inner nodes relay its topic: subscribers and gateways. That is: every session of the chain was open at both
ends when the message was published, and still is ten seconds later.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from . import stream
from .clock import MINUTE, SECOND
from .mesh import BOOTSTRAP
from .network import Conditions
from .swarm_node import SwarmMesh, SwarmNode

WITHIN_US = 10 * SECOND
OFF_US = 60 * SECOND
TOPIC = "house/kitchen/warm"
FILTER = "house/+/warm"


class Delivery:
    """`nodes` boards, the first a bootstrap node on a host; two are gateways, which relay whatever their peers want; a fifth
    of the rest subscribes to nothing. Each is without power for 60 s every `every_us` on average."""

    def __init__(
        self, nodes: int = 50, loss: float = 0.2, every_us: int = 10 * MINUTE, gateways: int = 2, seed: object = 1
    ) -> None:
        self.mesh = mesh = SwarmMesh(seed, Conditions(latency_ms=20, jitter_ms=20, loss=loss))
        self._random: Random = stream(seed, "delivery")
        self._every_us = every_us
        self.published = self.due = self.delivered = self.repeated = self.late = 0
        self.missed: list[tuple[int, SwarmNode, SwarmNode, int]] = []  # when, publisher, subscriber, number
        self.chains: Counter[int] = Counter()  # sizes of what a message reached
        self._got: dict[int, dict[Any, int]] = {}  # by number: by node name, when
        first = None
        for number in range(nodes):
            profile = {"relay": 1} if 0 < number <= gateways else BOOTSTRAP if first is None else {}
            node = mesh.add(know=[first] if first else [], profile=profile, start_us=number * SECOND // 10)
            first = first or node
            if number <= gateways or number % 5:
                node.filters.append(FILTER)
            node.on_message = self._take
            if every_us:
                mesh.clock.at(2 * MINUTE + self._wait_us(), self._switch_off, node)

    def run(self, minutes: int, gap_us: int = 2 * SECOND, settle_us: int = 3 * MINUTE) -> None:
        """Let the mesh settle, then publish a message each `gap_us` from one node after the other."""
        clock = self.mesh.clock
        clock.run_until(settle_us)
        end_us = clock.now_us + minutes * MINUTE
        while clock.now_us < end_us:
            node = self._random.choice([node for node in self.mesh.nodes if node.is_on])
            self._publish(node)
            clock.run_for(gap_us)
        clock.run_for(WITHIN_US)

    @property
    def share(self) -> float:
        """Of what was due, delivered in time."""
        return self.delivered / self.due if self.due else 0.0

    def _wait_us(self) -> int:
        return round(self._random.expovariate(1 / (self._every_us - OFF_US)))

    def _switch_off(self, node: SwarmNode) -> None:
        node.power_off()
        self.mesh.clock.after(OFF_US, self._switch_on, node)

    def _switch_on(self, node: SwarmNode) -> None:
        node.power_on()
        self.mesh.clock.after(self._wait_us(), self._switch_off, node)

    def _publish(self, node: SwarmNode) -> None:
        number = self.published
        self.published += 1
        self._got[number] = {}
        node.publish(TOPIC, number.to_bytes(4))
        self.mesh.clock.after(WITHIN_US, self._settle, number, node, self.mesh.clock.now_us)

    def _take(self, node: SwarmNode, message: tuple[Any, ...]) -> None:
        got = self._got[int.from_bytes(message[1])]
        if node.name in got:
            self.repeated += 1
        else:
            got[node.name] = self.mesh.clock.now_us

    def _settle(self, number: int, publisher: SwarmNode, since_us: int) -> None:
        reached = self.mesh.reached(publisher, lambda node: bool(node.filters or node.profile.relay), since_us)
        self.chains[len(reached)] += 1
        for node in sorted(reached - {publisher}, key=lambda node: node.name):
            if not node.filters:
                continue
            self.due += 1
            if node.name in self._got[number]:
                self.delivered += 1
            else:
                self.missed.append((since_us, publisher, node, number))
