"""Signed messages: what is checked before it is delivered."""

from fake_peers import counted, heard, payloads, say
from picoswarm.compat import collect
from picoswarm.crypto import run
from picoswarm.ed25519 import PublicKey, Sign
from picoswarm.signing import signed_text
from signers import GOOD, Checkers, check, events

RUNTIMES = ("cpython", "small")  # Ed25519 and three reactors take more than 64 KB


def test_a_good_signature_proves_the_origin_across_relays():
    world = Checkers()
    signer, relay, far = world.signer(), world.node("door"), world.node()
    world.subscribe(far, "door", True)
    world.connect(signer, relay)
    world.connect(relay, far)
    world.publish_signed(signer)
    assert not heard(far)
    assert check(far) >= 2
    assert events(far) == [(b"open", True)]
    assert events(relay) == [(b"open", True)]  # of the session


def test_a_subscriber_that_asks_for_no_signature_hears_signed_messages_unchecked():
    world = Checkers()
    signer, relay, far = world.signer(), world.node("door"), world.node("door")
    world.connect(signer, relay)
    world.connect(relay, far)
    world.publish_signed(signer)
    assert events(far) == [(b"open", False)]


def test_unsigned_messages_are_neither_sent_to_nor_delivered_by_who_wants_signed_ones():
    world = Checkers()
    a, b = world.node(), world.node()
    world.subscribe(b, "door", True)
    world.connect(a, b)
    assert world.publish(a, "door") == 0
    say(world, a.peers[1], b"\0" + bytes(4) + b"\x04doorx")
    assert not heard(b) and counted(b, "unsigned") == 1


def test_nor_are_they_passed_on():
    world = Checkers()
    a, b, c = world.node(), world.node(), world.node("door")
    world.subscribe(b, "door", True)
    world.connect(a, b)
    world.connect(b, c)
    say(world, a.peers[1], b"\0" + bytes(4) + b"\x04doorx")
    assert not heard(c)


def test_what_comes_from_its_origin_is_proven_by_the_session_and_needs_no_check():
    world = Checkers()
    signer, near = world.signer(), world.node()
    world.subscribe(near, "door", True)
    world.connect(signer, near)
    world.publish_signed(signer)
    assert events(near) == [(b"open", True)]


def test_the_stricter_of_two_matching_filters_counts():
    world = Checkers()
    a, b = world.node(), world.node("#")
    world.subscribe(b, "door", True)
    world.connect(a, b)
    world.publish(a, "door", b"1")
    world.publish(a, "heat", b"2")
    assert payloads(b) == [b"2"] and counted(b, "unsigned") == 1


def test_nothing_of_a_signed_message_can_be_changed_on_the_way():
    world = Checkers()
    relay, far = world.node(), world.node()
    world.subscribe(far, "#", True)
    world.connect(relay, far)
    n = len(GOOD)
    for at in (1, 33, 38, 43, n - 64, n - 33, n - 32, n - 1):  # origin, nonce, topic, payload, R, S
        forged = bytearray(GOOD)
        forged[at] ^= 1
        say(world, relay.peers[1], bytes(forged))
        check(far)
    assert not heard(far) and counted(far, "forged") == 8
    say(world, relay.peers[1], GOOD)
    check(far)
    assert events(far) == [(b"open", True)]


def test_a_signature_of_another_member_under_a_foreign_origin_is_forged():
    world = Checkers()
    relay, far = world.node(), world.node()
    world.subscribe(far, "#", True)
    world.connect(relay, far)
    seed = b"\x06" * 32
    collect()
    signature = run(Sign(seed, run(PublicKey(seed)), signed_text(GOOD)))
    say(world, relay.peers[1], GOOD[:-64] + signature)
    check(far)
    assert not heard(far) and counted(far, "forged") == 1


def test_a_forged_copy_that_comes_first_does_not_hide_the_true_one():
    world = Checkers()
    relay, far = world.node(), world.node()
    world.subscribe(far, "#", True)
    world.connect(relay, far)
    say(world, relay.peers[1], GOOD[:-64] + bytes(64))
    say(world, relay.peers[1], bytes((GOOD[0] ^ 0x80,)) + GOOD[1:])  # as an unsigned one
    say(world, relay.peers[1], GOOD)
    check(far)
    assert events(far) == [(b"open", True)]
    assert counted(far, "forged") == 1 and counted(far, "unsigned") == 1
