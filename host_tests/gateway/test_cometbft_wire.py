"""SecretConnection, MConnection and messages of CometBFT without a network. Real nodes: host_tests/interop."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from picoswarm_gateway.families.cometbft import messages
from picoswarm_gateway.families.cometbft.mconnection import PING_S, PONG_S, QUEUE, RATE, Channel, MConnection
from picoswarm_gateway.families.cometbft.merlin import Transcript
from picoswarm_gateway.families.cometbft.messages import NodeInfo
from picoswarm_gateway.families.cometbft.proto import Malformed, blob, fields, message, number
from picoswarm_gateway.families.cometbft.secret import SEALED, Refused, SecretConnection

PEERS = ("aa" * 20, "127.0.0.1", 26656)


def key(n: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)


def handed(sender: SecretConnection, receiver: SecretConnection) -> bytes:
    data = bytes(sender.out)
    sender.out.clear()
    return receiver.receive(data)


def connected() -> tuple[SecretConnection, SecretConnection]:
    one, other = SecretConnection(key(1)), SecretConnection(key(2))
    hello = bytes(one.out)
    one.out.clear()
    handed(other, one)
    other.receive(hello)
    handed(one, other)
    handed(other, one)
    return one, other


def test_the_transcript_gives_the_published_challenge():
    transcript = Transcript(b"test protocol")
    transcript.append(b"some label", b"some data")
    assert transcript.draw(b"challenge", 32).hex() == "d5a21972d0d5fe320c0d263fac7fffb8145aa640af6e9bca177c03c7efcf0615"


def test_both_prove_their_keys_and_data_arrives_in_any_pieces():
    one, other = connected()
    assert one.remote_key == key(2).public_key().public_bytes_raw()
    assert other.remote_key == key(1).public_key().public_bytes_raw()
    one.send(bytes(range(256)) * 20)
    sealed = bytes(one.out)
    assert len(sealed) % SEALED == 0
    assert b"".join(other.receive(sealed[i : i + 700]) for i in range(0, len(sealed), 700)) == bytes(range(256)) * 20


@pytest.mark.parametrize("where", [0, SEALED - 1, SEALED // 2])
def test_a_changed_frame_ends_the_connection(where):
    one, other = connected()
    one.send(b"hello")
    one.out[where] ^= 1
    with pytest.raises(Refused, match="not authentic"):
        handed(one, other)


def test_a_frame_that_comes_twice_ends_the_connection():
    one, other = connected()
    one.send(b"hello")
    sealed = bytes(one.out)
    assert other.receive(sealed) == b"hello"
    with pytest.raises(Refused):
        other.receive(sealed)


def test_its_own_key_sent_back_a_key_of_low_order_and_garbage_are_refused():
    for hello, why in (
        (bytes(SecretConnection(key(1)).out)[:3] + bytes(32), "worth nothing"),
        (b"GET / HTTP/1.1\r\nhost: somewhere.invalid\r\n", "no key"),
    ):
        with pytest.raises(Refused, match=why):
            SecretConnection(key(2)).receive(hello)
    mirror = SecretConnection(key(1))
    with pytest.raises(Refused, match="our own"):
        mirror.receive(bytes(mirror.out))


def test_who_signs_with_another_key_is_refused():
    one, other = SecretConnection(key(1)), SecretConnection(key(2))
    one._key = type("Posing", (), {"public_key": key(3).public_key, "sign": key(1).sign})()
    hello = bytes(other.out)
    other.out.clear()
    other.receive(bytes(one.out))
    one.out.clear()
    one.receive(hello)
    with pytest.raises(Refused, match="cannot prove"):
        handed(one, other)


def mux() -> MConnection:
    return MConnection([Channel(1, 1, 5000), Channel(2, 10, 100_000)], 0.0)


def test_messages_are_cut_and_put_together_and_the_greater_priority_gets_more():
    one, other = mux(), mux()
    for _ in range(20):
        assert one.send(1, b"a" * 4000) and one.send(2, b"b" * 4000)
    found = []
    now = 0.0
    while one.has_more and len([each for each in found if each[0] == 2]) < 20:
        now += 1
        found += other.receive(one.to_send(now, 3))
    assert set(found) == {(1, b"a" * 4000), (2, b"b" * 4000)}
    assert len([each for each in found if each[0] == 1]) <= 3


def test_many_pings_are_answered_once():
    one, other = mux(), mux()
    ping = other.tick(PING_S)
    one.receive(ping * 50)
    pong = one.to_send(PING_S)
    assert len(pong) == len(ping)
    other.receive(pong)
    assert other.tick(PING_S + PONG_S + 1) == b""


def test_silence_after_a_ping_ends_the_connection():
    one = mux()
    assert one.tick(PING_S)
    with pytest.raises(Refused, match="does not answer"):
        one.tick(PING_S + PONG_S)


@pytest.mark.parametrize(
    "packet",
    [
        message(b"\xff" * 20),
        message(blob(3, number(1, 9) + number(2, 1) + blob(3, b"x"), True)),
        message(blob(7, b"x")),
        b"\xff" * 11,
        message(bytes(2000)),
        message(number(3, 5)),
    ],
)
def test_what_is_no_packet_ends_the_connection(packet):
    with pytest.raises(Refused):
        mux().receive(packet)


def test_a_message_longer_than_its_channel_allows_ends_the_connection_before_it_is_here():
    one = mux()
    part = message(blob(3, number(1, 1) + blob(3, bytes(1000)), True))
    for _ in range(5):
        one.receive(part)
    with pytest.raises(Refused, match="longer"):
        one.receive(part)


def test_a_full_queue_takes_no_more():
    one = mux()
    assert one.send(1, bytes(QUEUE)) and not one.send(1, b"x")


def test_what_a_node_tells_of_itself_comes_back():
    info = NodeInfo("ab" * 20, "chain", "kitchen", "tcp://127.0.0.1:1")
    assert NodeInfo.decode(info.encode()) == info


def test_who_is_no_node_to_speak_with_is_told_apart():
    mine = NodeInfo("ab" * 20, "chain", "me", "tcp://127.0.0.1:1")
    theirs = {"id": "cd" * 20, "network": "chain", "moniker": "it", "listen": "tcp://127.0.0.1:1"}
    assert not NodeInfo(**theirs).refusal(mine, "cd" * 20)
    for changes, proven in (
        ({}, "ef" * 20),
        ({"id": mine.id}, mine.id),
        ({"network": "other"}, "cd" * 20),
        ({"block_version": 10}, "cd" * 20),
        ({"channels": b"\x21"}, "cd" * 20),
    ):
        assert NodeInfo(**{**theirs, **changes}).refusal(mine, proven), changes


@pytest.mark.parametrize("changes", [{"channels": b"\1\1"}, {"channels": bytes(range(17))}, {"moniker": "a\x07"}])
def test_what_a_node_may_not_tell_of_itself_is_refused(changes):
    info = NodeInfo(**{"id": "ab" * 20, "network": "chain", "moniker": "it", "listen": "", **changes})
    with pytest.raises(Malformed):
        NodeInfo.decode(info.encode())


def test_messages_come_back_as_they_were_sent():
    assert messages.pex(messages.PEX_REQUEST) is None
    assert messages.pex(messages.addresses([PEERS])) == [PEERS]
    assert messages.transactions_in(messages.transactions([b"a", b"b"])) == [b"a", b"b"]
    assert messages.height_of_step(messages.new_round_step(7)) == 7
    assert messages.blocksync(messages.status(9, 3)) == ("status", (9, 3))
    assert messages.blocksync(messages.block_request(4)) == ("request", 4)
    assert messages.blocksync(messages.STATUS_REQUEST) == ("ask", 0)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_malformed(data):
    readers = (messages.pex, messages.transactions_in, messages.height_of_step, messages.blocksync, NodeInfo.decode)
    for read in (fields, *readers):
        with suppress(Malformed):
            read(data)


def test_each_way_takes_no_more_than_its_rate():
    one, other = MConnection([Channel(1, 1, QUEUE)], 0.0, RATE), MConnection([Channel(1, 1, QUEUE)], 0.0, RATE)
    assert one.send(1, bytes(QUEUE))
    sent_at = read_at = 0.0
    whole = []
    while one.has_more:
        sent_at += one.sending.wait(sent_at)
        whole += other.receive(one.to_send(sent_at))
        read_at = max(sent_at, read_at)
        read_at += other.receiving.wait(read_at)
    assert whole == [(1, bytes(QUEUE))]
    for seconds in (sent_at, read_at):
        assert 0.9 * QUEUE / RATE < seconds < 1.1 * QUEUE / RATE


def test_a_ping_is_answered_whatever_waits_for_its_turn():
    one, other = mux(), mux()
    one.send(2, bytes(90_000))
    one.to_send(0.0, 100)
    assert one.sending.wait(0.0) and not one.to_send(0.0)
    one.receive(other.tick(PING_S))
    assert one.to_send(0.0)
