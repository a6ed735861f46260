"""The connection to the broker while that is away, slow or refusing: time is the test's own, and so is the broker."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest
from picoswarm_gateway.families import Family
from picoswarm_gateway.families.dialing import LONGEST_WAIT_S, Dialing
from picoswarm_gateway.families.mqtt.broker import TRIES, Broker, BrokerBusy, Outgoing
from picoswarm_gateway.families.mqtt.table import MqttTable
from picoswarm_gateway.loops import Loops
from small_mesh import until

WILL = "p/status/gateway/00"


class Log:
    def info(self, *_: object, **__: object) -> None: ...

    warning = error = exception = info


class World:
    """Virtual time, and a broker that is there or not."""

    def __init__(self) -> None:
        self.now = 0.0
        self.is_there = True
        self.is_mute = False  # takes messages and acknowledges none
        self.back_at = float("inf")
        self.waits: list[float] = []
        self.passes = asyncio.Event()  # time
        self.passes.set()
        self.sent: list[tuple[str, bytes]] = []
        self.clients: list[Client] = []

    async def sleep(self, seconds: float) -> None:
        await self.passes.wait()
        self.now += seconds
        self.waits.append(seconds)
        self.is_there = self.is_there or self.now >= self.back_at
        await asyncio.sleep(0)

    def client(self, *_: object, **__: object) -> Client:
        self.clients.append(Client(self))
        return self.clients[-1]


class Client:
    """As much of aiomqtt's as Broker uses."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.end: asyncio.Future = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Client:
        if not self.world.is_there:
            raise aiomqtt.MqttError("refused")
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def publish(self, topic: str, payload: bytes, *_: object, **__: object) -> None:
        if topic != WILL:
            self.world.sent.append((topic, payload))
            if self.world.is_mute:
                await asyncio.Event().wait()

    async def subscribe(self, *_: object, **__: object) -> None: ...

    @property
    async def messages(self):
        await self.end
        raise aiomqtt.MqttError("gone")
        yield


class Dialed(Family):
    """As much of a family as dials a broker."""

    name, wanted = "mqtt", 1

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self._broker = broker

    async def discover(self) -> list[str]:
        return ["mqtt://127.0.0.1"]

    async def dial(self, address: str) -> None:
        await self._broker.connect(address)


def run(story, **numbers: object) -> None:
    async def framed() -> None:
        world = World()
        table = MqttTable(url="mqtt://127.0.0.1", **numbers)
        broker = Broker(table, "c", WILL, Log(), client=world.client)
        dialing = Dialing(Dialed(broker), Loops(Log()), world.sleep)
        world.begin = dialing.start
        try:
            await story(world, broker)
        finally:
            await dialing.stop()

    asyncio.run(framed())


def test_ten_minutes_without_a_broker_cost_the_oldest_messages_and_nothing_else():
    async def story(world: World, broker: Broker) -> None:
        world.begin()
        await until(lambda: broker.is_up)
        world.is_there, world.back_at = False, 600.0
        world.passes.clear()
        world.clients[-1].end.set_result(None)
        await until(lambda: not broker.is_up)
        for i in range(150):
            broker.offer(Outgoing("t", b"%d" % i, 1))
        assert len(broker) == 100 and broker.counts["dropped"] == 50
        world.passes.set()
        await until(lambda: len(world.sent) == 100)
        assert [int(payload) for _, payload in world.sent] == list(range(50, 150)), "the newest, in their order"
        assert 600 <= world.now < 600 + 1.25 * LONGEST_WAIT_S
        for i, wait in enumerate(world.waits):
            middle = min(LONGEST_WAIT_S, 2.0**i)
            assert 0.75 * middle <= wait <= 1.25 * middle
        assert len(world.waits) < 20 and max(world.waits) > 0.75 * LONGEST_WAIT_S

    run(story, queue_messages=100)


def test_the_newest_goes_where_the_table_says_so():
    async def story(world: World, broker: Broker) -> None:
        taken = [broker.offer(Outgoing("t", b"%d" % i)) for i in range(4)]
        assert taken == [True, True, False, False] and broker.counts["dropped"] == 2
        world.begin()
        await until(lambda: len(world.sent) == 2)
        assert [payload for _, payload in world.sent] == [b"0", b"1"]

    run(story, queue_messages=2, drop="newest")


def test_the_queue_is_bounded_in_bytes_too():
    async def story(world: World, broker: Broker) -> None:
        for i in range(9):
            broker.offer(Outgoing("t", bytes(900) + b"%d" % i))
        assert len(broker) == 3 and broker.counts["dropped"] == 6

    run(story, queue_bytes=3000)


def test_who_waits_for_an_acknowledgement_is_told_when_there_is_none_and_its_message_is_taken_back():
    async def story(world: World, broker: Broker) -> None:
        message = Outgoing("t", b"x", 1)
        with pytest.raises(BrokerBusy):
            await broker.deliver(message, 0.05)
        assert len(broker) == 0 and broker.counts["withdrawn"] == 1, "the board will say it again, here or elsewhere"
        broker.offer(Outgoing("t", b"y"))
        with pytest.raises(BrokerBusy, match="too much"):
            await broker.deliver(Outgoing("t", b"z", 1), 0.05)
        assert broker.counts["refused"] == 1 and broker.counts["dropped"] == 0

    run(story, queue_messages=1)


def test_a_message_that_was_under_way_goes_again_as_a_repeat():
    async def story(world: World, broker: Broker) -> None:
        world.is_mute = True
        world.begin()
        first, second = Outgoing("t", b"1", 1), Outgoing("t", b"2", 1)
        broker.offer(first)
        broker.offer(second)
        await until(lambda: len(world.sent) == 2)
        world.is_mute = False
        world.clients[-1].end.set_result(None)
        await until(lambda: len(world.sent) == 4)
        assert [payload for _, payload in world.sent[2:]] == [b"1", b"2"]
        assert first.is_repeat and second.is_repeat
        await until(lambda: broker.counts["acknowledged"] == 2)

    run(story)


def test_a_message_that_ends_every_connection_is_given_up():
    async def story(world: World, broker: Broker) -> None:
        world.is_mute = True
        world.begin()
        broker.offer(Outgoing("t", b"poison", 1))
        for i in range(TRIES + 1):
            await until(lambda i=i: len(world.sent) == i + 1)
            world.clients[-1].end.set_result(None)
        await until(lambda: broker.counts["dropped"] == 1)
        await until(lambda: broker.is_up)
        assert len(world.sent) == TRIES + 1 and len(broker) == 0

    run(story)
