"""The JSON vectors of the services are what their generator makes, and the reactors agree with every one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_peers import Peer, Publishers, World, node_id, say
from picoswarm.changes import FORGED, MALFORMED, Change
from picoswarm.crypto import run
from picoswarm.ed25519 import Verify
from picoswarm.errors import Malformed
from picoswarm.identity import Keyring
from picoswarm.logstats import LogStats
from picoswarm.membership import NetworkKey
from picoswarm.profile import Profile
from picoswarm.pubsub import PubSub
from picoswarm.rpc import Rpc
from picoswarm.signing import sign
from vectors import make_services

VECTORS = json.loads((Path(__file__).resolve().parent / "services-messages.json").read_text())
ORIGIN = bytes.fromhex(VECTORS["origin"])


def by_name(key: str):
    return pytest.mark.parametrize("vector", VECTORS[key], ids=lambda v: v.get("name"))


def peer_of(reactor, id32: bytes = node_id(9)) -> Peer:
    """A peer of a reactor, which keeps what is sent to it in its queue."""
    world = World()
    owner, other = world.add(reactor), world.add()
    other.id = id32
    peer = Peer(owner, other, 8)
    reactor.init_peer(peer)
    reactor.add_peer(peer)
    return peer


def test_the_file_is_what_the_generator_makes():
    assert make_services.main(check=True) == 0


@by_name("published")
def test_a_message_is_composed_signed_and_sent_as_in_the_vector(vector):
    if vector["short"] is None:
        return
    pubsub = PubSub(ORIGIN, Profile(), lambda n: bytes.fromhex(vector["nonce"])[:n], 0)
    peer = peer_of(pubsub)
    pubsub.receive(peer, 2, memoryview(b"\x10\x01#"))
    text = pubsub.compose(vector["topic"], bytes.fromhex(vector["payload"]), bool(vector["signature"]))
    if vector["signature"]:
        text[-64:] = run(sign(text, bytes.fromhex(VECTORS["origin_seed"])))
    assert text.hex() == vector["long"]
    assert pubsub.publish(text, 0) == 1
    assert peer.queue == [(2, bytes.fromhex(vector["short"]))]


@by_name("published")
@pytest.mark.parametrize("form", ["short", "long"])
def test_a_message_is_heard_and_passed_on_as_in_the_vector(vector, form):
    if vector[form] is None:
        return
    pubsub = PubSub(node_id(1), Profile(relay=1), bytes, 0)
    pubsub.filters = b"\x81#" if vector["signature"] else b"\x01#"
    source = peer_of(pubsub, ORIGIN if form == "short" else node_id(9))
    target = peer_of(pubsub, node_id(8))
    pubsub.receive(target, 2, memoryview(b"\x10\x01#"))
    assert target.queue.pop() == (2, b"\x10\x01#")  # a relay wants everything
    data = bytes.fromhex(vector[form])
    assert pubsub.receive(source, 2, memoryview(data)) == 0
    assert pubsub._seen[:8].hex() == vector["id"]
    long = bytes.fromhex(vector["long"])
    is_last = long[0] & 15 == 15
    assert target.queue == ([] if is_last else [(2, bytes((long[0] + 1,)) + long[1:])])
    if vector["signature"] and form == "long":
        assert pubsub.next_event() is None  # it waits for its check
        return
    heard = vector["topic"], bytes.fromhex(vector["payload"]), ORIGIN
    assert pubsub.next_event()[:3] == heard


@by_name("filters")
def test_filters_are_told_and_kept_as_in_the_vector(vector):
    world = Publishers()
    node, peer = world.node(filters=9), world.node()
    for each, signed in vector["filters"]:
        world.subscribe(node, each, signed)
    assert node.reactors[0]._told.hex() == vector["message"]
    world.connect(node, peer)
    reactor = peer.reactors[0]
    assert say(world, node.peers[1], bytes.fromhex(vector["message"])) is None
    told = bytes.fromhex(vector["message"])[1:]
    assert reactor.peers[peer.peers[0]][1] == told[: vector["kept"]]


@pytest.mark.parametrize("vector", VECTORS["requests"])
def test_requests_are_made_and_taken_as_in_the_vector(vector):
    message = bytes.fromhex(vector["message"])
    asker, server = Rpc(Profile(), 0), Rpc(Profile(), 0)
    peer = peer_of(asker)
    asker._id = vector["id"] - 1
    assert asker.call(peer, vector["method"], bytes.fromhex(vector["payload"]), 0) == vector["id"]
    assert peer.queue == [(3, message)]
    server.register(vector["method"])
    peer = peer_of(server)
    assert server.receive(peer, 3, memoryview(message)) == 0
    kind, served, *rest = server.next_event()
    assert (kind, served[:2], rest) == (1, [peer, vector["id"]], [vector["method"], bytes.fromhex(vector["payload"])])


def test_a_request_is_given_up_as_in_the_vector():
    vector = VECTORS["given_up"]
    message = bytes.fromhex(vector["message"])
    asker, server = Rpc(Profile(), 0), Rpc(Profile(), 0)
    peer = peer_of(asker)
    asker._id = vector["id"] - 1
    asker.call(peer, "echo", b"", 0, 500)
    asker.tick(500)
    assert peer.queue[1:] == [(3, message)]
    server.register("echo")
    back = peer_of(server)
    server.receive(back, 3, memoryview(peer.queue[0][1]))
    assert server.receive(back, 3, memoryview(message)) == 0
    assert not server.reply(server.next_event()[1], 0) and not back.queue


@pytest.mark.parametrize("vector", VECTORS["answers"])
def test_answers_are_made_and_taken_as_in_the_vector(vector):
    asker = Rpc(Profile(), 0)
    peer = peer_of(asker)
    asker._id = vector["id"] - 1
    asker.call(peer, "echo", b"", 0)
    server = Rpc(Profile(), 0)
    server.register("echo")
    back = peer_of(server)
    server.receive(back, 3, memoryview(peer.queue[0][1]))
    payload = bytes.fromhex(vector["payload"])
    server.reply(server.next_event()[1], vector["status"], bytes(500) if vector["status"] == 5 else payload)
    assert back.queue == [(3, bytes.fromhex(vector["message"]))]
    asker.receive(peer, 3, memoryview(back.queue[0][1]))
    assert asker.next_event() == (2, vector["id"], vector["status"], payload)


@pytest.mark.parametrize("key", ["log", "counters"])
def test_questions_are_answered_as_in_the_vectors(key):
    for vector in VECTORS[key]:
        teller = LogStats(64, [(vector.get("names", ""), vector.get("counts", ()))], 0)
        peer = peer_of(teller)
        for line in vector.get("lines", ()):
            teller.write(line, 0)
        channel = 5 if key == "log" else 6
        assert teller.receive(peer, channel, memoryview(bytes.fromhex(vector["question"]))) == 0
        assert peer.queue == [(channel, bytes.fromhex(vector["answer"]))]


@by_name("malformed")
def test_what_is_malformed_closes_the_session(vector):
    reactors = {
        "publish": (2, PubSub(node_id(1), Profile(), bytes, 0)),
        "request": (3, Rpc(Profile(), 0)),
        "log": (5, LogStats(64, (), 0)),
        "counters": (6, LogStats(0, [("a", [1])], 0)),
    }
    channel, reactor = reactors[vector["of"]]
    assert reactor.receive(peer_of(reactor), channel, memoryview(bytes.fromhex(vector["message"]))) == 11


def judged(text: bytes) -> int:
    """What a node says that holds epoch 1 and has taken serial 1; -1: it takes it."""
    keys = Keyring(NetworkKey(bytes(range(1, 33)), 1))
    keys.serial = 1
    try:
        change = Change(text)
    except Malformed:
        return MALFORMED
    code = change.judge(keys)
    return FORGED if code < 0 and not run(Verify(ORIGIN, change.signature, change.signed_text())) else code


@by_name("changes")
def test_a_change_of_keys_says_what_the_vector_says_and_is_signed(vector):
    change = Change(bytes.fromhex(vector["text"]))
    assert (change.kind, change.serial, change.epoch) == (vector["kind"], vector["serial"], vector["epoch"])
    assert change.key == bytes(range(32))
    assert change.revoked == b"".join(bytes((i + 1,)) * 16 for i in range(vector["ids"]))
    assert run(Verify(ORIGIN, change.signature, change.signed_text()))


@by_name("no_changes")
def test_what_is_no_change_is_refused_as_in_the_vector(vector):
    assert judged(bytes.fromhex(vector["text"])) == vector["code"]
