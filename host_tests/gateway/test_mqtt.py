"""The family mqtt, against a real mosquitto, with both versions of MQTT."""

from __future__ import annotations

import asyncio

import pytest
from brokers import Ear, Mosquitto
from picoswarm.failures import RequestError
from picoswarm_gateway.families.mqtt.table import MqttTable, Rule
from picoswarm_gateway.gateway import Gateway
from small_mesh import until


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


def table(broker: Mosquitto, **more: object) -> MqttTable:
    return MqttTable(**{"url": broker.url, **more})


both = pytest.mark.parametrize("version", ["3.1.1", "5"])


@both
def test_a_board_publishes_and_hears_through_a_gateway(mesh, broker, version):
    async def story():
        config = mesh.config(mqtt=table(broker, version=version, prefix=f"one{version}"))
        async with Gateway(config) as gateway, mesh.node("board", gateway) as node, Ear(broker, f"one{version}/#") as ear:
            await until(node.sessions)
            gw = await node.gateway("mqtt")
            heard = gw.subscribe("kitchen/+")
            await until(lambda: gateway.families["mqtt"].state()["leases"])
            await gw.publish("kitchen/temperature", b"21.5", qos=1)
            assert ear.heard(f"one{version}/kitchen/temperature") == [b"21.5"]
            message = await anext(heard)
            assert (message.topic, message.payload, message.is_retained) == ("kitchen/temperature", b"21.5", False)
            await ear.say(f"one{version}/kitchen/set", b"on")
            assert (await anext(heard))[:2] == ("kitchen/set", b"on")
            await gw.publish("kitchen/temperature", b"22", qos=0)
            await until(lambda: len(ear.heard(f"one{version}/kitchen/temperature")) == 2)
            heard.close()
            await until(lambda: not gateway.families["mqtt"].state()["leases"])
            with pytest.raises(RequestError, match="no topic"):
                await gw.publish("status/board/x", b"")

    asyncio.run(story())


@both
def test_mesh_topics_go_up_and_broker_topics_go_down_by_their_filters(mesh, broker, version):
    async def story():
        rules = {"up": [Rule("sensors/#", "home")], "down": [Rule("cmd/+", f"orders{version}")]}
        config = mesh.config(mqtt=table(broker, version=version, prefix=f"two{version}", **rules))
        async with Gateway(config), mesh.node("board", f"127.0.0.1:{config.mesh.port}") as node, Ear(broker) as ear:
            await until(node.sessions)
            orders = node.subscribe("cmd/#")
            everything = node.subscribe("#")
            await node.publish("sensors/kitchen", b"21")
            await node.publish("other/kitchen", b"22")
            await until(lambda: ear.heard("home/sensors/kitchen"))
            await ear.say(f"orders{version}/cmd/x", b"go")
            await ear.say(f"orders{version}/cmd/x/y", b"beyond the filter")
            message = await anext(orders)
            assert (message.topic, message.payload) == ("cmd/x", b"go")
            await ear.say(f"orders{version}/cmd/z", b"last")
            assert (await anext(orders)).payload == b"last"
            assert ear.heard("home/sensors/kitchen") == [b"21"]
            assert not any("other" in topic for topic, *_ in ear.said)
            assert sum("/cmd/" in topic for topic, *_ in ear.said) == 3, "nothing of it came back to the broker"
            assert [(await anext(everything)).topic for _ in range(2)] == ["cmd/x", "cmd/z"]

    asyncio.run(story())
