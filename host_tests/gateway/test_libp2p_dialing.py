"""Whom the gateway's libp2p host dials, where first and how soon again, and which connections it lets go."""

from __future__ import annotations

import asyncio
import time

import pytest
from picoswarm.failures import StreamError
from picoswarm_gateway.families.libp2p import dialing, host
from picoswarm_gateway.families.libp2p.dialing import Address, Backoff, Dialer, address_of, in_turn, rank
from picoswarm_tools.libp2p.pairs import Ours
from small_mesh import until
from two_hosts import run

PEER = b"\x00\x24peer"


def addresses(*texts: str) -> list[Address]:
    return [address_of(text)[0] for text in texts]


def test_private_addresses_come_first_then_ipv6_then_low_ports_a_little_after_one_another():
    low, high = "/ip4/8.8.8.8/tcp/80", "/ip4/8.8.8.8/tcp/4001"
    six, near, nearer = "/ip6/2606:4700::1111/tcp/4001", "/ip4/192.168.1.9/tcp/4001", "/ip6/fd00::1/tcp/4001"
    plan = rank(addresses(high, six, low, near, nearer, high))
    assert [address.text for _, address in plan] == [nearer, near, six, low, high]
    gaps = [later - earlier for (earlier, _), (later, _) in zip(plan, plan[1:], strict=False)]
    assert gaps == pytest.approx([0.03, 0.03, 0.25, 0.25])
    assert len(rank(addresses(*(f"/ip4/8.8.8.8/tcp/{port}" for port in range(1, 100))))) == dialing.ADDRESSES


@pytest.mark.parametrize(
    "text",
    ["/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/0", "x"],
)
def test_what_tcp_cannot_reach_is_no_address_to_dial(text):
    assert address_of(text) is None


def test_whoever_tells_many_gets_no_more_turns_than_another():
    assert in_turn((["a", "b", "c"], ["b", "x"], [])) == ["a", "b", "x", "c"]


def test_an_address_that_failed_rests_longer_each_time_up_to_five_minutes_until_there_is_a_connection():
    now = [0.0]
    backoff, (address,) = Backoff(lambda: now[0]), addresses("/ip4/8.8.8.8/tcp/80")
    rests = []
    for _ in range(20):
        backoff.failed(PEER, address)
        began = now[0]
        while backoff.rests(PEER, address):
            now[0] += 1
        rests.append(now[0] - began)
    assert rests[:4] == [5, 6, 9, 14] and rests[-1] == 300
    backoff.failed(PEER, address)
    assert not backoff.rests(b"another", address)
    backoff.succeeded(PEER)
    assert not backoff.rests(PEER, address)


class Network:
    """What answers, and after how long; who was dialed."""

    def __init__(self, **answers: float) -> None:
        self.answers = answers
        self.dialed: list[str] = []
        self.reached: list[str] = []
        self.dialer = Dialer(self._connect, lambda peer, address: self.reached.append(address.host))

    async def _connect(self, ip: str, port: int, peer: bytes | None, ms: int) -> str:
        self.dialed.append(ip)
        if ip not in self.answers:
            raise StreamError("refused", 3)
        await asyncio.sleep(self.answers[ip])
        return ip


def test_all_callers_for_a_peer_share_one_dial_and_the_first_connection_wins():
    async def story():
        network = Network(**{"8.8.8.8": 3600, "8.8.4.4": 0.0})
        where = addresses("/ip4/8.8.8.8/tcp/80", "/ip4/8.8.4.4/tcp/81")
        found = await asyncio.gather(*(network.dialer.dial(PEER, where) for _ in range(10)))
        assert set(found) == {"8.8.4.4"} and network.dialed == ["8.8.8.8", "8.8.4.4"] and network.reached == ["8.8.4.4"]

    asyncio.run(asyncio.wait_for(story(), 60))


def test_the_next_address_is_tried_at_once_where_one_fails_and_failed_ones_rest():
    async def story():
        network = Network(**{"8.8.4.4": 0.0})
        where = addresses("/ip4/8.8.8.8/tcp/80", "/ip4/8.8.4.4/tcp/81")
        assert await network.dialer.dial(PEER, where) == "8.8.4.4"
        network.answers.clear()
        for _ in range(2):
            with pytest.raises(StreamError):
                await network.dialer.dial(b"other", where)
        assert network.dialed.count("8.8.8.8") == 2 and network.dialed.count("8.8.4.4") == 2  # not again for the other one

    asyncio.run(asyncio.wait_for(story(), 60))


def test_above_the_high_mark_those_of_the_least_worth_go_but_neither_young_nor_protected_ones(monkeypatch):
    async def story(one, other):
        others = [Ours() for _ in range(4)]
        for each in others:
            await each.__aenter__()
        try:
            connections = [await one.host.dial(each.host.address_texts()[0]) for each in others]
            protected, worthy, young, least = (each.host.id for each in others)
            one.host.low, one.host.high = 3, 3
            one.host.trim()
            assert len(one.host.connections) == 4  # all are young
            one.host.protected[protected] = 1
            one.host.values[worthy] = 5
            for connection in connections:
                one.host._since[connection] -= 0 if connection.peer_id == young else host.GRACE_S
            one.host._trimmed_at = time.monotonic() - host.SILENCE_S
            one.host.trim()
            await until(lambda: len(one.host.connections) == 3)
            assert {each.peer_id for each in one.host.connections} == {protected, worthy, young}
            assert one.host.counts["trimmed"] == 1
            one.host.low = 0
            one.host._trimmed_at = time.monotonic() - host.SILENCE_S
            one.host.high = 2
            one.host.trim()
            await until(lambda: len(one.host.connections) == 2)
            assert {each.peer_id for each in one.host.connections} == {protected, young}
        finally:
            for each in others:
                await each.__aexit__(None, None, None)

    run(story)
