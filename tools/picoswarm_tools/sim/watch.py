"""The observer of a run: it looks at the whole mesh now and then, times joins and look-ups, and hands out lines of results.

A line is a dict with `t` (virtual seconds) and one of `event` (something happened), or `sample` (how the mesh stands, and
what happened since the last one). Sessions are told as what opened and what closed between two samples, by node numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picoswarm.session import OPEN

from .attack import Attacks
from .clock import MILLISECOND, MINUTE, SECOND
from .faults import Faults
from .measure import named_ids
from .mesh import Search
from .metrics import rounded
from .swarm_node import SwarmNode
from .traffic import Traffic
from .world import World

LOOK_US = 100 * MILLISECOND  # between two looks at a node that has not joined
JOIN_LIMIT_S = 60
TABLES = 100  # nodes whose tables are looked at in a sample
HEALED = 0.99
PROBES = 10  # pairs with an eclipsed victim


class Watch:
    """See the module. `put` takes the lines."""

    def __init__(self, world: World, put: Callable[[dict[str, Any]], object]) -> None:
        self.world = world
        self.put = put
        self.attacks = Attacks(world)
        self.traffic = Traffic(world)
        self.faults = Faults(world, self.note, self._on_healed)
        self.joins: list[float] = []
        self.rejoins: list[float] = []
        self.sessions: list[float] = []
        self.boots = self.joined_in_time = self.reboots = self.rejoined_in_time = 0
        self.heals: list[float] = []
        self.searches: list[Search] = []
        self.hops: list[int] = []
        self.pairs: list[bool] = []
        self.node_us = 0  # virtual time that nodes were on, together
        self.since_us: dict[SwarmNode, int] = {}  # when each node was seen to boot
        self._edges: dict[tuple[int, int], None] = {}
        self._healing: dict[int, int] = {}  # fault -> when it was over
        self._packets = self.peak = 0
        self.peak_share = 0.0
        self._before: dict[str, float] = {}
        self._draws = world.stream("lookups")
        self._states: dict[int, str] = {}
        self.most_sessions: dict[str, int] = {}
        for node in world.mesh.nodes:
            self._watch_power(node)
        sample_us = round(world.scenario.sample_s * SECOND)
        world.clock.at(sample_us, self._sample, sample_us)
        world.clock.at(SECOND, self._count_packets)
        if world.scenario.lookups.per_min:
            world.clock.at(round(world.scenario.settle_min * MINUTE), self._probe)

    @property
    def now_s(self) -> float:
        return rounded(self.world.clock.now_us / SECOND)

    def note(self, event: str, **facts: Any) -> None:
        """Put an event."""
        self.put({"t": self.now_s, "event": event, **facts})

    # Joining

    def _watch_power(self, node: SwarmNode) -> None:
        power_on, power_off = node.power_on, node.power_off

        def on() -> None:
            power_on()
            self.since_us[node] = self.world.clock.now_us
            self._states[self._number(node)] = "on"
            self._await(node, node.boots, self.world.clock.now_us, False, False)
            is_counted = node not in self.world.attackers
            self.boots += is_counted
            self.reboots += is_counted and self.faults.returned.get(node) == node.boots

        def off() -> None:
            power_off()
            self.node_us += self.world.clock.now_us - self.since_us.pop(node)
            self._states[self._number(node)] = "off"

        node.power_on, node.power_off = on, off  # type: ignore[method-assign]

    def _await(self, node: SwarmNode, boots: int, since_us: int, has_joined: bool, has_session: bool) -> None:
        if not node.is_on or node.boots != boots:
            return
        seconds = (self.world.clock.now_us - since_us) / SECOND
        is_counted = node not in self.world.attackers
        if not has_joined and node.has_joined:
            has_joined = True
            if is_counted:
                self._joined(node, seconds)
        if not has_session and node.swarm.peers and any(each.stage == OPEN for each in node.swarm.peers.values()):
            has_session = True
            if is_counted:
                self.sessions.append(seconds)
        if not (has_joined and has_session):
            gap_us = LOOK_US if seconds < JOIN_LIMIT_S else 5 * SECOND
            self.world.clock.after(gap_us, self._await, node, boots, since_us, has_joined, has_session)

    def _joined(self, node: SwarmNode, seconds: float) -> None:
        self.joins.append(seconds)
        is_in_time = seconds <= JOIN_LIMIT_S
        self.joined_in_time += is_in_time
        self._states[self._number(node)] = "joined"
        if self.faults.returned.get(node) == node.boots:
            self.rejoins.append(seconds)
            self.rejoined_in_time += is_in_time

    def _number(self, node: SwarmNode) -> int:
        return node.name  # type: ignore[return-value]

    # Look-ups

    def _probe(self) -> None:
        clock = self.world.clock
        clock.after(round(self._draws.expovariate(self.world.scenario.lookups.per_min) * MINUTE), self._probe)
        ready = [node for node in self.world.honest() if self.world.is_reachable(node) and node.has_joined]
        wanted = [node for node in ready if self.world.clock.now_us - self.since_us[node] > MINUTE]
        if len(ready) < 2 or not wanted:
            return
        node, target = self._draws.choice(ready), self._draws.choice(wanted)
        if node is not target and not self._is_cut(node, target):
            self._look(node, target, 0)

    def _is_cut(self, node: SwarmNode, other: SwarmNode) -> bool:
        return node.endpoint.side != other.endpoint.side

    def _look(self, node: SwarmNode, target: SwarmNode, pair: int) -> Search:
        search = node.find(target.id)
        depth: dict[bytes, int] = {}
        receive, key, mesh = node.endpoint.receive, self.world.mesh.network_key, self.world.mesh

        def listen(datagram: bytes, ip: bytes, port: int) -> None:
            for named in named_ids(key, datagram):
                teller = mesh.identify((ip, port))
                depth.setdefault(named, depth.get(teller.id if teller else b"", 0) + 1)
            receive(datagram, ip, port)

        node.endpoint.receive = listen
        self.world.clock.after(10 * SECOND, self._looked, node, target, node.boots, search, depth, receive)
        return search

    def _looked(
        self, node: SwarmNode, target: SwarmNode, boots: int, search: Search, depth: dict[bytes, int], old: Any
    ) -> None:
        node.endpoint.receive = old
        if node.boots != boots or not node.is_on or not target.is_on or self._is_cut(node, target):
            return
        if not (self.world.is_reachable(node) and self.world.is_reachable(target)):
            return
        self.searches.append(search)
        if search.found:
            self.hops.append(depth.get(target.id, 0))

    # Samples

    def _count_packets(self) -> None:
        self.world.clock.after(SECOND, self._count_packets)
        network = self.world.mesh.network
        total = next(iter(network.fates.values())) + self.world.mesh.tcp.sent_n
        count, self._packets = total - self._packets, total
        self.peak = max(self.peak, count)
        on = len(self.since_us)
        if on:
            self.peak_share = max(self.peak_share, count / on)

    def _look_at_sessions(self) -> dict[tuple[int, int], None]:
        edges = {}
        mesh = self.world.mesh
        for node in mesh.nodes:
            if node.swarm is not None:
                for session in node.swarm.peers.values():
                    if session.stage == OPEN and session.id > node.id:  # each once, from one end
                        other = mesh.node_of(session.id)
                        if other is not None and mesh.are_joined(node, other):
                            edges[self._number(node), self._number(other)] = None
        return edges

    def pieces(self) -> list[list[int]]:
        """The pieces into which sessions join the honest nodes that are on and have Wi-Fi, the largest first."""
        nodes = [self._number(node) for node in self.world.honest() if self.world.is_reachable(node)]
        root = {number: number for number in nodes}

        def find(number: int) -> int:
            while root[number] != number:
                root[number] = number = root[root[number]]
            return number

        for a, b in self._edges:
            if a in root and b in root:
                root[find(a)] = find(b)
        found: dict[int, list[int]] = {}
        for number in nodes:
            found.setdefault(find(number), []).append(number)
        return sorted(found.values(), key=lambda piece: (-len(piece), piece[0]))

    def tables(self) -> tuple[float, float, float]:
        """Live entries of a node, the share of them that are off, and that are attackers: of some nodes."""
        honest = [node for node in self.world.honest() if node.is_on]
        chosen = honest[:: max(1, len(honest) // TABLES)]
        held = [self.world.mesh.node_of(id32) for node in chosen for id32 in sorted(node.live_ids())]
        if not held:
            return 0.0, 0.0, 0.0
        dead = sum(node is None or not node.is_on for node in held)
        return len(held) / len(chosen), dead / len(held), sum(node in self.world.attackers for node in held) / len(held)

    def totals(self) -> dict[str, float]:
        mesh, ledgers = self.world.mesh, self.traffic.ledgers
        return {
            "udp_bytes": sum(node.endpoint.sent_bytes for node in mesh.nodes),
            "tcp_bytes": sum(node.tcp_host.sent_bytes for node in mesh.nodes),
            "udp": next(iter(mesh.network.fates.values())),
            "tcp": mesh.tcp.sent_n,
            "published": ledgers["publish"].begun,
            "due": ledgers["publish"].due,
            "delivered": ledgers["publish"].good,
            "asked": ledgers["request"].begun,
            "answered": ledgers["request"].good,
        }

    def look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """How the mesh stands, and what changed of its sessions and nodes since the last look."""
        edges = self._look_at_sessions()
        opened = [list(edge) for edge in edges if edge not in self._edges]
        closed = [list(edge) for edge in self._edges if edge not in edges]
        self._edges = edges
        pieces = self.pieces()
        on = sum(map(len, pieces))
        for name, nodes in self.world.groups.items():
            most = max(len(node.swarm.sessions) if node.swarm is not None else 0 for node in nodes)
            self.most_sessions[name] = max(self.most_sessions.get(name, 0), most)
        live, dead, bad = self.tables()
        joined = sum(node.is_on and node.has_joined for node in self.world.honest())
        totals = self.totals()
        changes = {name: rounded(value - self._before.get(name, 0)) for name, value in totals.items()}
        self._before = totals
        links = sum(len(node.swarm.peers) for node in self.world.honest() if node.swarm is not None)
        sample = {
            "on": on,
            "joined": joined,
            "links": rounded(links / on) if on else 0,
            "pieces": len(pieces),
            "largest": len(pieces[0]) if pieces else 0,
            "live": rounded(live),
            "dead": rounded(dead),
            "bad": rounded(bad),
            **changes,
        }
        states = {str(number): state for number, state in sorted(self._states.items())}
        self._states = {}
        return sample, {"opened": opened, "closed": closed, "states": states}

    def _sample(self, gap_us: int) -> None:
        self.world.clock.after(gap_us, self._sample, gap_us)
        sample, changes = self.look()
        self.put({"t": self.now_s, "sample": sample, **changes})

    def _on_healed(self, number: int) -> None:
        self._healing[number] = self.world.clock.now_us
        self.world.clock.after(SECOND, self._look_whether_healed, number)

    def _look_whether_healed(self, number: int) -> None:
        """A look each second until it is."""
        if number in self._healing:
            self.world.clock.after(SECOND, self._look_whether_healed, number)
            edges = self._look_at_sessions()
            before, self._edges = self._edges, edges
            pieces = self.pieces()
            self._edges = before
            if pieces and len(pieces[0]) >= HEALED * sum(map(len, pieces)):
                self.heals.append((self.world.clock.now_us - self._healing.pop(number)) / SECOND)
                self.note("one piece", number=number, after_s=rounded(self.heals[-1]))

    # The end

    def probe_victims(self) -> None:
        """Whether victims of an eclipse and others find each other, each way in which honest tables lead from one to the
        other."""
        clock = self.world.clock
        for victim in self.attacks.victims:
            honest = [node for node in self.world.honest() if node is not victim and node.is_on]
            for other in self._draws.sample(honest, min(PROBES, len(honest))):
                for node, target in ((victim, other), (other, victim)):
                    if node.is_on and target.is_on and self.has_honest_path(node, target):
                        search = node.find(target.id)
                        clock.run_while(lambda search=search: not search.is_done, 30 * SECOND)  # type: ignore[misc]
                        clock.run_for(5 * SECOND)
                        self.pairs.append(search.found)

    def has_honest_path(self, start: SwarmNode, target: SwarmNode) -> bool:
        """Whether the table of one node, and those of honest ones that it leads to, lead to another node."""
        seen, todo = {start.id}, [start]
        while todo:
            for id32 in sorted(todo.pop().live_ids()):
                node = self.world.mesh.node_of(id32)
                if id32 == target.id:
                    return True
                if node is not None and node.is_on and id32 not in seen and node not in self.world.attackers:
                    seen.add(id32)
                    todo.append(node)
        return False
