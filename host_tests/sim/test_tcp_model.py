"""The stream under a session in the simulator: what of it still arrives when one end closes (docs/simulator.md).

What real sockets do was looked at on Linux, over loopback: who closes has what it sent delivered, also where bytes come to
it afterwards; where it had not read all, the other end reads what arrived and then gets a reset."""

from ipaddress import ip_address

import pytest
from picoswarm_tools.sim.clock import MILLISECOND, SECOND, Clock
from picoswarm_tools.sim.network import Conditions, Network
from picoswarm_tools.sim.tcp import TcpNetwork

WAY_MS = 50


class Taker:
    """Keeps what an end is told."""

    def __init__(self, told):
        self.told = told

    def connected(self):
        self.told.append("connected")

    def arrived(self, data):
        self.told.append(data)

    def ended(self):
        self.told.append("ended")


class Pair:
    """Two ends of one connection; `a` dialed."""

    def __init__(self, seed=1, **conditions):
        self.clock = Clock()
        network = Network(self.clock, 1, Conditions(latency_ms=WAY_MS, **conditions))
        self.tcp = TcpNetwork(network, seed)
        self.told = [], []
        self.ends = []
        addresses = [(ip_address(f"20.0.{i}.1").packed, 7000) for i in range(2)]
        self.hosts = [self.tcp.listen(network.internet, address, self._accept) for address in addresses]
        self.a = self.tcp.connect(self.hosts[0], addresses[1], Taker(self.told[0]))
        self.pass_ms(1000)
        (self.b,) = self.ends
        assert self.told == (["connected"], [])
        self.told[0].clear()

    def _accept(self, end, address):
        self.ends.append(end)
        return Taker(self.told[1])

    def pass_ms(self, ms):
        self.clock.run_until(self.clock.now_us + ms * MILLISECOND)

    def cut(self, is_cut):
        """Whether everything on the way is lost."""
        self.hosts[0].side = int(is_cut)

    def is_forgotten(self):
        return not (self.hosts[0].ends or self.hosts[1].ends)


@pytest.mark.parametrize("has_unread", [False, True])
@pytest.mark.parametrize("later_ms", [-40, -1, 0, 10, 45])
def test_what_was_sent_before_the_end_arrives_though_data_come_to_the_closed_end(has_unread, later_ms):
    pair = Pair()
    if later_ms < 0:
        pair.b.send(b"data")
        pair.pass_ms(-later_ms)
    pair.a.send(b"go away")
    pair.a.close(has_unread)
    if later_ms >= 0:
        pair.pass_ms(later_ms)
        pair.b.send(b"data")
    pair.pass_ms(WAY_MS - max(later_ms, 0) - 1)
    assert pair.told == ([], [])
    pair.pass_ms(1)
    assert pair.told == ([], [b"go away", "ended"])
    pair.pass_ms(10_000)
    assert pair.told == ([], [b"go away", "ended"]) and pair.is_forgotten()


def test_an_order_of_packets_that_the_network_turned_round_changes_nothing_of_it():
    for seed in range(20):
        pair = Pair(seed, jitter_ms=200)
        pair.b.send(b"data")
        pair.a.send(b"go away")
        pair.a.close()
        pair.pass_ms(10_000)
        assert pair.told == ([], [b"go away", "ended"])


@pytest.mark.parametrize("has_unread", [False, True])
def test_what_was_lost_is_not_sent_again_by_an_end_that_gave_a_reset(has_unread):
    pair = Pair()
    pair.cut(True)
    pair.a.send(b"go away")
    pair.cut(False)
    pair.b.send(b"data")
    pair.a.close(has_unread)
    pair.pass_ms(10_000)
    assert pair.told == ([], ["ended"]) and pair.is_forgotten()


def test_an_end_that_only_closed_sends_again_what_was_lost():
    pair = Pair()
    pair.cut(True)
    pair.a.send(b"go away")
    pair.a.close()
    pair.cut(False)
    pair.pass_ms(10_000)
    assert pair.told == ([], [b"go away", "ended"]) and pair.is_forgotten()


def test_two_ends_may_close_at_once():
    pair = Pair()
    pair.a.close()
    pair.b.close()
    pair.pass_ms(10_000)
    assert pair.told == ([], []) and pair.is_forgotten()


def test_a_node_that_was_without_power_answers_with_a_reset():
    pair = Pair()
    pair.hosts[0].power_off()
    pair.b.send(b"data")
    pair.pass_ms(500)
    assert pair.told == ([], [])
    pair.hosts[0].is_on = True
    pair.clock.run_until(pair.clock.now_us + 3 * SECOND)
    assert pair.told == ([], ["ended"]) and pair.is_forgotten()
