"""What a publisher that waits may rely on: nothing of what it sends is dropped by its peers as a flood."""

import asyncio

from fake_peers import counted
from picoswarm.compat import ticks_diff, ticks_ms
from serving import Serving
from swarming import B

RUNTIMES = ("cpython", "small")


class _Counter:
    """A node's reactors, as `counted` looks at them."""

    def __init__(self, pubsub):
        self.reactors = [pubsub]


def _play(scenario):
    world = Serving(pubsub=1, publish_burst=8, publish_ms=20, deliveries=40, recent=8)
    world.play(scenario)


async def _heard_by(world, b, publishing, most):
    """How many messages `b` gets of those that others publish, and how many it drops as a flood."""
    subscription = b.services.subscribe("#")
    await world.until(lambda: b.member.swarm.peers and _told(world))
    await publishing
    got = set()
    try:
        while len(got) < most:
            message = await asyncio.wait_for(subscription.__anext__(), 0.5)
            got.add(message.payload)
    except asyncio.TimeoutError:
        pass
    subscription.close()
    return len(got), counted(_Counter(b.pubsub), "flooded")


def _told(world):
    """Whether `a` knows what `b` hears."""
    peers = world.a.pubsub.peers
    return peers and all([state[1] for state in peers.values()])


def test_who_waits_is_not_dropped_as_a_flood():
    async def scenario(world, a, b):
        async def publish(first):
            for i in range(first, first + 10):
                await a.services.publish("t", b"%d" % i, wait_ms=5000)

        async def three():
            await asyncio.gather(publish(0), publish(10), publish(20))

        began = ticks_ms()
        assert await _heard_by(world, b, three(), 30) == (30, 0)
        assert 400 <= ticks_diff(ticks_ms(), began) < 4000

    _play(scenario)


def test_who_does_not_wait_is():
    async def scenario(world, a, b):
        async def publish():
            for i in range(30):
                await a.services.publish("t", b"%d" % i)
                await asyncio.sleep(0)

        heard, flooded = await _heard_by(world, b, publish(), 30)
        assert 0 < heard < 30 and flooded

    _play(scenario)


def test_a_wait_ends_with_its_time():
    async def scenario(world, a, b):
        began = ticks_ms()
        for i in range(12):
            assert await a.services.publish("t", b"x", wait_ms=30) == 0
        assert ticks_diff(ticks_ms(), began) < 1000
        assert a.member.swarm.peers[B.id]

    _play(scenario)
