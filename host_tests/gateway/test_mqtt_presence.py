"""Who is there, as several gateways tell the broker: they mend what one of them said wrong, or left behind."""

from __future__ import annotations

import asyncio

import pytest
from picoswarm_gateway.families.mqtt import presence as module
from picoswarm_gateway.families.mqtt.presence import HEARD_S, OFFLINE, ONLINE, Presence
from picoswarm_gateway.owners import owner
from small_mesh import until

ONE, TWO, BOARD = bytes(32), bytes([1]) * 32, bytes([7]) * 32


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(module, "GRACE_S", 0.02)
    monkeypatch.setattr(module, "ROLL_S", 0.1)


class Broker:
    """Retained messages, and gateways that hear each of them."""

    def __init__(self, *ids: bytes) -> None:
        self.kept: dict[str, str] = {}
        self.now = 1000.0
        self.sessions: dict[bytes, set[bytes]] = {id32: set() for id32 in ids}
        self.gateways = {id32: self._gateway(id32) for id32 in ids}
        self.tasks: set[asyncio.Task] = set()

    def _gateway(self, id32: bytes) -> Presence:
        return Presence(
            "p",
            id32,
            self.say,
            lambda board: owner(board, self.gateways) == id32,
            lambda board: board in self.sessions[id32],
            lambda job: self.tasks.add(asyncio.create_task(job)),
            lambda: self.now,
        )

    def say(self, topic: str, text: str) -> None:
        self.kept[topic] = text
        self.now += 0.001
        for each in list(self.gateways.values()):
            each.on_message(topic, text.encode(), False)

    def state(self) -> str:
        return self.kept.get(self.gateways[next(iter(self.gateways))].board_topic(BOARD), "")

    def session(self, id32: bytes, is_there: bool) -> None:
        (self.sessions[id32].add if is_there else self.sessions[id32].discard)(BOARD)
        self.gateways[id32].on_session(BOARD, is_there)

    def dies(self, id32: bytes) -> None:
        """Its will is published; nobody says more."""
        topic = self.gateways.pop(id32).gateway_topic(id32)
        self.sessions.pop(id32)
        self.say(topic, OFFLINE)


def test_a_board_is_online_while_any_gateway_has_a_session_with_it():
    async def story():
        broker = Broker(ONE, TWO)
        broker.session(ONE, True)
        assert broker.state() == ONLINE
        broker.session(TWO, True)
        broker.session(ONE, False)
        await until(
            lambda: broker.gateways[ONE].boards[BOARD] is True and not broker.tasks - {t for t in broker.tasks if t.done()}
        )
        assert broker.state() == ONLINE, "whoever has a session corrects it"
        broker.session(TWO, False)
        await until(lambda: broker.state() == OFFLINE)

    asyncio.run(story())


def test_a_session_that_is_replaced_is_no_absence():
    async def story():
        broker = Broker(ONE)
        broker.session(ONE, True)
        said = []
        broker.gateways[ONE]._say = lambda topic, text: said.append(text)
        broker.session(ONE, False)
        broker.session(ONE, True)
        await asyncio.gather(*broker.tasks)
        assert said == [ONLINE]

    asyncio.run(story())


def test_the_boards_of_a_gateway_that_died_are_offline_unless_they_came_to_another_one():
    async def story():
        for moves, expected in ((False, OFFLINE), (True, ONLINE)):
            broker = Broker(ONE, TWO)
            broker.session(ONE, True)
            broker.dies(ONE)
            if moves:
                broker.session(TWO, True)
            await asyncio.gather(*broker.tasks)
            assert broker.state() == expected

    asyncio.run(story())


def test_a_gateway_that_comes_back_finds_out_who_went_meanwhile():
    async def story():
        broker = Broker(ONE)
        # What the broker had kept.
        broker.gateways[ONE].on_message(broker.gateways[ONE].board_topic(BOARD), ONLINE.encode(), True)
        broker.gateways[ONE].call_roll()
        await asyncio.gather(*broker.tasks)
        assert broker.state() == OFFLINE

    asyncio.run(story())


def test_a_board_that_is_only_heard_is_online_for_ten_minutes():
    async def story():
        broker = Broker(ONE)
        gateway = broker.gateways[ONE]
        gateway.on_heard(BOARD)
        assert broker.state() == ONLINE
        broker.now += HEARD_S - 1
        gateway.look()
        gateway.call_roll()
        await asyncio.gather(*broker.tasks)
        assert broker.state() == ONLINE
        broker.now += 2
        gateway.look()
        assert broker.state() == OFFLINE

    asyncio.run(story())


def test_words_about_something_else_are_left_alone():
    gateway = Broker(ONE).gateways[ONE]
    for topic in ("p/status/board/zz", "p/status/board/00", "p/status/other/" + BOARD.hex(), "p/x", "status"):
        assert not gateway.on_message(topic, b"online", False)
