"""Signed messages: what is checked before it is delivered, and how much of that can wait."""

from fake_peers import Publishers, counted, heard, payloads, say
from picoswarm.compat import collect
from picoswarm.crypto import run
from picoswarm.ed25519 import PublicKey, Sign
from picoswarm.pubsub import PubSub
from picoswarm.signing import sign, signed_text

RUNTIMES = ("cpython", "micropython")

SEED = b"\x01" * 32
ID = run(PublicKey(SEED))
assert ID[31] < 0x80


class Checkers(Publishers):
    """A world of small nodes; nobody checks anything before `check`."""

    def node(self, *filters, **numbers):
        return super().node(*filters, seen=8, recent=4, **numbers)

    def signer(self):
        """A node with a real key."""
        node = self.node()
        node.id = node.reactors[0].own_id = ID
        return node

    def publish_signed(self, signer):
        signer.reactors[0].publish(bytearray(GOOD), self.now)
        self.settle()


def signed(topic, payload):
    """A message of the node that has a key, as others pass it on."""
    text = Checkers().signer().reactors[0].compose(topic, payload, True)
    text[-64:] = run(sign(text, SEED))
    collect()
    return bytes(text)


GOOD = signed("door", b"open")


def check(node):
    """Let a node do its public-key work. Returns in how many slices."""
    collect()
    slices = 1
    while node.reactors[0].checks.step():
        slices += 1
    return slices


def events(node):
    return [(event[1], event[3]) for event in heard(node)]


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


def test_few_signatures_wait_and_one_peer_leaves_a_place_for_another():
    world = Checkers()
    flooder, other, far = world.node(), world.node(), world.node(signatures=3)
    world.subscribe(far, "#", True)
    world.connect(flooder, far)
    world.connect(other, far)
    for i in range(6):
        forged = bytearray(GOOD)
        forged[-1] ^= 1 + i
        say(world, flooder.peers[2], bytes(forged))
    assert counted(far, "unchecked") == 4
    say(world, other.peers[2], GOOD)
    check(far)
    assert events(far) == [(b"open", True)] and counted(far, "forged") == 2


def test_relays_pass_on_without_waiting_for_a_check():
    world = Checkers()
    start, middle, far = world.node(), world.node(), world.node()
    for node in (middle, far):
        world.subscribe(node, "door", True)
    world.connect(start, middle)
    world.connect(middle, far)
    say(world, start.peers[1], GOOD)
    check(far)
    assert events(far) == [(b"open", True)] and not heard(middle)


def test_a_node_without_signed_subscriptions_loads_no_checks():
    pubsub = PubSub(ID, Publishers().node().reactors[0].profile, bytes, 0)
    assert pubsub.checks is None
