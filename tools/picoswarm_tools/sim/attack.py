"""Attackers of a scenario. Sybil, eclipse and black hole hold the network key: they are nodes of real engines whose answers
lie (`liar.py`). Replay and flood are strangers, who send bytes and understand none.

    sybil       many ids, each of which names only its fellows
    eclipse     the same with ids ground to lie next to a victim's, so that they are most of its neighbourhood
    black hole  answers pings, never says whom it knows, and swallows what is published
    replay      sends again what it heard on the way, from its own address and with a forged one
    flood       random bytes and connections that say nothing
"""

from __future__ import annotations

from random import Random
from typing import Any

from ..crowd import identities, identity
from .clock import MINUTE, SECOND
from .liar import Liar, Lie
from .mesh import PORT
from .nat import Address
from .network import Endpoint, Fate
from .scenario import AttackTable, NodesTable
from .swarm_node import SwarmNode
from .world import World

HEARD = 256  # datagrams that a replaying stranger keeps
CONNECTIONS = 20  # each so many datagrams of a flood one TCP connection
NEIGHBORHOOD = 20  # nodes nearest to a victim


class Silent:
    """Who takes a connection and never says a word."""

    def connected(self) -> None: ...
    def arrived(self, data: bytes) -> None: ...
    def ended(self) -> None: ...


class Stranger:
    """A replay or a flood: one socket of somebody without the network key."""

    def __init__(self, world: World, number: int, name: int, table: AttackTable) -> None:
        self._world = world
        self._table = table
        self._draws: Random = world.stream("attack", number, name)
        self._victims = world.nodes(table.victims)
        self._sent = 0
        self._heard: list[tuple[Address, Address, bytes]] = []
        network = world.mesh.network
        address = bytes((7, number, name & 255, 1 + (name >> 8))), PORT
        self.endpoint: Endpoint = network.bind(network.internet, *address, self._receive)
        self._tcp = world.mesh.tcp.listen(network.internet, address, lambda _end, _seen: None)
        if table.kind == "replay":
            network.taps.append(self._listen)
        world.clock.at(round(table.at_min * MINUTE), self._send)

    def _receive(self, datagram: bytes, ip: bytes, port: int) -> None:
        """An answer; `endpoint.received_n` counts it."""

    def _listen(self, _us: int, fate: Fate, source: Address, to: Address, datagram: bytes) -> None:
        if fate is Fate.DELIVERED and source != self.endpoint.address:
            self._heard.append((source, to, datagram))
            if len(self._heard) > HEARD:
                del self._heard[: HEARD // 2]

    def _send(self) -> None:
        clock = self._world.clock
        clock.after(round(self._draws.expovariate(self._table.per_s) * SECOND), self._send)
        if self._table.kind == "replay":
            if self._heard:
                source, to, datagram = self._draws.choice(self._heard)
                if self._draws.random() < 0.5:
                    self._world.mesh.network.inject(source, datagram, to)
                else:
                    self.endpoint.send(datagram, *to)
            return
        victim = self._draws.choice(self._victims)
        self._sent += 1
        if self._sent % CONNECTIONS == 0:
            self._world.mesh.tcp.connect(self._tcp, victim.endpoint.address, Silent())
        else:
            self.endpoint.send(self._draws.randbytes(self._draws.randint(1, 512)), *victim.endpoint.address)


class BlackHole(SwarmNode):
    """Passes nothing on, though it says that it hears everything."""

    def power_on(self) -> None:
        super().power_on()
        self.pubsub.receive = lambda peer, channel, view: 0


class Attacks:
    """All attackers of a scenario. `victims`: those of an eclipse."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.strangers: list[Stranger] = []
        self.victims: list[SwarmNode] = []
        for number, table in enumerate(world.scenario.attack):
            if table.kind in ("replay", "flood"):
                self.strangers += [Stranger(world, number, name, table) for name in range(table.count)]
            else:
                self._add_members(number, table)

    def answers(self) -> int:
        """Datagrams that strangers got."""
        return sum(stranger.endpoint.received_n for stranger in self.strangers)

    def _add_members(self, number: int, table: AttackTable) -> None:
        world = self._world
        group = NodesTable(name=f"attack {number}: {table.kind}", count=table.count, site=table.site)
        keys = self._ground(table) if table.kind == "eclipse" else [None] * table.count
        names = [each.name for each in world.scenario.nodes if each.role != "board"]
        lie = Lie.SILENT if table.kind == "black hole" else Lie.FELLOWS
        kind, profile = (BlackHole, {"relay": 1}) if table.kind == "black hole" else (SwarmNode, {})
        fellows: list[SwarmNode] = []
        draws = world.stream("attackers", number)
        for place, key in enumerate(keys):
            more: dict[str, Any] = {"identity": key, "kind": kind}
            if table.addresses and not table.site:
                more |= {"ip": f"9.{number}.{place % table.addresses}.1", "port": PORT + place // table.addresses}
            node = world.add_node(group, table.site, profile, **more)
            fellows.append(node)
            world.attackers[node] = None
            world.introduce(node, names or [each.name for each in world.scenario.nodes], draws)
            liar = world.mesh.make_liar(node, lie)
            self._teach(liar, fellows)
            at_us = round(table.at_min * MINUTE) + draws.randrange(10 * SECOND)
            world.clock.at(at_us, world.restore, node, "start")

    def _teach(self, liar: Liar, fellows: list[SwarmNode]) -> None:
        liar.contacts = lambda: [(each.id, each.endpoint.address) for each in fellows if each.is_on]

    def _ground(self, table: AttackTable) -> list[Any]:
        """Keys whose ids make up `share` of the NEIGHBORHOOD nodes nearest to the victim, and `count` at least."""
        world = self._world
        victim = world.nodes(table.victims)[0]
        self.victims.append(victim)
        own = int.from_bytes(victim.id)
        honest = sorted(int.from_bytes(node.id) ^ own for node in world.honest() if node is not victim)
        kept = min(round(NEIGHBORHOOD * (1 - table.share)), len(honest) - 1)
        wanted = max(table.count, round(NEIGHBORHOOD * table.share))
        keys = []
        for private, y in identities():
            if int.from_bytes(y.to_bytes(32, "little")) ^ own < honest[kept]:
                keys.append(identity(private, y))
                if len(keys) == wanted:
                    return keys
        return keys
