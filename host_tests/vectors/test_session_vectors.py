"""The JSON vectors of sessions are what their generator makes, and the library agrees with every one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from picoswarm.handshake import Handshake, Reception
from picoswarm.hello import Hello, decode
from picoswarm.membership import Membership, NetworkKey
from picoswarm.noise import Noise
from picoswarm.sealed import Sealed
from sessions import Draws, Node, answer, said
from vectors import make_session

HERE = Path(__file__).resolve().parent
HELLOS = json.loads((HERE / "session-hello.json").read_text())
SESSION = json.loads((HERE / "session-handshake.json").read_text())
PUBLISHED = json.loads((HERE / "noise-xx.json").read_text())["vectors"]


def test_the_files_are_what_the_generator_makes():
    assert make_session.main(check=True) == 0


@pytest.mark.parametrize("vector", HELLOS["hellos"], ids=lambda v: v["name"])
def test_a_hello_is_decoded_and_made_again(vector):
    data = bytes.fromhex(vector["hello"])
    hello = decode(data, 0, len(data))
    wanted = make_session.HELLOS[vector["name"]]
    assert hello.capabilities == wanted.get("capabilities", 0)
    assert hello.port == wanted.get("port", 4660)
    assert hello.record == wanted.get("limit", 768)
    assert hello.streams == wanted.get("streams", 4)
    assert hello.name.encode() == wanted.get("name", b"")
    assert hello.publish_max == wanted.get("publish_max", 400) and hello.request_max == wanted.get("request_max", 400)
    fixed = wanted.get("fixed", 0b111)
    assert hello.channels == bytes(i for i in range(32) if fixed >> i & 1) + wanted.get("own", b"")
    if "more" not in wanted:
        again = Hello(hello.capabilities, hello.port, hello.seen, hello.channels, hello.record, hello.streams, hello.name)
        again.publish_max, again.request_max = hello.publish_max, hello.request_max
        assert again.encode() == data


@pytest.mark.parametrize("vector", HELLOS["refused"], ids=lambda v: v["name"])
def test_a_bad_hello_is_refused(vector):
    data = bytes.fromhex(vector["hello"])
    if len(data) > 64:  # the message that would carry it is too long
        return
    assert decode(data, 0, len(data)) is None


def node(about: dict) -> Node:
    one = Node(bytes.fromhex(about["static_private"]))
    assert one.id.hex() == about["id"]
    return one


@pytest.mark.parametrize("vector", SESSION["set_ups"], ids=lambda v: v["name"])
def test_a_whole_set_up_passes_over_the_wire_as_written(vector):
    key = NetworkKey(bytes.fromhex(SESSION["network_key"]), SESSION["epoch"])
    challenge = bytes.fromhex(SESSION["challenge"])
    ephemeral = bytes.fromhex(SESSION["responder"]["ephemeral_private"])
    reception = Reception()
    is_challenged = len(vector["wire"]) > 3
    if is_challenged:
        reception.unfinished += [0, 0]
    a = Handshake(
        node(SESSION["initiator"]),
        key,
        Draws(0, [bytes.fromhex(e) for e in SESSION["initiator"]["ephemeral_privates"]]),
        bytes.fromhex(vector["initiator_hello"]),
        True,
        None,
        bytes.fromhex(SESSION["responder"]["id"]),
        0,
    )
    b = Handshake(
        node(SESSION["responder"]),
        Membership(key),
        Draws(0, [ephemeral, challenge, ephemeral] if is_challenged else [ephemeral]),
        bytes.fromhex(vector["responder_hello"]),
        False,
        reception,
        None,
        0,
    )
    a.purpose = vector["purpose"]
    data = said(a)
    for turn, message in enumerate(vector["wire"]):
        assert message["sender"] == ("initiator", "responder")[turn & 1]
        assert data.hex() == message["bytes"]
        data = answer((b, a)[turn & 1], data)
    assert a.stage == b.stage == 2 and a.reason == b.reason == 0
    assert b.purpose == vector["purpose"]
    assert a.send_key.hex() == b.receive_key.hex() == vector["initiator_sends_under"]
    assert b.send_key.hex() == a.receive_key.hex() == vector["responder_sends_under"]


@pytest.mark.parametrize("vector", SESSION["records"], ids=lambda v: str(v["number"]))
def test_a_record_is_sealed_and_opened_as_written(vector):
    text, record = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["record"])
    ends = [Sealed(bytes.fromhex(vector["key"])) for _ in range(2)]
    for end in ends:
        if vector["number"]:
            end._nonce[4:8] = (vector["number"] - 1).to_bytes(4, "little")
            end._count()
    buf = bytearray(2) + text + bytes(16)
    assert ends[0].seal(buf, 0, 2 + len(text)) == len(record)
    assert bytes(buf) == record
    assert ends[1].open(buf, 0, len(buf)) == 2 + len(text) and buf[2 : 2 + len(text)] == text


@pytest.mark.parametrize("vector", PUBLISHED, ids=lambda v: f"{v['source']}-{v['protocol_name'][6:12]}")
def test_a_published_handshake_is_reproduced_by_both_sides(vector):
    psk, prologue = bytes.fromhex(vector["psk"]) or None, bytes.fromhex(vector["prologue"])
    sides = {}
    for name, short in (("initiator", "init"), ("responder", "resp")):
        one = Node(bytes.fromhex(vector[f"{short}_static"]))
        sides[name] = Noise(one, bytes.fromhex(vector[f"{short}_ephemeral"]), prologue, psk, name == "initiator")
    other = {"initiator": "responder", "responder": "initiator"}
    for message in vector["messages"][:3]:
        payload, wire = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        buf = bytearray(len(wire))
        writer, reader = sides[message["sender"]], sides[other[message["sender"]]]
        list(writer.message(buf, 0, 0, payload))
        assert writer.end == len(wire) and bytes(buf) == wire
        list(reader.message(buf, 0, len(wire)))
        assert bytes(buf[reader.at : reader.end]) == payload
    assert sides["initiator"].keys == sides["responder"].keys
    check_transport(vector, sides["initiator"].keys)


def check_transport(vector: dict, keys: bytes) -> None:
    """The messages after the handshake, which have no associated data there."""
    sent = {"initiator": 0, "responder": 0}
    for message in vector["messages"][3:]:
        sender = message["sender"]
        key = keys[:32] if sender == "initiator" else keys[32:]
        sealed = make_session.ChaCha20Poly1305(key).encrypt(
            make_session.nonce(sent[sender]), bytes.fromhex(message["payload"]), b""
        )
        assert sealed.hex() == message["ciphertext"]
        sent[sender] += 1
