"""Two nodes' services on virtual sockets, in real time: what coroutines of an application get of sessions."""

import asyncio

from picoswarm.compat import collect, sleep_ms, ticks_add, ticks_diff, ticks_ms
from picoswarm.profile import Profile
from picoswarm.rpc import Rpc
from picoswarm.services import Services
from swarming import A, B, World

_AHEAD_MS = 4100  # what World.join lets pass


class _Links:
    """What of `picoswarm.tcp` the services use: the world has the turns."""

    port = faults = out_of_memory = 0
    fault = None

    def turn(self):
        pass


class Place:
    """A member of a world, with services; it is also what they take for their node. `told`: events."""

    def __init__(self, world, identity, i, own=None, **numbers):
        profile = Profile(**numbers)
        self.world = world
        self.events = self
        self.told = []
        self.asked = []  # ids that were looked up
        self.known = {}
        self.rpc = Rpc(profile, world.now)
        self.pubsub = None
        reactors = [self.rpc]
        if profile.pubsub:
            from picoswarm.pubsub import PubSub

            self.pubsub = PubSub(identity.id, profile, world.draws, world.now)
            reactors.append(self.pubsub)
        if own:
            reactors.append(own())
        self.member = world.add(identity, i, reactors=reactors, **numbers)
        self.id = identity.id
        self.services = Services(self, self.member.swarm, _Links(), self.pubsub, self.rpc, None)

    def _sessions(self):
        return self.services

    def put(self, event):
        self.told.append(event)

    def contact(self, id32):
        return self.known.get(id32)

    async def lookup(self, id32):
        self.asked.append(id32)

    def take(self):
        """What a turn of the node does with events."""
        events = self.member.events
        while events:
            self.services.on_event(events.pop(0))
        self.services.on_turn()


class Serving(World):
    """`Serving().play(scenario)` runs a coroutine function of (world, a, b), two places that have a session. `own`: the
    class of a reactor that each has besides."""

    def __init__(self, own=None, **numbers):
        collect()
        super().__init__(ticks_add(ticks_ms(), -_AHEAD_MS))
        numbers = dict({"record": 256, "streams": 2, "pubsub": 0}, **numbers)
        self.a = Place(self, A, 1, own, **numbers)
        self.b = Place(self, B, 2, own, **numbers)
        self.join(self.a.member, self.b.member)
        self.a.known[B.id] = self.b.member.ip, 5000, 5000
        self.b.known[A.id] = self.a.member.ip, 5000, 5000

    def join(self, a, b):
        collect()  # the heap of a test is small, and a handshake wants large blocks
        super().join(a, b)

    def draws(self, n):
        return bytes(n)

    def _step(self):
        self.run(max(0, ticks_diff(ticks_ms(), self.now)))
        for place in (self.a, self.b):
            place.take()
        self.settle()

    async def _run(self):
        while True:
            self._step()
            await sleep_ms(2)

    def play(self, scenario):
        async def whole():
            turns = asyncio.create_task(self._run())
            await scenario(self, self.a, self.b)
            assert not turns.done()
            turns.cancel()

        asyncio.run(whole())

    async def until(self, condition, ms=5000):
        """Wait for a state."""
        end = ticks_add(ticks_ms(), ms)
        while not condition():
            assert ticks_diff(end, ticks_ms()) > 0, "it never came"
            await sleep_ms(2)


async def raised(coroutine):
    """What a coroutine raises."""
    try:
        result = await coroutine
    except Exception as error:
        return error
    raise AssertionError("nothing was raised; the result is %r" % (result,))
