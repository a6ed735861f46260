"""What members make up costs a gateway, a board or an operator's terminal no more than it may."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from picoswarm.errors import LocalError
from picoswarm.gatewayinbox import Inbox
from picoswarm_gateway import commands, owners
from picoswarm_gateway.families import Refused, leases, mailbox
from picoswarm_gateway.families.leases import Leases
from picoswarm_gateway.families.mqtt import homeassistant, presence
from picoswarm_gateway.families.mqtt.family import MqttFamily
from picoswarm_gateway.families.mqtt.homeassistant import HomeAssistantDevices
from picoswarm_gateway.families.mqtt.presence import Presence
from picoswarm_gateway.families.mqtt.seen import Seen
from picoswarm_gateway.families.mqtt.table import HomeAssistant, MqttTable, Rule
from picoswarm_gateway.known import KnownNode
from picoswarm_gateway.loops import Loops
from picoswarm_gateway.owners import Owners
from picoswarm_gateway.questions import LINKS, Questions
from picoswarm_gateway.topology import Mesh
from small_mesh import until
from test_year import LOG, with_mailbox


def ids(count: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(1, count + 1)]


def gateways_node(sessions: list, protect) -> SimpleNamespace:
    """A node with sessions that may be changed."""

    def session(id32: bytes):
        return next((each for each in sessions if each.id == id32), None)

    return SimpleNamespace(open_sessions=lambda: sessions, session=session, protect=protect)


def test_a_node_that_claims_ever_more_sessions_is_believed_a_few(monkeypatch):
    asked = []

    async def request(id32, method, payload, timeout_ms):
        asked.append(int.from_bytes(payload, "big"))
        made_up = [bytes((0,)) + bytes(28) + (asked[-1] + i).to_bytes(4, "big") for i in range(7)]
        return b"\1x" + b"\xff\xff" + b"".join(made_up)

    async def story():
        mesh = Mesh()
        gateway = SimpleNamespace(node=SimpleNamespace(request=request), log=LOG, loops=Loops(LOG))
        liar = KnownNode(ids(1)[0], state="live")
        await Questions(gateway, {}, mesh, 0)._ask_about(liar)
        assert len(asked) <= LINKS // 7 + 1
        assert len(mesh.links({}, lambda peer: None)) <= LINKS + 7

    asyncio.run(story())


def test_only_some_of_those_who_say_they_are_gateways_hold_their_place(monkeypatch):
    monkeypatch.setattr(owners, "PROTECTED", 2)
    held: dict[bytes, bool] = {}
    sessions = [SimpleNamespace(id=id32, hello=SimpleNamespace(capabilities=2)) for id32 in ids(5)]
    node = gateways_node(sessions, lambda id32, is_held=True: held.update({id32: is_held}))
    gateway = SimpleNamespace(id=bytes(32), node=node, loops=Loops(LOG))
    found = Owners(gateway)
    found._on_event(("connected", sessions[0].id))
    assert len(found.gateways) == 6 and sum(held.values()) == 2
    del sessions[:]
    found._on_event(("disconnected", ids(1)[0]))
    assert found.gateways == {gateway.id} and not any(held.values()), "whoever is gone leaves nothing behind"


def test_a_listener_of_owners_that_fails_keeps_the_others_from_nothing():
    heard = []
    sessions = [SimpleNamespace(id=ids(1)[0], hello=SimpleNamespace(capabilities=2))]
    node = gateways_node(sessions, lambda *_: None)
    found = Owners(SimpleNamespace(id=bytes(32), node=node, loops=Loops(LOG)))
    found.listen(lambda before, now: 1 // 0)
    found.listen(lambda before, now: heard.append(now))
    found._on_event(("connected", ids(1)[0]))
    assert heard == [{bytes(32), ids(1)[0]}]


def test_boxes_with_filters_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(mailbox, "SLEEPERS", 2)

    async def story(family, published, gateway):
        one, two, three = ids(3)
        for board in (one, two, two):
            await family.follow(board, b"\1a")
        with pytest.raises(Refused, match="too many"):
            await family.follow(three, b"\1a")
        await family.follow(one, b"")
        await family.follow(three, b"\1a")

    with_mailbox(tmp_path, story)


def test_leases_of_all_boards_together_are_bounded(monkeypatch):
    monkeypatch.setattr(leases, "MOST", 3)
    unused = []
    held = Leases(None, 32, 16, unused.append)
    one, two = ids(2)
    assert held.take(one, 1, "a") and held.take(one, 2, "b") and held.take(two, 1, "a")
    assert held.take(two, 2, "c") is None and held.take(ids(3)[2], 1, "a") is None
    assert held.take(one, 1, "a") is False, "a renewal needs no room"
    assert held.take(one, 1, "d") and len(held) == 3 and not unused
    held.end(one)
    held.end(two)
    assert len(held) == 0 and not held._boards


def test_boards_and_topics_that_are_shown_at_the_broker_are_bounded(monkeypatch):
    monkeypatch.setattr(presence, "MOST", 2)
    monkeypatch.setattr(homeassistant, "BOARDS", 2)
    monkeypatch.setattr(homeassistant, "TOPICS", 3)
    said: set[str] = set()

    def say(topic: str, text: str) -> None:
        said.add(topic)

    there = Presence("p", bytes(32), say, lambda id32: True, lambda id32: False, lambda job: None)
    table = MqttTable(url="mqtt://b", homeassistant=HomeAssistant(enabled=True))
    name = bytes.hex
    devices = HomeAssistantDevices(table, bytes(32), "gw", say, lambda id32: True, lambda id32: "", name, name)
    for board in ids(5):
        there.on_heard(board)
        for i in range(5):
            devices.learn(board, f"room{i}/temperature", f"p/room{i}/temperature")
    assert len(there.boards) == 2 and len(devices.topics) == 2
    assert {len(topics) for topics in devices.topics.values()} == {3}
    assert len(said) == 4


def test_the_broker_is_told_no_origin_that_nobody_proved():
    family = MqttFamily(MqttTable(url="mqtt://b"))
    offered = []
    family.broker = SimpleNamespace(offer=offered.append)
    family.presence = SimpleNamespace(on_heard=lambda id32: None)
    family.devices = None
    (board,) = ids(1)
    for is_proven in (True, False):
        message = SimpleNamespace(topic="a", payload=b"x", origin=board, is_proven=is_proven)
        family._raise(Rule("#"), message)
    assert [each.board for each in offered] == [board, None]


def test_a_message_is_only_taken_for_one_that_is_under_way_where_its_board_says_that_it_is_a_repeat():
    async def story():
        family = MqttFamily(MqttTable(url="mqtt://b"))
        offered, acknowledged = [], asyncio.Event()

        async def deliver(message, _seconds):
            offered.append(message.payload)
            await acknowledged.wait()

        family.broker = SimpleNamespace(deliver=deliver)
        family.devices, family._seen = None, Seen()
        (board,) = ids(1)
        head = b"\0\0\0\7\1t"
        said = [
            asyncio.create_task(family.submit(board, bytes((flags,)) + head + text))
            for flags, text in ((1, b"before"), (1, b"anew"), (5, b"anew"))
        ]
        await until(lambda: family.counts["repeats"] == 1)
        assert offered == [b"before", b"anew"]
        acknowledged.set()
        assert await asyncio.gather(*said) == [b""] * 3
        assert not family._carried and family.counts["duplicates"] == 1

    asyncio.run(story())


def test_a_board_that_was_revoked_goes_from_the_broker_and_from_memory():
    there = Presence("p", bytes(32), lambda *_: None, lambda id32: True, lambda id32: False, lambda job: None)
    (board,) = ids(1)
    there.on_heard(board)
    there.forget(board)
    assert not there.boards and not there._named and not there._heard


def test_a_board_takes_no_message_that_makes_no_sense():
    peer = SimpleNamespace(hello=SimpleNamespace(capabilities=2))
    (gateway,) = ids(1)
    inbox = Inbox(None, {gateway: peer})
    taken = []
    inbox.held[1] = SimpleNamespace(takes=lambda number, message: taken.append(message) or True)
    for text in (b"", b"\1", b"\1\0\0\0\0\1", b"\1\0\0\0\0\1\5ab", b"\1\0\0\0\0\1\2\xff\xfeab"):
        assert inbox(gateway, text) == b"\2"
    assert inbox(gateway, b"\1\0\0\0\0\1\2abc") == b"" and taken[0].topic == "ab" and taken[0].payload == b"c"


def test_a_log_cannot_command_the_terminal(monkeypatch):
    async def get(self, path, **query):
        return {"text": "one\x1b]0;mine\x07\n\x1b[2Jtwo\n"}

    monkeypatch.setattr(commands.Client, "get", get)
    shown = CliRunner().invoke(commands.log, ["board"])
    assert shown.output == "one·]0;mine·\n·[2Jtwo\n"


def test_a_password_in_the_url_is_a_mistake_and_not_shown():
    for url in ("mqtt://:secret@host", "mqtt://me:secret@host", "mqtt://@host"):
        found: list[tuple[str, str]] = []
        MqttTable(url=url).check(found)
        assert [where for where, _ in found] == ["mqtt.url"] and "secret" not in str(found)


def test_subscriptions_go_on_whatever_asking_for_one_comes_upon():
    async def story():
        asked, faults = [], []

        async def ask(method, payload, ms, mark):
            asked.append(payload)
            if len(asked) == 1:
                raise LocalError("a request has at most 5 bytes")

        swarm = SimpleNamespace(is_closing=False, note=faults.append, profile=SimpleNamespace(deliveries=8))
        inbox = Inbox(None, {})
        inbox.add(SimpleNamespace(swarm=swarm, ask=ask, family="mqtt", home=None), "kitchen/set")
        await until(lambda: len(asked) == 2)
        assert len(faults) == 1
        swarm.is_closing = True

    asyncio.run(story())
