"""Boards as devices of Home Assistant, each field held against its documentation (home_assistant.py)."""

from __future__ import annotations

import asyncio
import json

import pytest
from brokers import Ear, Mosquitto
from home_assistant import mistakes
from picoswarm_gateway.families.mqtt.homeassistant import DEFAULTS, HomeAssistantDevices, key_of
from picoswarm_gateway.families.mqtt.table import Component, HomeAssistant, MqttTable, Rule
from picoswarm_gateway.gateway import Gateway
from small_mesh import until

BOARD, GATEWAY = bytes(range(32)), bytes(32)


class World:
    """Devices without a broker: `said` is what was published, by topic, and every message is held against the
    documentation."""

    def __init__(self, *components: Component, name: str = "kitchen", **more: object) -> None:
        home = HomeAssistant(enabled=True, components=list(components), **more)
        self.table = MqttTable(url="mqtt://x", homeassistant=home, up=[Rule("sensors/#", "home")])
        self.said: dict[str, dict | None] = {}
        self.all: list[dict] = []
        self.is_mine = True
        self.devices = HomeAssistantDevices(
            self.table,
            GATEWAY,
            "gateway",
            self.say,
            lambda board: self.is_mine,
            lambda board: name,
            lambda id32: f"picoswarm/status/gateway/{id32.hex()}",
            lambda id32: f"picoswarm/status/board/{id32.hex()}",
        )

    def say(self, topic: str, text: str) -> None:
        self.said[topic] = json.loads(text) if text else None
        if text:
            self.all.append(self.said[topic])

    def device(self, id32: bytes = BOARD) -> dict:
        return self.said[f"homeassistant/device/picoswarm_{id32.hex()}/config"]

    def part(self, topic: str) -> dict:
        return self.device()["cmps"][key_of(topic)]


@pytest.mark.parametrize("word", sorted(DEFAULTS))
def test_what_is_known_by_its_name_is_described_as_the_documentation_wants_it(word):
    world = World()
    assert world.devices.learn(BOARD, f"kitchen/{word}", f"picoswarm/kitchen/{word}")
    ((topic, message),) = world.said.items()
    assert not mistakes(topic, message)


def test_every_field_that_the_table_has_is_allowed_on_its_platform():
    every = {
        "device_class": "x",
        "unit": "x",
        "state_class": "measurement",
        "template": "{{ value }}",
        "category": "diagnostic",
        "expire_s": 60,
        "payload_on": "1",
        "payload_off": "0",
        "min": 0.0,
        "max": 9.0,
        "step": 0.5,
    }
    platforms = ("sensor", "binary_sensor", "switch", "number")
    world = World(*(Component(f"all/{platform}", platform=platform, **every) for platform in platforms))
    for platform in platforms:
        assert world.devices.learn(BOARD, f"all/{platform}", f"picoswarm/all/{platform}")
    world.devices.announce_gateway()
    assert len(world.device()["cmps"]) == 4
    for topic, message in world.said.items():
        assert not mistakes(topic, message)
    number = world.part("all/number")
    assert (number["min"], number["max"], number["command_topic"]) == (0.0, 9.0, "picoswarm/all/number/set")


def test_the_table_comes_before_what_is_known_by_name_and_the_rest_is_no_component():
    world = World(Component("kitchen/+", name="Oven", unit="K"), defaults=True)
    assert world.devices.learn(BOARD, "kitchen/temperature", "picoswarm/kitchen/temperature")
    assert world.devices.learn(BOARD, "cellar/humidity", "picoswarm/cellar/humidity")
    assert not world.devices.learn(BOARD, "cellar/mood", "picoswarm/cellar/mood")
    oven = world.part("kitchen/temperature")
    assert (oven["name"], oven["unit_of_measurement"]) == ("Oven", "K") and "device_class" not in oven
    assert world.part("cellar/humidity")["device_class"] == "humidity"


def test_a_device_is_announced_once_for_each_new_topic_and_not_for_each_message():
    world = World()
    for _ in range(5):
        world.devices.learn(BOARD, "a/temperature", "picoswarm/a/temperature")
        world.devices.learn(BOARD, "b/temperature", "picoswarm/b/temperature")
    assert [len(message["cmps"]) for message in world.all] == [1, 2]
    assert key_of("a/b") != key_of("a_b")


def test_a_gateway_goes_on_with_what_another_one_had_announced():
    before, after = World(name="kitchen"), World(name="")
    before.devices.learn(BOARD, "kitchen/temperature", "picoswarm/kitchen/temperature")
    before.devices.learn(BOARD, "sensors/x/humidity", "home/sensors/x/humidity")
    ((topic, message),) = before.said.items()
    assert after.devices.on_message(topic, json.dumps(message).encode(), True)
    assert after.devices.topics == before.devices.topics
    assert after.device()["dev"]["name"] == "kitchen" and after.device()["cmps"] == message["cmps"]


def test_a_component_that_the_table_has_no_longer_is_removed_as_the_documentation_says():
    before, after = World(Component("old/#", unit="x")), World()
    before.devices.learn(BOARD, "old/thing", "picoswarm/old/thing")
    before.devices.learn(BOARD, "a/temperature", "picoswarm/a/temperature")
    ((topic, message),) = before.said.items()
    after.devices.on_message(topic, json.dumps(message).encode(), True)
    first, second = after.all
    assert first["cmps"][key_of("old/thing")] == {"p": "sensor"}, "with its platform alone"
    assert list(second["cmps"]) == [key_of("a/temperature")], "then without it"


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"cmps": 3}', b'{"cmps": {"a": {"p": []}}, "dev": {}}', b"\xff"])
def test_nonsense_under_the_topic_of_a_device_changes_nothing(payload):
    world = World()
    assert world.devices.on_message(f"homeassistant/device/picoswarm_{BOARD.hex()}/config", payload, True)
    assert not world.said


def test_a_board_that_is_forgotten_leaves_an_empty_message():
    world = World()
    world.devices.learn(BOARD, "a/temperature", "picoswarm/a/temperature")
    world.devices.forget(BOARD)
    assert world.device() is None and not world.devices.topics


def test_home_assistant_gets_a_device_its_state_and_availability_and_all_of_it_again_at_its_birth(mesh, tmp_path):
    async def story(broker: Mosquitto):
        table = MqttTable(url=broker.url, homeassistant=HomeAssistant(enabled=True))
        config = mesh.config(mqtt=table)
        async with Ear(broker) as ear:
            async with Gateway(config) as gateway:
                board_topic = ""
                async with mesh.node("kitchen", gateway) as node:
                    await until(node.sessions)
                    board_topic = f"picoswarm/status/board/{node.id.hex()}"
                    gw = await node.gateway("mqtt", 60_000)
                    await gw.publish("kitchen/temperature", b"21.5", qos=1)
                    topic = f"homeassistant/device/picoswarm_{node.id.hex()}/config"
                    await until(lambda: ear.heard(topic))
                    message = json.loads(ear.heard(topic)[-1])
                    assert not mistakes(topic, message)
                    assert message["dev"]["name"] == "kitchen"
                    (part,) = message["cmps"].values()
                    # What it points to exists: the state, kept by the broker, and both words on availability.
                    async with Ear(broker) as later:
                        for wanted in (part["state_topic"], *(each["topic"] for each in message["availability"])):
                            await until(lambda w=wanted: later.heard(w))
                        assert later.heard(part["state_topic"])[0] == b"21.5"
                        assert [later.heard(each["topic"])[0] for each in message["availability"]] == [b"online"] * 2
                        first = {topic: is_retained for topic, _, is_retained, _ in reversed(later.said)}
                        assert first[part["state_topic"]] and all(first[each["topic"]] for each in message["availability"])
                    count = len(ear.heard(topic))
                    await ear.say("homeassistant/status", b"online")
                    await until(lambda: len(ear.heard(topic)) > count)
                    own = f"homeassistant/device/picoswarm_{gateway.id.hex()}/config"
                    await until(lambda: ear.heard(own))
                    assert not mistakes(own, json.loads(ear.heard(own)[-1]))
                    id32 = node.id
                await until(lambda: ear.heard(board_topic)[-1:] == [b"offline"])
                gateway.families["mqtt"].forget(id32)
                await until(lambda: ear.heard(topic)[-1] == b"" and ear.heard(board_topic)[-1:] == [b""])
            await until(lambda: ear.heard(f"picoswarm/status/gateway/{gateway.id.hex()}")[-1:] == [b"offline"])

    with Mosquitto(tmp_path) as broker:
        asyncio.run(asyncio.wait_for(story(broker), 90))
