"""What can go wrong at either side of the bridge: nothing of a broker reaches more than it may, repeats are told apart,
nothing goes in circles."""

from __future__ import annotations

import ast
import asyncio
import time
from pathlib import Path

import pytest
from brokers import Ear, Mosquitto
from picoswarm_gateway.config import Mistakes, parse
from picoswarm_gateway.families import leases
from picoswarm_gateway.families.mqtt import family as family_module
from picoswarm_gateway.families.mqtt.seen import KEPT_S, MOST, Seen
from picoswarm_gateway.families.mqtt.table import MqttTable, Rule
from picoswarm_gateway.families.mqtt.topics import below, is_filter, is_topic, matches, overlap, under
from picoswarm_gateway.gateway import Gateway
from small_mesh import until

PATH = Path("gateway.toml")
FAMILY = Path(family_module.__file__).parent


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


def publication(number: int, payload: bytes, flags: int = 1, topic: bytes = b"t") -> bytes:
    """The request publish, as a board sends it."""
    return bytes((flags,)) + number.to_bytes(4, "big") + bytes((len(topic),)) + topic + payload


def test_mqtt_cannot_issue_admin(mesh, broker):
    """Whatever is published at the broker, the gateway calls no method but gateway/message, of boards that asked for it,
    and publishes nothing in the mesh but topics of `down` that are not reserved."""

    async def story():
        # The widest rule that a configuration can have.
        table = MqttTable(url=broker.url, prefix="safe", down=[Rule("#", "orders", retain=True)])
        config = mesh.config(mqtt=table)
        assert not list(table.check([]) or [])
        async with Gateway(config) as gateway, mesh.node("board", gateway) as node, Ear(broker) as ear:
            await until(node.sessions)
            gw = await node.gateway("mqtt", 60_000)
            heard = gw.subscribe("#")
            await until(lambda: heard.session)
            called, published, streams, handled = [], [], [], set(gateway.node._services.handlers)

            async def request(id32, method, *rest):
                called.append((id32, method))
                return b""

            async def publish(topic, *rest):
                published.append(topic)
                return 0

            gateway.families["mqtt"].leases._call = request
            gateway.node.request, gateway.node.publish = request, publish
            gateway.node.open_stream = lambda *arguments: streams.append(arguments)
            before = (gateway.node.stats()["sessions"], dict(gateway.families), gateway.config)
            for name in (
                "$admin/x",
                "$keys/epoch",
                "$",
                "/$admin",
                "gateway",
                "gateway/message",
                "keys/rekey",
                "mqtt/publish",
            ):
                for prefix in ("orders", "safe", "safe/status/board", "safe/status/gateway", "homeassistant", ""):
                    topic = under(prefix, name)
                    if topic[0] != "$":  # a broker takes these from nobody
                        await ear.say(topic, b"\x01\x00\x00\x00\x01\x01t", retain=True)
            await ear.say("orders/last", b"x")
            await until(lambda: "last" in published)
            assert not [topic for topic in published if topic.startswith("$")]
            called = {call for call in called if call[1] not in ("about", "update")}  # which the gateway asks by itself
            assert called == {(node.id, "gateway/message")} and not streams
            assert set(gateway.node._services.handlers) == handled
            assert before == (gateway.node.stats()["sessions"], dict(gateway.families), gateway.config)
            for topic, *_ in list(ear.said):
                await ear.say(topic, b"", retain=True)

    asyncio.run(asyncio.wait_for(story(), 90))


def test_the_family_has_two_ways_into_the_mesh_and_no_more():
    """In its sources: one place that publishes, one that calls a method, and that by a fixed name."""
    published, called = [], []
    for path in (*FAMILY.glob("*.py"), Path(leases.__file__)):
        tree = ast.parse(path.read_text())
        for each in ast.walk(tree):
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute):
                of = ast.unparse(each.func)
                assert each.func.attr not in ("open_stream", "handle", "register", "read_log"), f"{path.name}: {of}"
                if of == "self._node.publish":
                    published.append(path.name)
                if of in ("self._call", "self._node.request"):
                    called.append(ast.unparse(each.args[1]))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"picoswarm.membership", "picoswarm.keys", "picoswarm_tools.provision"}
    assert published == ["family.py"] and called == ["METHOD"]


def test_a_repeat_is_not_published_twice_even_after_a_restart_and_is_marked_where_nobody_can_tell(mesh, broker):
    async def story():
        config = mesh.config(mqtt=MqttTable(url=broker.url, prefix="again"))
        async with Ear(broker, "again/t") as ear:

            async def start() -> Gateway:
                gateway = Gateway(config)
                await gateway.start()
                await until(lambda: gateway.families["mqtt"].broker.is_up)
                return gateway

            gateway = await start()
            async with mesh.node("board", gateway) as node:
                await until(node.sessions)
                await node.request(gateway.id, "mqtt/publish", publication(7, b"once"))
                await node.request(gateway.id, "mqtt/publish", publication(7, b"once", 5))
                both = [node.request(gateway.id, "mqtt/publish", publication(8, b"both", flags)) for flags in (1, 5)]
                await asyncio.gather(*both)
                await until(lambda: len(ear.said) >= 2)  # who asks again meanwhile waits for the same answer
                assert ear.heard("again/t") == [b"once", b"both"]
                await gateway.stop()
                await until(lambda: not node.sessions())
                gateway = await start()
                await until(lambda: gateway.node.sessions() and node.sessions())
                await node.request(gateway.id, "mqtt/publish", publication(7, b"once", 5), 20_000)
                # Another gateway may have published it: this one cannot know.
                await node.request(gateway.id, "mqtt/publish", publication(9, b"perhaps", 5))
                await until(lambda: len(ear.said) >= 3)
                assert ear.heard("again/t") == [b"once", b"both", b"perhaps"]
                assert [("picoswarm-repeat", "1") in marks for *_, marks in ear.said] == [False, False, True]
                assert all(("picoswarm-board", node.id.hex()) in marks for *_, marks in ear.said)
                assert gateway.families["mqtt"].state()["counts"]["duplicates"] == 1
            await gateway.stop()

    asyncio.run(asyncio.wait_for(story(), 90))


def test_with_mqtt_3_a_repeat_is_announced_just_before_it(mesh, broker):
    async def story():
        config = mesh.config(mqtt=MqttTable(url=broker.url, version="3.1.1", prefix="old"))
        async with Gateway(config) as gateway, mesh.node("board", gateway) as node, Ear(broker, "old/#") as ear:
            await until(lambda: node.sessions() and gateway.families["mqtt"].broker.is_up)
            await node.request(gateway.id, "mqtt/publish", publication(1, b"first"))
            await node.request(gateway.id, "mqtt/publish", publication(2, b"second", 5))
            await until(lambda: ear.heard("old/t") == [b"first", b"second"])
            said = [(topic, payload) for topic, payload, *_ in ear.said if topic in ("old/t", "old/status/repeat")]
            assert said == [("old/t", b"first"), ("old/status/repeat", b"old/t"), ("old/t", b"second")]

    asyncio.run(asyncio.wait_for(story(), 90))


def test_what_was_seen_is_bounded(monkeypatch):
    async def story():
        seen = Seen()
        for i in range(MOST + 5):
            await seen.add(b"b", i)
        assert not seen.has(b"b", 4) and seen.has(b"b", 5) and seen.has(b"b", MOST + 4)
        now = time.time()
        monkeypatch.setattr("time.time", lambda: now + KEPT_S + 60)
        await seen.add(b"c", 1)
        assert not seen.has(b"b", MOST + 4) and seen.has(b"c", 1)

    asyncio.run(asyncio.wait_for(story(), 90))


def test_two_boards_that_hear_overlapping_filters_get_each_message_once_with_mqtt_5(mesh, broker):
    async def story():
        config = mesh.config(mqtt=MqttTable(url=broker.url, prefix="over"))
        async with Gateway(config) as gateway, mesh.node("board", gateway) as node, Ear(broker, "over/#") as ear:
            await until(node.sessions)
            gw = await node.gateway("mqtt", 60_000)
            await ear.say("over/a/b", b"kept", retain=True)
            heard = [gw.subscribe(pattern) for pattern in ("a/+", "+/b", "a/#")]
            for one in heard:
                message = await anext(one)
                assert (message.topic, message.payload, message.is_retained) == ("a/b", b"kept", True)
            await ear.say("over/a/b", b"new")
            await ear.say("over/a/b", b"last")
            for one in heard:
                assert [(await anext(one)).payload for _ in range(2)] == [b"new", b"last"]
            await until(lambda: gateway.families["mqtt"].state()["counts"]["delivered"] == 9)
            await ear.say("over/a/b", b"", retain=True)

    asyncio.run(asyncio.wait_for(story(), 90))


def test_a_board_that_does_not_read_delays_its_messages_and_nobody_elses(mesh, broker):
    async def story():
        config = mesh.config(mqtt=MqttTable(url=broker.url, prefix="slow", board_messages=4))
        async with (
            Gateway(config) as gateway,
            mesh.node("lazy", gateway) as lazy,
            mesh.node("eager", gateway) as eager,
            Ear(broker, "slow/#") as ear,
        ):
            await until(lambda: lazy.sessions() and eager.sessions())
            unread = (await lazy.gateway("mqtt", 60_000)).subscribe("x")
            read = (await eager.gateway("mqtt", 60_000)).subscribe("x")
            counts = gateway.families["mqtt"].leases.counts
            await until(lambda: unread.session and read.session)  # the broker knows
            for i in range(30):
                await ear.say("slow/x", b"%d" % i)
                assert (await anext(read)).payload == b"%d" % i
            await until(lambda: counts["dropped"])
            assert unread.dropped == 0, "the gateway waits for room at the board"
            first = [int((await anext(unread)).payload) for _ in range(8)]
            assert first == list(range(8)), "of what the gateway then keeps the newest"

    asyncio.run(asyncio.wait_for(story(), 90))


# The table


def mistakes(text: str) -> list[tuple[int, str]]:
    with pytest.raises(Mistakes) as caught:
        parse(text, PATH)
    return caught.value.found


URL = '[mqtt]\nurl = "mqtt://broker"\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('url = "http://x"', "mqtt.url"),
        ('url = "mqtt://user:secret@x"', "mqtt.url"),
        ('url = "mqtt://x"\nversion = "4"', "mqtt.version"),
        ('url = "mqtt://x"\ndrop = "all"', "mqtt.drop"),
        ('url = "mqtt://x"\nprefix = "a/#"', "mqtt.prefix"),
        ('url = "mqtt://x"\nqueue_messages = 0', "mqtt.queue_messages"),
        ('url = "mqtts://x"\nca_file = "nowhere.pem"', "mqtt.ca_file"),
        ('url = "mqtt://x"\npassword = "a"\npassword_file = "b"', "mqtt.password_file"),
        ('url = "mqtt://x"\n[[mqtt.up]]\nmesh = "a#"', "mqtt.up"),
        ('url = "mqtt://x"\n[[mqtt.up]]\nmesh = "$admin/#"', "mqtt.up"),
        ('url = "mqtt://x"\n[[mqtt.down]]\nmesh = "$keys"\nbroker = "b"', "mqtt.down"),
        ('url = "mqtt://x"\n[[mqtt.down]]\nmesh = "#"', "picoswarm/status"),
        ('url = "mqtt://x"\n[[mqtt.homeassistant.components]]\ntopic = "a"\nplatform = "toaster"', "platform"),
        ('url = "mqtt://x"\n[[mqtt.homeassistant.components]]\ntopic = "a"\ncategory = "config"', "category"),
    ],
)
def test_a_mistake_in_the_table_is_named(line, said):
    found = mistakes("[mqtt]\n" + line + "\n")
    assert any(said in text for _, text in found), found
    assert all(number > 1 for number, _ in found)


def test_rules_that_would_go_in_circles_are_refused():
    up = '[[mqtt.up]]\nmesh = "home/#"\nbroker = "site"\n'
    assert not parse(URL + up + '[[mqtt.down]]\nmesh = "orders/#"\nbroker = "site"\n', PATH).mqtt.check([])
    ((line, said),) = mistakes(URL + up + '[[mqtt.down]]\nmesh = "+/lamp"\nbroker = "site"\n')
    assert line > 2 and "loop" in said


def test_secrets_of_the_table_are_masked():
    from picoswarm_gateway.config import effective

    text = effective(parse(URL + 'username = "me"\npassword = "hunter2"\n', PATH))
    assert "hunter2" not in text and 'username = "me"' in text


# Topics


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+", "a", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a//b", "a//b", True),
        ("a/+/b", "a//b", True),
    ],
)
def test_filters_match_as_mqtt_says(pattern, topic, fits):
    assert matches(pattern, topic) is fits
    if fits:
        assert overlap(pattern, topic)


def test_filters_that_share_a_topic_overlap():
    for one, other in (("a/#", "a/b"), ("+/b", "a/+"), ("#", "x"), ("a/#", "a"), ("a/+/#", "a/b")):
        assert overlap(one, other) and overlap(other, one)
    for one, other in (("a/b", "a/c"), ("a", "a/+"), ("a/+/c", "a/b"), ("x/#", "y/#")):
        assert not overlap(one, other) and not overlap(other, one)


def test_topics_below_a_prefix():
    assert below("a/b", under("a/b", "c/d")) == "c/d" and below("", under("", "c")) == "c"
    assert below("a", "ab/c") is None and below("a", "a") is None
    assert is_topic("a/b") and not is_topic("a/+") and not is_topic("") and not is_topic("a\0")
    assert is_filter("+/a/#") and not is_filter("a#") and not is_filter("#/a") and not is_filter("")
