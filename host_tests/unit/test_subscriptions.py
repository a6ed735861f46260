"""Queues of messages that are full: at a subscriber that does not fetch, and at a peer that is slow (issue 4, 6)."""

import asyncio

from picoswarm.compat import sleep_ms
from serving import Serving
from swarming import B

RUNTIMES = ("cpython", "small")


def test_a_subscription_drops_the_oldest_or_the_newest_and_counts_what_it_dropped():
    async def scenario(world, a, b):
        oldest = b.services.subscribe("t/#", False)
        newest = b.services.subscribe("t/+", False, True)
        (state,) = a.pubsub.peers.values()
        await world.until(lambda: state[1] == b"\3t/#\3t/+")
        for i in range(6):
            await a.services.publish("t/x", bytes((i,)), False)
            await world.until(lambda: len(oldest._waiting) + oldest.dropped == i + 1)
        assert oldest.dropped == newest.dropped == 2
        for subscription, expected in ((oldest, (2, 3, 4, 5)), (newest, (0, 1, 2, 3))):
            subscription.close()
            heard = []
            async for message in subscription:
                heard.append(message.payload[0])
            assert tuple(heard) == expected

    Serving(pubsub=1, deliveries=4, seen=16).play(scenario)


def test_a_publisher_can_wait_until_a_slow_peer_has_room():
    async def scenario(world, a, b):
        subscription = b.services.subscribe("t", False)
        session = a.member.swarm.peers[B.id]
        await world.until(lambda: a.pubsub.peers[session][1])
        a.member.socket(b.member).other.is_stalled = True
        there = b.member.swarm.peers[a.id]
        socket = b.member.sockets[there]
        socket.is_stalled = True
        session.mux.try_send = lambda channel, data: False  # its queue is full
        assert await a.services.publish("t", b"1", False) == 0
        assert await a.services.publish("t", b"2", False, 100) == 0
        waiting = asyncio.create_task(a.services.publish("t", b"3", False, 5000))
        await sleep_ms(100)
        assert not waiting.done()
        del session.mux.try_send
        socket.is_stalled = False
        assert await waiting == 1
        await world.until(lambda: len(subscription._waiting) == 3)

    Serving(pubsub=1, seen=16).play(scenario)
