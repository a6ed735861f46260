"""A scenario as a mesh: its sites, its nodes, and who has power."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from picoswarm.topics import subscribe

from . import stream
from .asking import Requests
from .clock import SECOND
from .gateway_node import GatewayNode
from .mesh import PORT
from .nat import NatKind
from .network import Conditions, Lan, Segment
from .scenario import NodesTable, Scenario, SiteTable, key_ms, numbers
from .swarm_node import SwarmMesh, SwarmNode

CONDITIONS = ("latency_ms", "jitter_ms", "loss", "duplicate", "reorder", "reorder_ms", "kbps", "queue_ms")
KNOWN = 4  # addresses that a node is given
FOLLOWED = 2


def conditions(table: Any) -> Conditions:
    """How a site, or the internet, treats packets."""
    return Conditions(**{name: getattr(table, name) for name in CONDITIONS if hasattr(table, name)})


class World:
    """See the module. `groups` has the nodes of each group, `group_of` the table of each node."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self.mesh = mesh = SwarmMesh(seed, conditions(scenario.internet))
        self.clock = mesh.clock
        self.requests = Requests(mesh)
        self.groups: dict[str, list[SwarmNode]] = {}
        self.group_of: dict[SwarmNode, NodesTable] = {}
        self.site_of: dict[SwarmNode, str] = {}
        self.attackers: dict[SwarmNode, None] = {}  # those that are members
        self.cut: dict[SwarmNode, dict[str, None]] = {}  # why a node has no power
        self._unlinked: dict[SwarmNode, int] = {}  # how many Wi-Fi faults hold
        self._segments: dict[str, tuple[Segment, str]] = {"": (mesh.network.internet, "")}  # and the region
        self._hosts: dict[str, int] = {}  # addresses given in each LAN
        for site in scenario.site:
            self._segments[site.name] = self._make_site(site)
        for route in scenario.route:
            a, b = route.between
            mesh.network.routes[a, b] = mesh.network.routes[b, a] = route.latency_ms
        for group in scenario.nodes:
            self._add_group(group)
        for group in scenario.nodes:
            self._introduce(group)

    def stream(self, *concern: object) -> Random:
        """A random stream of its own."""
        return stream(self.seed, *concern)

    # Making

    def _make_site(self, site: SiteTable) -> tuple[Segment, str]:
        network = self.mesh.network
        region = site.region or site.name
        if site.kind == "internet":
            return network.internet, region
        number = len(network.lans)
        lan = network.add_lan(
            f"10.{number}.0.0/16",
            nat=NatKind(site.nat) if site.nat else None,
            outside_ip=f"8.{number}.8.1" if site.nat else None,
            conditions=conditions(site),
        )
        lan.region = region
        return lan, region

    def _add_group(self, group: NodesTable) -> None:
        starts = self.stream("start", group.name)
        skews = self.stream("skew", group.name)
        profile, key = numbers(group), key_ms(group)
        self.groups[group.name] = []
        for _ in range(group.count):
            start_us = round((group.from_s + starts.random() * group.within_s) * SECOND)
            skew = skews.randint(-group.skew_ppm, group.skew_ppm)
            kind = GatewayNode if group.role == "gateway" else SwarmNode
            node = self.add_node(group, group.site, profile, kind=kind, skew_ppm=skew, key_ms=key)
            self.clock.at(start_us, self.restore, node, "start")

    def add_node(self, group: NodesTable, site: str, profile: dict[str, int], **more: Any) -> SwarmNode:
        """A node without power at a site, which is given to it with `restore(node, "start")`."""
        segment, region = self._segments[site]
        place: dict[str, Any] = {}
        if isinstance(segment, Lan):
            at = self._hosts[site] = self._hosts.get(site, 9) + 1
            place = {"segment": segment, "ip": f"10.{self.mesh.network.lans.index(segment)}.{at >> 8}.{at & 255}"}
            if segment.nat is not None and group.name in self._forwarded(site):
                place["port"] = PORT + len(segment.nat.forwards)
        node: SwarmNode = self.mesh.add(profile=profile, start_us=None, **place, **more)  # type: ignore[arg-type,assignment]
        node.endpoint.region = node.tcp_host.region = region
        if "port" in place:
            segment.nat.forward(place["port"], node.endpoint.address)  # type: ignore[attr-defined]
        node.more_reactors = self.requests.serve
        self.cut[node] = {"start": None}
        self.group_of[node] = group
        self.site_of[node] = site
        self.groups.setdefault(group.name, []).append(node)
        return node

    def _forwarded(self, site: str) -> list[str]:
        return next(table.forward for table in self.scenario.site if table.name == site)

    def _introduce(self, group: NodesTable) -> None:
        draws = self.stream("know", group.name)
        names = [other.name for other in self.scenario.nodes if other.role != "board"]
        names = [name for word in group.know for name in (names if word == "*" else [word])]
        for node in self.groups[group.name]:
            self.introduce(node, names, draws)
            followed = [each for name in group.follow for each in self.groups[name] if each is not node]
            followed = [each for each in followed if self._reaches(node, each)]
            node.permanent = draws.sample(followed, min(FOLLOWED, len(followed)))
            node.filters += group.hear

    def introduce(self, node: SwarmNode, names: Sequence[str], draws: Random) -> None:
        """Give a node the addresses of some nodes of these groups, those of its own site first."""
        known = [each for name in dict.fromkeys(names) for each in self.groups[name] if each is not node]
        known = [each for each in known if self._reaches(node, each)]
        known = draws.sample(known, len(known))
        known.sort(key=lambda each: self.site_of[each] != self.site_of[node])
        node.know = [(None if each.profile.bootstrap else each.id, node.address_of(each)) for each in known[:KNOWN]]

    def _reaches(self, node: SwarmNode, other: SwarmNode) -> bool:
        segment = other.endpoint.segment
        if segment is node.endpoint.segment:
            return True
        own = node.endpoint.segment
        if isinstance(own, Lan) and own.nat is None:
            return False
        is_open = isinstance(segment, Lan) and segment.nat is not None
        return not isinstance(segment, Lan) or (is_open and other.endpoint.address in segment.nat.forwards.values())  # type: ignore[union-attr]

    # Who is there

    def nodes(self, groups: Iterable[str] = (), sites: Iterable[str] = ()) -> list[SwarmNode]:
        """The nodes of these groups and sites; of neither: all honest ones."""
        groups, sites = list(groups), list(sites)
        if not groups and not sites:
            return self.honest()
        return [node for node in self.mesh.nodes if self.group_of[node].name in groups or self.site_of[node] in sites]

    def honest(self) -> list[SwarmNode]:
        """All nodes but attackers."""
        return [node for node in self.mesh.nodes if node not in self.attackers]

    def boards(self, groups: Iterable[str] = ()) -> list[SwarmNode]:
        """The nodes of these groups; of none: all honest ones that are neither gateways nor bootstrap nodes."""
        groups = list(groups)
        if groups:
            return self.nodes(groups)
        return [node for node in self.honest() if self.group_of[node].role == "board"]

    def hears(self, node: SwarmNode, topic_filter: str) -> bool:
        """Subscribe a node to a filter, now and at each boot; false: it has as many as its profile allows."""
        if topic_filter not in node.filters:
            if len(node.filters) >= node.profile.filters:
                return False
            node.filters.append(topic_filter)
            if node.pubsub is not None:
                subscribe(node.pubsub, topic_filter, node.now)
                node.swarm_turn()
        return True

    # Power and Wi-Fi: whoever has no reason to be off is on

    def take_power(self, node: SwarmNode, why: str) -> None:
        """Cut a node's power, for a reason."""
        if not self.cut[node]:
            node.power_off()
        self.cut[node][why] = None

    def restore(self, node: SwarmNode, why: str) -> None:
        """Take back a reason; without any the node boots."""
        reasons = self.cut[node]
        if why in reasons:
            del reasons[why]
            if not reasons:
                node.power_on()
                self.requests.keep_busy(node)

    def unlink(self, node: SwarmNode) -> None:
        """A node loses its Wi-Fi."""
        self._unlinked[node] = self._unlinked.get(node, 0) + 1
        node.set_link(False)

    def link(self, node: SwarmNode) -> None:
        """It has it back, once all its faults are over."""
        self._unlinked[node] -= 1
        if not self._unlinked[node]:
            node.set_link(True)

    def is_reachable(self, node: SwarmNode) -> bool:
        """Whether a node is on and has its Wi-Fi."""
        return node.is_on and node.endpoint.is_linked
