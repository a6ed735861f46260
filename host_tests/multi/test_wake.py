"""What a program does with its peers outside of its reactor's methods, from a task of its own, goes at once."""

from __future__ import annotations

import asyncio
import time

from picoswarm import Channel, Node, Reactor
from picoswarm_tools.demo.mesh import FAST
from picoswarm_tools.swarm import HOST, free_ports
from test_interface import until

NETWORK = bytes(range(32))
CHANNEL = 40
CALM_S = 3  # so long after the last word no look at the sessions is due within seconds


class Heard(Reactor):
    """Knows its peers, and when the last word of one came."""

    def __init__(self) -> None:
        self.channels = (Channel(CHANNEL, 3, 4, 64, 16),)
        self.peers: list = []
        self.at = 0.0
        self.reasons: list[int] = []

    def add_peer(self, peer):
        self.peers.append(peer)

    def remove_peer(self, peer, reason):
        self.peers.remove(peer)
        self.reasons.append(reason)

    def receive(self, peer, channel, view):
        self.at = time.monotonic()


def test_a_message_and_a_goodbye_from_a_task_go_at_once(tmp_path):
    a, b = Heard(), Heard()

    async def scenario():
        ports = free_ports(2)
        nodes = [Node(tmp_path / "a", NETWORK, {**FAST, "bootstrap": 1}, HOST, ports[0])]
        nodes.append(Node(tmp_path / "b", NETWORK, FAST, HOST, ports[1], [f"{HOST}:{ports[0]}"]))
        for node, reactor in zip(nodes, (a, b), strict=True):
            node.register(reactor)
        async with nodes[0], nodes[1]:
            await until(lambda: a.peers and b.peers)
            late = []
            for _ in range(3):
                await asyncio.sleep(CALM_S)
                began = time.monotonic()
                a.peers[0].try_send(CHANNEL, b"now")
                await until(lambda: b.at > began)  # noqa: B023
                late.append(b.at - began)
            assert min(late) < 0.25, late  # one of them may fall to when the timer is due
            assert sorted(late)[1] < 0.25, late
            await asyncio.sleep(CALM_S)
            began = time.monotonic()
            a.peers[0].close(3)
            await until(lambda: 3 in b.reasons)
            assert time.monotonic() - began < 0.5
            assert [node.fault for node in nodes] == [None, None]

    asyncio.run(scenario())
