"""What fails in a scenario: power, Wi-Fi, the way between sites; nodes that sleep, and nodes that come and go."""

from __future__ import annotations

from collections.abc import Callable
from math import gamma, log
from random import Random

from .clock import MINUTE, SECOND
from .scenario import ChurnTable, FaultTable
from .swarm_node import SwarmNode
from .world import World

Note = Callable[..., object]  # kind of event, facts of it


def length_s(table: ChurnTable, draws: Random) -> float:
    """How long a node stays, in seconds, with the mean that the table names."""
    mean_s = table.mean_min * 60
    if table.lengths == "fixed":
        return mean_s
    if table.lengths == "weibull":
        return draws.weibullvariate(mean_s / gamma(1 + 1 / table.shape), table.shape)
    if table.lengths == "lognormal":
        return draws.lognormvariate(log(mean_s) - table.shape**2 / 2, table.shape)
    return draws.expovariate(1 / mean_s)


class Faults:
    """Sets up all that fails. `note(kind, **facts)` hears of each fault; `on_healed(number)` when one is over."""

    def __init__(self, world: World, note: Note, on_healed: Callable[[int], object]) -> None:
        self._world = world
        self._note = note
        self._on_healed = on_healed
        self.returned: dict[SwarmNode, int] = {}  # nodes that a power fault had cut -> the boot that followed
        for number, fault in enumerate(world.scenario.fault):
            self._plan(number, fault)
        for number, churn in enumerate(world.scenario.churn):
            draws = world.stream("churn", number)
            for node in world.boards(churn.groups):
                world.clock.after(round(length_s(churn, draws) * SECOND), self._leave, node, churn, draws)
        for group in world.scenario.nodes:
            if group.awake_s and group.every_s:
                draws = world.stream("sleep", group.name)
                for node in world.groups[group.name]:
                    begin_s = group.from_s + group.within_s + draws.random() * group.every_s
                    world.clock.at(round(begin_s * SECOND), self._sleep, node)

    def _plan(self, number: int, fault: FaultTable) -> None:
        world = self._world
        draws = world.stream("fault", number)
        nodes = world.nodes(fault.groups, fault.sites)
        hit = draws.sample(nodes, round(len(nodes) * fault.share))
        at_us = round(fault.at_min * MINUTE)
        if not fault.every_min:
            world.clock.at(at_us, self._begin, number, fault, hit, draws)
            return
        for node in hit:
            gap_us = round(draws.expovariate(1 / (fault.every_min * MINUTE)))
            world.clock.at(at_us + gap_us, self._again, fault, number, node, draws)

    def _begin(self, number: int, fault: FaultTable, hit: list[SwarmNode], draws: Random) -> None:
        self._note("fault", number=number, what=fault.kind, nodes=len(hit), for_s=fault.for_s)
        for node in hit:
            self._strike(number, fault, node)
        clock = self._world.clock
        last_us = 0
        for node in hit:
            back_us = round((fault.for_s + draws.random() * fault.back_s) * SECOND)
            last_us = max(last_us, back_us)
            clock.after(back_us, self._mend, number, fault, node)
        clock.after(last_us, self._healed, number, fault)

    def _healed(self, number: int, fault: FaultTable) -> None:
        self._note("healed", number=number, what=fault.kind)
        self._on_healed(number)

    def _again(self, fault: FaultTable, number: int, node: SwarmNode, draws: Random) -> None:
        clock = self._world.clock
        self._strike(number, fault, node)
        clock.after(round(fault.for_s * SECOND), self._mend, number, fault, node)
        gap_us = round(draws.expovariate(1 / (fault.every_min * MINUTE)))
        clock.after(round(fault.for_s * SECOND) + gap_us, self._again, fault, number, node, draws)

    def _strike(self, number: int, fault: FaultTable, node: SwarmNode) -> None:
        if fault.kind == "power":
            self._world.take_power(node, f"fault {number}")
        elif fault.kind == "wifi":
            self._world.unlink(node)
        else:
            node.set_side(number + 1)

    def _mend(self, number: int, fault: FaultTable, node: SwarmNode) -> None:
        if fault.kind == "power":
            self.returned[node] = node.boots + 1
            self._world.restore(node, f"fault {number}")
        elif fault.kind == "wifi":
            self._world.link(node)
        else:
            node.set_side(0)

    def _leave(self, node: SwarmNode, churn: ChurnTable, draws: Random) -> None:
        world = self._world
        world.take_power(node, "churn")
        world.clock.after(round(draws.expovariate(1 / churn.off_s) * SECOND), self._return, node, churn, draws)

    def _return(self, node: SwarmNode, churn: ChurnTable, draws: Random) -> None:
        self._world.restore(node, "churn")
        self._world.clock.after(round(length_s(churn, draws) * SECOND), self._leave, node, churn, draws)

    def _sleep(self, node: SwarmNode) -> None:
        group = self._world.group_of[node]
        self._world.take_power(node, "sleep")
        self._world.clock.after(round((group.every_s - group.awake_s) * SECOND), self._wake, node)

    def _wake(self, node: SwarmNode) -> None:
        self._world.restore(node, "sleep")
        self._world.clock.after(round(self._world.group_of[node].awake_s * SECOND), self._sleep, node)
