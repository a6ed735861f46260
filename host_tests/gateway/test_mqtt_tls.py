"""A mosquitto with TLS and a password file, and a gateway, by the configurations that docs/gateway.md prints."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import ipaddress
import re
from pathlib import Path

import pytest
from brokers import Mosquitto
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from picoswarm_gateway.config import parse
from picoswarm_gateway.gateway import Gateway
from small_mesh import HOST, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"
NAME, PASSWORD = "picoswarm", "not for everybody"


def printed(beginning: str) -> str:
    """The block of the page that begins so."""
    blocks = re.findall(r"```\w*\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    (block,) = (each for each in blocks if each.startswith(beginning) and "/etc/" in each)
    return block


def signed(
    name: str, by: tuple | None, extension: x509.ExtensionType
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate and its key; `by`: those of who signs it, None for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = (by[0].subject, by[1]) if by else (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=by is None)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(authority, critical=False)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    return builder.sign(signer, hashes.SHA256()), key


@pytest.fixture
def etc(tmp_path):
    """A folder with what the page puts into /etc/mosquitto and /etc/picoswarm."""
    (tmp_path / "certs").mkdir()
    authority = signed("house", None, x509.BasicConstraints(ca=True, path_length=None))
    broker, key = signed("broker", authority, x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "broker-ca.pem").write_bytes(authority[0].public_bytes(pem))
    (tmp_path / "certs" / "broker.pem").write_bytes(broker.public_bytes(pem))
    (tmp_path / "certs" / "broker.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    salt = bytes(range(12))  # as mosquitto_passwd writes it: PBKDF2 with SHA-512, how often, salt, hash
    made = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 101)
    both = "$".join(base64.b64encode(each).decode() for each in (salt, made))
    (tmp_path / "passwd").write_text(f"{NAME}:$7$101${both}\n")
    (tmp_path / "mqtt").write_text(PASSWORD + "\n")
    return tmp_path


def gateway(mesh, etc: Path, broker: Mosquitto, name: str, version: str, *changes: tuple[str, str]):
    """A gateway with the table of the page, but for its folder, the broker's address, the version and these changes."""
    text = printed("[mqtt]") + f'version = "{version}"\n'
    for before, now in (("/etc/picoswarm", str(etc)), ("broker.example:8883", f"{HOST}:{broker.port}"), *changes):
        assert before in text
        text = text.replace(before, now)
    return Gateway(mesh.config(name, mqtt=parse(text, Path("gateway.toml")).mqtt))


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_broker_with_tls_and_a_password_file_takes_the_gateway_that_the_page_configures_and_no_other(
    mesh, etc, version, monkeypatch
):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(etc))
    lines = printed("listener 8883").replace("/etc/mosquitto", str(etc)).splitlines()
    (etc / "wrong").write_text("a guess\n")

    async def story():
        with Mosquitto(etc, *lines[1:]) as broker:
            right = gateway(mesh, etc, broker, "one", version, ('"' + f"{etc}/mqtt", '"$CREDENTIALS_DIRECTORY/mqtt'))
            wrong = gateway(mesh, etc, broker, "two", version, (f"{etc}/mqtt", f"{etc}/wrong"))
            nobody = gateway(mesh, etc, broker, "three", version, (f'username = "{NAME}"', ""))
            async with right, wrong, nobody, mesh.node("board", right) as board:
                gw = await board.gateway("mqtt", 60_000)
                heard = gw.subscribe("kitchen/+")
                await until(lambda: heard.session)
                await gw.publish("kitchen/temperature", b"21.5", qos=1)
                assert (await anext(heard))[:2] == ("kitchen/temperature", b"21.5")
                for each in (wrong, nobody):
                    await until(lambda each=each: "not auth" in each.families["mqtt"].state()["trouble"].lower())
                    assert each.families["mqtt"].state()["state"] == "down"
                assert right.families["mqtt"].state()["state"] == "up"

    asyncio.run(asyncio.wait_for(story(), 120))
