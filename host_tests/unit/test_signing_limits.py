"""Signed messages under pressure: how many wait for a check, and what else goes on meanwhile."""

from fake_peers import counted, heard, say
from signers import GOOD, Checkers, check, events

RUNTIMES = ("cpython", "small")  # Ed25519 and three reactors take more than 64 KB


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


class OutOfMemory:
    """A job, or a queue, that finds no memory."""

    def step(self):
        raise MemoryError

    def __len__(self):
        return 0

    def append(self, event):
        raise MemoryError


def test_a_check_without_memory_is_given_up_and_the_next_one_made():
    world = Checkers()
    relay, far = world.node(), world.node()
    world.subscribe(far, "#", True)
    world.connect(relay, far)
    say(world, relay.peers[1], GOOD[:-1] + b"\1")
    far.reactors[0].checks._waiting[0][2] = OutOfMemory()
    say(world, relay.peers[1], GOOD)
    check(far)
    assert events(far) == [(b"open", True)] and counted(far, "unchecked") == 1


def test_a_delivery_without_memory_costs_no_other_message_its_check():
    world = Checkers()
    relay, far = world.node(), world.node()
    world.subscribe(far, "#", True)
    world.connect(relay, far)
    say(world, relay.peers[1], GOOD)
    say(world, relay.peers[1], GOOD[:-1] + b"\1")
    pubsub = far.reactors[0]
    queue, pubsub._queue = pubsub._queue, OutOfMemory()
    waiting = pubsub.checks._waiting
    while len(waiting) > 1:
        pubsub.work()
    pubsub._queue = queue
    assert waiting and counted(far, "unchecked") == 1
    check(far)
    assert not heard(far) and counted(far, "forged") == 1 and counted(far, "unchecked") == 1


def test_nor_does_the_last_one_end_in_an_error():
    world = Checkers()
    relay, far = world.node(), world.node()
    world.subscribe(far, "#", True)
    world.connect(relay, far)
    say(world, relay.peers[1], GOOD)
    far.reactors[0]._queue = OutOfMemory()
    check(far)
    assert counted(far, "unchecked") == 1


def test_a_node_without_signed_subscriptions_loads_no_checks():
    assert Checkers().node("#").reactors[0].checks is None
