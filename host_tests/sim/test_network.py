"""The virtual network: who is reached, and with what statistics."""

from ipaddress import ip_address

import pytest
from picoswarm_tools.sim.clock import SECOND, Clock
from picoswarm_tools.sim.network import BROADCAST, Conditions, Fate, Network

IDEAL = Conditions(latency_ms=10)


def network(conditions=IDEAL, seed=1):
    return Network(Clock(), seed, conditions)


def ip(text):
    return ip_address(text).packed


class Inbox(list):
    """Keeps what arrives as (datagram, source IP, source port)."""

    def __call__(self, *arrival):
        self.append(arrival)


def pair(net):
    inbox = Inbox()
    a = net.bind(net.internet, "20.0.0.1", 7000, Inbox())
    net.bind(net.internet, "20.0.1.1", 7000, inbox)
    return a, ip("20.0.1.1"), inbox


def test_a_datagram_arrives_after_the_latency():
    net = network()
    a, to, inbox = pair(net)
    a.send(b"hello", to, 7000)
    net.clock.run_until(9_999)
    assert inbox == []
    net.clock.run_until(10_000)
    assert inbox == [(b"hello", ip("20.0.0.1"), 7000)]
    assert (a.sent_n, a.sent_bytes) == (1, 5)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_stated_share_is_lost(share):
    net = network(Conditions(latency_ms=10, loss=share))
    a, to, inbox = pair(net)
    for _ in range(10_000):
        a.send(b"x", to, 7000)
    net.clock.run_for(SECOND)
    assert abs(len(inbox) / 10_000 - (1 - share)) < 0.02  # over 4 standard deviations
    assert net.fates[Fate.LOST] == 10_000 - len(inbox)


def test_the_stated_share_arrives_twice():
    net = network(Conditions(latency_ms=10, jitter_ms=5, duplicate=0.2))
    a, to, inbox = pair(net)
    for _ in range(10_000):
        a.send(b"x", to, 7000)
    net.clock.run_for(SECOND)
    assert abs(len(inbox) / 10_000 - 1.2) < 0.02


def test_the_stated_share_is_held_back_and_so_overtaken():
    net = network(Conditions(latency_ms=10, reorder=0.1, reorder_ms=50))
    a, to, inbox = pair(net)
    transit = []

    def tap(now_us, fate, _source, _to, datagram):
        if fate is Fate.DELIVERED:
            transit.append(now_us - int.from_bytes(datagram) * 1000)

    net.taps.append(tap)
    for number in range(5_000):
        net.clock.at(number * 1000, a.send, number.to_bytes(2), to, 7000)
    net.clock.run_for(10 * SECOND)
    assert set(transit) == {10_000, 60_000}
    assert abs(transit.count(60_000) / 5_000 - 0.1) < 0.02
    order = [int.from_bytes(datagram) for datagram, *_ in inbox]
    assert sorted(order) == list(range(5_000)) != order


def test_no_reordering_without_jitter():
    net = network()
    a, to, inbox = pair(net)
    for number in range(1000):
        a.send(number.to_bytes(2), to, 7000)
    net.clock.run_for(SECOND)
    assert [int.from_bytes(datagram) for datagram, *_ in inbox] == list(range(1000))


def test_a_little_more_loss_leaves_the_delays_as_they_were():
    arrivals = []
    for share in (0.0, 0.05):
        net = network(Conditions(latency_ms=10, jitter_ms=50, loss=share))
        a, to, inbox = pair(net)
        times = {}
        net.taps.append(lambda now_us, fate, _a, _b, d, times=times: fate is Fate.DELIVERED and times.setdefault(d, now_us))
        for number in range(500):
            a.send(number.to_bytes(2), to, 7000)
        net.clock.run_for(SECOND)
        arrivals.append(times)
    assert 0 < len(arrivals[1]) < 500
    assert arrivals[1].items() <= arrivals[0].items()


def test_partition_and_heal():
    net = network()
    a, to, inbox = pair(net)
    c_inbox = Inbox()
    c = net.bind(net.internet, "20.0.2.1", 7000, c_inbox)
    net.partition([c])
    a.send(b"1", to, 7000)
    a.send(b"2", c.address[0], 7000)
    c.send(b"3", to, 7000)
    net.clock.run_for(SECOND)
    assert [datagram for datagram, *_ in inbox] == [b"1"]
    assert c_inbox == []
    assert net.fates[Fate.CUT] == 2
    net.heal()
    a.send(b"4", c.address[0], 7000)
    c.send(b"5", to, 7000)
    net.clock.run_for(SECOND)
    assert [datagram for datagram, *_ in c_inbox] == [b"4"]
    assert [datagram for datagram, *_ in inbox] == [b"1", b"5"]


def test_a_datagram_under_way_reaches_whoever_is_there_when_it_arrives():
    net = network()
    a, to, inbox = pair(net)
    target = net.internet.endpoints[to, 7000]
    a.send(b"lost", to, 7000)
    target.is_up = False
    net.clock.run_for(SECOND)
    target.is_up = True
    a.send(b"got", to, 7000)
    net.clock.run_for(SECOND)
    assert [datagram for datagram, *_ in inbox] == [b"got"]
    assert net.fates[Fate.UNROUTABLE] == 1


def test_broadcast_reaches_every_endpoint_of_the_lan_with_that_port_and_no_other():
    net = network()
    lan, other = net.add_lan("192.168.1.0/24"), net.add_lan("192.168.2.0/24")
    inboxes = [Inbox() for _ in range(5)]
    sender = net.bind(lan, "192.168.1.1", 7000, inboxes[0])
    net.bind(lan, "192.168.1.2", 7000, inboxes[1])
    net.bind(lan, "192.168.1.3", 7001, inboxes[2])
    net.bind(other, "192.168.2.2", 7000, inboxes[3])
    net.bind(net.internet, "20.0.0.1", 7000, inboxes[4])
    sender.send(b"beacon", BROADCAST, 7000)
    sender.send(b"beacon", ip("192.168.1.255"), 7000)
    net.clock.run_for(SECOND)
    assert [len(inbox) for inbox in inboxes] == [0, 2, 0, 0, 0]


def test_lans_with_equal_subnets_do_not_hear_each_other():
    net = network()
    inbox = Inbox()
    a = net.bind(net.add_lan("192.168.1.0/24"), "192.168.1.1", 7000, Inbox())
    net.bind(net.add_lan("192.168.1.0/24"), "192.168.1.2", 7000, inbox)
    a.send(b"x", ip("192.168.1.2"), 7000)
    net.clock.run_for(SECOND)
    assert inbox == []


def test_a_lan_without_a_router_has_no_way_out_and_none_in():
    net = network()
    outside = Inbox()
    inside = Inbox()
    a = net.bind(net.add_lan("192.168.1.0/24"), "192.168.1.1", 7000, inside)
    b = net.bind(net.internet, "20.0.0.1", 7000, outside)
    a.send(b"x", ip("20.0.0.1"), 7000)
    b.send(b"x", ip("192.168.1.1"), 7000)
    net.clock.run_for(SECOND)
    assert outside == inside == []
    assert net.fates[Fate.UNROUTABLE] == 2


def test_ipv6_on_both_kinds_of_segment():
    net = network()
    lan = net.add_lan("fd00:1::/64")
    inbox, outside = Inbox(), Inbox()
    a = net.bind(lan, "fd00:1::1", 7000, Inbox())
    net.bind(lan, "fd00:1::2", 7000, inbox)
    net.bind(net.internet, "2a00::1", 7000, outside)
    b = net.bind(net.internet, "2a00::2", 7000, Inbox())
    a.send(b"one", ip("fd00:1::2"), 7000)
    a.send(b"all", ip("ff02::1"), 7000)
    b.send(b"far", ip("2a00::1"), 7000)
    net.clock.run_for(SECOND)
    assert [datagram for datagram, *_ in inbox] == [b"one", b"all"]
    assert [datagram for datagram, *_ in outside] == [b"far"]


def test_an_address_is_bound_once_and_only_where_it_belongs():
    net = network()
    pair(net)
    lan = net.add_lan("192.168.1.0/24")
    for segment, address in ((net.internet, "20.0.0.1"), (lan, "192.168.2.1")):
        with pytest.raises(ValueError, match="20.0.0.1|192.168.2.1"):
            net.bind(segment, address, 7000, Inbox())
