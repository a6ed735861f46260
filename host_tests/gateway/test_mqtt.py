"""The family mqtt, against a real mosquitto, with both versions of MQTT."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress

import pytest
from brokers import Ear, Mosquitto
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from picoswarm.failures import RequestError
from picoswarm_gateway.families.mqtt.table import MqttTable, Rule
from picoswarm_gateway.gateway import Gateway
from small_mesh import HOST, until


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
            gw = await node.gateway("mqtt", 60_000)
            heard = gw.subscribe("kitchen/+")
            await until(lambda: heard.session)  # the broker knows
            await gw.publish("kitchen/temperature", b"21.5", qos=1)
            await until(lambda: ear.heard(f"one{version}/kitchen/temperature"))
            message = await anext(heard)
            assert (message.topic, message.payload, message.is_retained) == ("kitchen/temperature", b"21.5", False)
            await ear.say(f"one{version}/kitchen/set", bytes(70_000))
            await ear.say(f"one{version}/kitchen/set", b"on")
            assert (await anext(heard))[:2] == ("kitchen/set", b"on")
            counts = gateway.families["mqtt"].state()["counts"]
            assert counts["undelivered"] == (version == "3.1.1"), "MQTT 5 tells the broker what is too long for us"
            await gw.publish("kitchen/temperature", b"22", qos=0)
            await until(lambda: ear.heard(f"one{version}/kitchen/temperature") == [b"21.5", b"22"])
            heard.close()
            await until(lambda: not gateway.families["mqtt"].state()["leases"])
            with pytest.raises(RequestError, match="no topic"):
                await gw.publish("status/board/x", b"")

    asyncio.run(asyncio.wait_for(story(), 90))


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

    asyncio.run(asyncio.wait_for(story(), 90))


def certificate(folder) -> None:
    """cert.pem and key.pem for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test broker")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


@both
def test_a_broker_with_tls_is_believed_by_its_certificate_alone(mesh, tmp_path, version):
    async def story():
        certificate(tmp_path)
        with Mosquitto(tmp_path, f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem") as broker:
            url = f"mqtts://{HOST}:{broker.port}"
            trusting = mesh.config("one", mqtt=MqttTable(url=url, version=version, ca_file=str(tmp_path / "cert.pem")))
            strict = mesh.config("two", mqtt=MqttTable(url=url, version=version))
            async with Gateway(trusting) as one, Gateway(strict) as two:
                await until(lambda: one.families["mqtt"].state()["state"] == "up")
                await until(lambda: "CERTIFICATE" in two.families["mqtt"].state()["trouble"].upper())
                assert two.families["mqtt"].state()["state"] == "down"

    asyncio.run(asyncio.wait_for(story(), 90))


@both
def test_a_broker_that_refuses_or_is_away_costs_the_mesh_nothing(mesh, tmp_path, version, monkeypatch):
    monkeypatch.setattr("picoswarm_gateway.families.mqtt.family.BROKER_S", 0.3)

    async def story():
        broker = Mosquitto(tmp_path, "allow_anonymous false")
        config = mesh.config(mqtt=table(broker, version=version, prefix="x", up=[Rule("sensors/#")]))
        async with Gateway(config) as gateway, mesh.node("board", gateway) as node:
            family = gateway.families["mqtt"]
            await until(lambda: family.state()["state"] == "down")  # nobody listens
            with broker:
                await until(lambda: "not auth" in family.state()["trouble"].lower())  # and then it refuses
                await until(node.sessions)
                (session,) = node._services.swarm.peers.values()
                gw = await node.gateway("mqtt", 60_000)
                with pytest.raises(RequestError):
                    await gw.publish("a", b"1", qos=1, timeout_ms=3000)
                assert family.broker.counts["withdrawn"]
                await gw.publish("a", b"2", qos=0)
                await node.publish("sensors/a", b"3")
                await until(lambda: family.state()["waiting"] == 2)
                assert b"mqtt" in await node.request(gateway.id, "gateway")
                assert list(node._services.swarm.peers.values()) == [session], "the session is the one it was"

    asyncio.run(asyncio.wait_for(story(), 90))
