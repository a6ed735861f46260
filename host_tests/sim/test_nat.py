"""Routers: which kind lets whom reach whom, and for how long (RFC 4787)."""

from ipaddress import ip_address

import pytest
from picoswarm_tools.sim.clock import SECOND, Clock
from picoswarm_tools.sim.nat import NatKind
from picoswarm_tools.sim.network import Conditions, Fate, Network

KINDS = list(NatKind)
ROUTERS = ip_address("20.9.0.1").packed, ip_address("20.9.1.1").packed


class Peer:
    """A bound socket and what it heard."""

    def __init__(self, net, segment, ip, port=7000):
        self.net = net
        self.heard = []
        self.endpoint = net.bind(segment, ip, port, lambda *arrival: self.heard.append(arrival))

    def say(self, address, text=b"x"):
        self.endpoint.send(text, *address)
        self.net.clock.run_for(SECOND)

    @property
    def last_source(self):
        return self.heard[-1][1:]


class Home:
    """A LAN with one peer behind a router of `kind`, and two peers `a`, `b` on the internet."""

    def __init__(self, kind, timeout_s=120):
        self.net = Network(Clock(), 3, Conditions(latency_ms=10))
        self.lan = self.net.add_lan("192.168.1.0/24", nat=kind, outside_ip="20.9.0.1", mapping_timeout_s=timeout_s)
        self.inside = Peer(self.net, self.lan, "192.168.1.2")
        self.a = Peer(self.net, self.net.internet, "20.0.0.1")
        self.b = Peer(self.net, self.net.internet, "20.0.1.1")
        self.a2 = Peer(self.net, self.net.internet, "20.0.0.1", 7001)


@pytest.mark.parametrize("kind", KINDS)
def test_the_asked_one_can_answer(kind):
    home = Home(kind)
    home.inside.say(home.a.endpoint.address)
    assert home.a.last_source[0] == ROUTERS[0]
    home.a.say(home.a.last_source, b"answer")
    assert home.inside.heard == [(b"answer", *home.a.endpoint.address)]


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_enters_without_a_mapping(kind):
    home = Home(kind)
    for port in (7000, 1025, 40000):
        home.a.say((ROUTERS[0], port))
    home.a.say(home.inside.endpoint.address)
    assert home.inside.heard == []
    assert home.net.fates[Fate.FILTERED] == 3


@pytest.mark.parametrize(("kind", "enters"), [(NatKind.FULL_CONE, 3), (NatKind.PORT_RESTRICTED, 1), (NatKind.SYMMETRIC, 1)])
def test_who_else_enters_through_the_mapping(kind, enters):
    home = Home(kind)
    home.inside.say(home.a.endpoint.address)
    seen = home.a.last_source
    for peer in (home.a, home.a2, home.b):
        peer.say(seen)
    assert len(home.inside.heard) == enters


@pytest.mark.parametrize(("kind", "ports"), [(NatKind.FULL_CONE, 1), (NatKind.PORT_RESTRICTED, 1), (NatKind.SYMMETRIC, 3)])
def test_outside_ports_for_three_remote_endpoints(kind, ports):
    home = Home(kind)
    for peer in (home.a, home.a2, home.b):
        home.inside.say(peer.endpoint.address)
    assert len({peer.last_source for peer in (home.a, home.a2, home.b)}) == ports


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapping_ends_after_its_time_and_inbound_does_not_keep_it(kind):
    home = Home(kind, timeout_s=30)
    home.inside.say(home.a.endpoint.address)
    seen = home.a.last_source
    for _ in range(2):
        home.net.clock.run_for(12 * SECOND)
        home.a.say(seen)
    assert len(home.inside.heard) == 2
    home.net.clock.run_for(12 * SECOND)
    home.a.say(seen)
    assert len(home.inside.heard) == 2
    home.inside.say(home.a.endpoint.address)
    assert home.a.last_source != seen


@pytest.mark.parametrize("kind", KINDS)
def test_outbound_traffic_keeps_a_mapping(kind):
    home = Home(kind, timeout_s=30)
    home.inside.say(home.a.endpoint.address)
    seen = home.a.last_source
    for _ in range(10):
        home.net.clock.run_for(20 * SECOND)
        home.inside.say(home.a.endpoint.address)
        assert home.a.last_source == seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_router_that_rebooted_knows_nobody(kind):
    home = Home(kind)
    home.inside.say(home.a.endpoint.address)
    home.lan.nat.reboot()
    home.a.say(home.a.last_source)
    assert home.inside.heard == []
    assert len(home.lan.nat) == 0


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("right", KINDS)
def test_two_homes_that_open_holes_at_once(left, right):
    """Each learned the other's outside endpoint from a third party and sends at the same moment: works unless a
    symmetric router meets one that filters (RFC 5128 section 3.4)."""
    net = Network(Clock(), 5, Conditions(latency_ms=10))
    homes = []
    for number, kind in enumerate((left, right)):
        lan = net.add_lan(f"192.168.{number}.0/24", nat=kind, outside_ip=f"20.9.{number}.1")
        homes.append(Peer(net, lan, f"192.168.{number}.2"))
    third = Peer(net, net.internet, "20.0.0.1")
    seen = []
    for home in homes:
        home.say(third.endpoint.address)
        seen.append(third.last_source)
    for _ in range(3):
        homes[0].endpoint.send(b"x", *seen[1])
        homes[1].endpoint.send(b"x", *seen[0])
        net.clock.run_for(SECOND)
    symmetric = NatKind.SYMMETRIC in (left, right)
    filtering = left is not NatKind.FULL_CONE and right is not NatKind.FULL_CONE
    assert any(home.heard for home in homes) == (not (symmetric and filtering))


def test_neighbours_at_home_talk_past_the_router():
    home = Home(NatKind.SYMMETRIC)
    second = Peer(home.net, home.lan, "192.168.1.3")
    home.inside.say(second.endpoint.address)
    assert second.last_source == home.inside.endpoint.address
    assert len(home.lan.nat) == 0


def test_no_hairpin():
    home = Home(NatKind.FULL_CONE)
    home.inside.say(home.a.endpoint.address)
    home.inside.say(home.a.last_source)
    assert home.inside.heard == []


def test_ports_go_round_and_old_mappings_are_let_go():
    home = Home(NatKind.SYMMETRIC, timeout_s=1)
    nat = home.lan.nat
    ports = set()
    for number in range(70_000):
        ports.add(nat.outbound(home.inside.endpoint.address, (number.to_bytes(4), 7000))[1])
        if number % 100 == 0:
            home.net.clock.run_for(SECOND)
    assert len(ports) == 0x10000 - 1025
    assert min(ports) == 1025
    assert len(nat._by_port) <= 1024
