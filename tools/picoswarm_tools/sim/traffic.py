"""What the nodes of a scenario say to each other, and the ledger of what was due and what came."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from .clock import MINUTE, SECOND
from .scenario import TrafficTable
from .swarm_node import SwarmNode
from .world import World

PIECE = 360  # bytes of one request of a transfer
HEAD = 5  # of a published message: number of its table, number


class Ledger:
    """Counts of one kind of traffic in the whole run, and the times that the good ones took, in seconds."""

    def __init__(self) -> None:
        self.begun = self.due = self.good = self.repeated = self.void = 0
        self.seconds: list[float] = []


class Publishing:
    """One `[[traffic]]` table of the kind publish. A message is due to each subscriber that has a chain of sessions to the
    publisher, whose inner nodes subscribe too or are relays, from the moment of publishing until `within_s` later."""

    def __init__(self, world: World, number: int, table: TrafficTable, ledger: Ledger) -> None:
        self._world = world
        self._number = number
        self._table = table
        self._ledger = ledger
        self._draws: Random = world.stream("traffic", number)
        self._got: dict[int, dict[int, int]] = {}  # message -> node's number -> when
        self._sent = 0
        self._relays = [node for node in world.honest() if node.profile.relay]
        self._hearers: dict[SwarmNode, list[SwarmNode]] = {}  # publisher -> subscribers
        publishers = world.boards(table.groups)
        for node in publishers:
            self._hearers[node] = self._subscribe(node)

    def _topic(self, node: SwarmNode) -> str:
        return self._table.topic or f"node/{self._number}/{node.name}"

    def _subscribe(self, node: SwarmNode) -> list[SwarmNode]:
        world, topic = self._world, self._topic(node)
        if self._table.topic:
            return [each for each in world.honest() if each is not node and self._matches(each, topic)]
        hearers = []
        for gateway in self._relays[:1]:
            if world.hears(gateway, f"node/{self._number}/#"):
                hearers.append(gateway)
        boards = world.boards()
        for _ in range(20 * self._table.subscribers):
            if len(hearers) >= min(self._table.subscribers, len(boards) - 1):
                break
            other = self._draws.choice(boards)
            if other is not node and other not in hearers and world.hears(other, topic):
                hearers.append(other)
        return hearers

    def _matches(self, node: SwarmNode, topic: str) -> bool:
        """Whether a node hears a topic, by the filters `a/b`, `a/#` and `#`."""
        return any(each in (topic, "#") or (each[-2:] == "/#" and topic.startswith(each[:-1])) for each in node.filters)

    def publish(self, node: SwarmNode) -> bool:
        """Publish, where the node is on and has a session. False: not now."""
        if node.swarm is None or not node.swarm.peers:
            return False
        number = self._sent
        self._sent += 1
        self._ledger.begun += 1
        self._got[number] = {}
        head = bytes((self._number,)) + number.to_bytes(4)
        node.publish(self._topic(node), head + bytes(max(0, self._table.bytes - HEAD)))
        clock = self._world.clock
        clock.after(round(self._table.within_s * SECOND), self._settle, number, node, node.boots, clock.now_us)
        return True

    def take(self, node: SwarmNode, number: int) -> None:
        """A message came to the application of a node."""
        got = self._got.get(number)
        if got is None:
            return
        if node.name in got:
            self._ledger.repeated += 1
        else:
            got[node.name] = self._world.clock.now_us  # type: ignore[index]

    def _settle(self, number: int, node: SwarmNode, boots: int, since_us: int) -> None:
        got = self._got.pop(number)
        if not node.is_on or node.boots != boots:
            return
        reached = self._reached(node, since_us)
        ledger = self._ledger
        for hearer in self._hearers[node]:
            if hearer in reached:
                ledger.due += 1
                if hearer.name in got:
                    ledger.good += 1
            if hearer.name in got:
                ledger.seconds.append((got[hearer.name] - since_us) / SECOND)  # type: ignore[index]

    def _reached(self, start: SwarmNode, since_us: int) -> dict[SwarmNode, None]:
        """Who has a chain to the publisher, of those who hear the topic or relay."""
        mesh = self._world.mesh
        left = dict.fromkeys([*self._hearers[start], *self._relays])
        reached, todo = {start: None}, [start]
        while todo:
            node = todo.pop()
            for other in [each for each in left if mesh.are_joined(node, each, since_us)]:
                del left[other]
                reached[other] = None
                todo.append(other)
        return reached


class Traffic:
    """All traffic of a scenario. `kbps`: of transfers that were done."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ledgers = {kind: Ledger() for kind in ("publish", "request", "bulk")}
        self.kbps: list[float] = []
        self._publishing: dict[int, Publishing] = {}
        self._draws: list[Random] = []
        for number, table in enumerate(world.scenario.traffic):
            self._draws.append(world.stream("times", number))
            if table.kind == "publish":
                self._publishing[number] = Publishing(world, number, table, self.ledgers["publish"])
        for node in world.honest():
            node.on_message = self._take
        world.clock.at(round(world.scenario.settle_min * MINUTE), self._begin)

    def _begin(self) -> None:
        acts = {"publish": self._publish, "request": self._request, "bulk": self._transfer}
        for number, table in enumerate(self._world.scenario.traffic):
            for node in self._world.boards(table.groups):
                self._world.clock.after(self._gap_us(number, True), self._turn, number, node, acts[table.kind])

    def _gap_us(self, number: int, is_first: bool = False) -> int:
        """Steady with a little jitter, as a sensor's loop is; the first turn of a node at any time."""
        draw = self._draws[number].random()
        share = draw if is_first else 0.9 + 0.2 * draw
        return round(self._world.scenario.traffic[number].every_s * SECOND * share)

    def _turn(self, number: int, node: SwarmNode, act: Callable[[int, SwarmNode], object]) -> None:
        self._world.clock.after(self._gap_us(number), self._turn, number, node, act)
        act(number, node)

    def _take(self, node: SwarmNode, message: tuple[Any, ...]) -> None:
        payload = message[1]
        publishing = self._publishing.get(payload[0]) if len(payload) >= HEAD else None
        if publishing is not None:
            publishing.take(node, int.from_bytes(payload[1:HEAD]))

    def _publish(self, number: int, node: SwarmNode) -> None:
        """A node that sleeps says its word when it is awake and has a session."""
        group = self._world.group_of[node]
        if not self._publishing[number].publish(node) and group.awake_s:
            self._world.clock.after(SECOND, self._retry, number, node, self._world.clock.now_us)

    def _retry(self, number: int, node: SwarmNode, since_us: int) -> None:
        clock = self._world.clock
        is_over = clock.now_us - since_us > self._world.scenario.traffic[number].every_s * SECOND
        if not is_over and not self._publishing[number].publish(node):
            clock.after(SECOND, self._retry, number, node, since_us)

    def _target(self, number: int, node: SwarmNode) -> SwarmNode | None:
        table = self._world.scenario.traffic[number]
        nodes = self._world.nodes(table.to) if table.to else self._world.honest()
        others = [each for each in nodes if each is not node and self._world.is_reachable(each)]
        return self._draws[number].choice(others) if others and node.swarm is not None else None

    def _request(self, number: int, node: SwarmNode) -> None:
        target = self._target(number, node)
        if target is None:
            return
        ledger = self.ledgers["request"]
        ledger.begun += 1
        boots = target.boots

        def end(is_good: bool, why: str, took_us: int) -> None:
            if is_good:
                ledger.good += 1
                ledger.seconds.append(took_us / SECOND)
            elif why == "power cut" or target.boots != boots or not self._world.is_reachable(target):
                ledger.void += 1
                return
            ledger.due += 1

        payload = bytes(max(1, self._world.scenario.traffic[number].bytes))
        self._world.requests.ask(node, target, end, payload)

    def _transfer(self, number: int, node: SwarmNode) -> None:
        target = self._target(number, node)
        if target is None:
            return
        ledger, table = self.ledgers["bulk"], self._world.scenario.traffic[number]
        ledger.begun += 1
        ledger.due += 1
        clock = self._world.clock
        begun_us, boots, left = clock.now_us, (node.boots, target.boots), table.bytes

        def end(is_good: bool, _why: str, _took_us: int) -> None:
            nonlocal left
            left -= PIECE
            if not is_good:
                if boots != (node.boots, target.boots) or not (node.is_on and target.is_on):
                    ledger.due -= 1  # nobody's fault
            elif left > 0:
                self._world.requests.ask(node, target, end, bytes(min(left, PIECE)))
            else:
                ledger.good += 1
                self.kbps.append(table.bytes * 8 / 1000 / max(1e-3, (clock.now_us - begun_us) / SECOND))

        self._world.requests.ask(node, target, end, bytes(min(left, PIECE)))
