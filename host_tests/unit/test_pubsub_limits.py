"""Publish/subscribe under pressure: floods, full queues, and what is malformed."""

from fake_peers import Publishers, counted, heard, payloads, published, say, told
from picoswarm.compat import ticks_add
from picoswarm.errors import LocalError
from picoswarm.pubsub import kept
from support import raises

RUNTIMES = ("cpython", "micropython", "board")

DAY = 86400000


# Floods, and deliveries that nobody fetches


def test_a_flood_is_dropped_beyond_the_budget_of_its_peer_and_others_are_heard():
    world = Publishers()
    a, b, c = world.node(), world.node("#", deliveries=100), world.node()
    world.connect(a, b)
    world.connect(c, b)
    for i in range(60):
        say(world, a.peers[1], published("t", bytes((i,))))
    assert len(heard(b)) == 40 and counted(b, "flooded") == 20
    assert b.reactors[0].peers[b.peers[0]][5] == 20
    world.publish(c, "t", b"c")
    assert payloads(b) == [b"c"]
    world.pass_ms(500)
    for i in range(60, 80):
        say(world, a.peers[1], published("t", bytes((i,))))
    assert len(heard(b)) == 10


def test_filters_count_for_the_flood_too():
    world = Publishers()
    a, b = world.node(), world.node()
    world.connect(a, b)
    for _ in range(50):
        say(world, a.peers[1], b"\x10")
    assert counted(b, "flooded") == 10


def test_what_a_peer_says_after_a_week_of_silence_is_no_flood():
    world = Publishers()
    a, b = world.node(), world.node("first")
    world.connect(a, b)
    for _ in range(7):
        world.now = ticks_add(world.now, DAY)
    world.unsubscribe(b, "first")
    world.subscribe(b, "second")
    assert world.publish(a, "second") == 1 and not counted(a, "flooded")


def test_relays_do_not_multiply_a_message():
    world = Publishers()
    nodes = [world.node("#") for _ in range(5)]
    for i in range(5):
        for j in range(i):
            world.connect(nodes[i], nodes[j])
    before = world.carried
    world.publish(nodes[0], "t")
    assert world.carried - before <= 4 + 4 * 3  # the origin's copies, and each other node's to the other three


def test_deliveries_that_nobody_fetches_make_room_for_new_ones():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.connect(a, b)
    for i in range(10):
        world.publish(a, "t", bytes((i,)))
    assert counted(b, "overflowed") == 2
    assert payloads(b) == [bytes((i,)) for i in range(2, 10)]


def test_or_they_stay_and_new_ones_are_lost():
    world = Publishers()
    a, b = world.node(), world.node("#", drop_new=True)
    world.connect(a, b)
    for i in range(10):
        world.publish(a, "t", bytes((i,)))
    assert counted(b, "overflowed") == 2
    assert payloads(b) == [bytes((i,)) for i in range(8)]


# Limits


def test_a_message_has_a_topic_that_can_be_and_a_size_that_fits():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.connect(a, b)
    for topic in ("", "a+", "#", "x" * 65):
        raises(LocalError, a.reactors[0].compose, topic, b"")
    assert raises(LocalError, a.reactors[0].compose, "t", bytes(362))
    assert raises(LocalError, a.reactors[0].compose, "t", bytes(298), True)
    world.publish(a, "t", bytes(361))
    assert payloads(b) == [bytes(361)]
    world.publish(a, "x" * 64, b"")
    assert heard(b) == [("x" * 64, b"", 0, True)]


def test_more_filters_than_allowed_are_refused_here_and_there():
    world = Publishers()
    a, b = world.node(), world.node(*["f%d" % i for i in range(10)], filters=10)
    world.connect(a, b)
    assert counted(a, "filters_refused") == counted(b, "filters_refused") == 1
    assert world.publish(a, "f7") == 1 and world.publish(a, "f8") == 0
    c = world.node(*["f%d" % i for i in range(8)])
    raises(LocalError, world.subscribe, c, "f8")
    raises(LocalError, world.subscribe, c, "a#")
    assert world.publish(a, "f7") == 1


def test_filters_are_bounded_in_bytes_too():
    long = ["x" * 63 + str(i) for i in range(4)]
    assert kept(told(*long), 8) == 3 * 65
    assert kept(told("a", *long), 8) == 2 + 3 * 65
    assert kept(told(*long[:3], "a", *long), 8) == 3 * 65 + 2


def test_of_what_stands_behind_a_refused_filter_nothing_is_kept():
    long = ["x" * 63 + str(i) for i in range(4)]
    assert kept(told(*long, "a"), 8) == 3 * 65


def test_nor_is_it_looked_at():
    world = Publishers()
    a, b = world.line(2)
    for told_ones, rest in (
        (told(*"abcdefgh"), b"\0"),
        (told(*"abcdefgh"), b"\x41x"),
        (told(*["x" * 63 + str(i) for i in range(3)]), b"\x40" + b"x" * 64 + b"\0"),
    ):
        assert say(world, a.peers[1], b"\x10" + told_ones + rest) is None
        assert b.reactors[0].peers[b.peers[0]][1] == told_ones
    assert counted(a, "filters_refused") == counted(b, "filters_refused") == 3
    assert say(world, a.peers[1], b"\x10" + told(*["x" * 63 + str(i) for i in range(3)]) + b"\x40x") == 11


def test_malformed_messages_close_the_session():
    for data in (
        b"",
        b"\x10\x00",
        b"\x10\x41" + b"x" * 65,
        b"\x10\x05abc",
        b"\x10\x03abc\x00",
        bytes(6),  # no topic
        b"\0" + bytes(4) + b"\x41" + b"x" * 65,
        b"\0" + bytes(4) + b"\x02a",
        published("t", bytes(362)),
        published("t", signature=bytes(64))[:-2],
    ):
        world = Publishers()
        a, b = world.line(2, "#")
        assert say(world, a.peers[1], data) == 11, data
        assert not heard(b)


def test_messages_of_every_length_are_taken_or_close_the_session():
    """The least is a topic of one byte; what is cut off anywhere before that is refused."""
    origin = b"\x09" + bytes(31)
    for whole, least in (
        (published("t", b""), 7),
        (published("t", b"", origin=origin), 39),
        (published("t", b"", signature=bytes(64)), 71),
        (published("t", b"", origin=origin, signature=bytes(64)), 103),
    ):
        world = Publishers()
        a, b = world.line(2, "#", publish_burst=200)
        for n in range(least):
            a.peers[1].back.reason = None
            assert say(world, a.peers[1], whole[:n]) == 11, n
        a.peers[1].back.reason = None
        assert say(world, a.peers[1], whole) is None and len(heard(b)) == 1


def test_kinds_of_later_versions_are_ignored():
    world = Publishers()
    a, b = world.line(2, "#")
    for data in (b"\x30", b"\x3f123", b"\xb0" + bytes(80)):
        assert say(world, a.peers[1], data) is None
    assert not heard(b) and not counted(b, "received")


# Peers with other limits


def test_a_message_longer_than_a_peer_takes_is_not_sent_to_it_and_goes_to_the_others():
    world = Publishers()
    large, board, other = world.node(publish_max=480), world.node("#"), world.node("#", publish_max=480)
    world.connect(large, board)
    world.connect(large, other)
    for n, reached in ((361, 2), (362, 1), (441, 1)):  # 38 bytes and the topic stand before, the origin counted
        assert world.publish(large, "t", bytes(n)) == reached
    assert [len(payload) for payload in payloads(board)] == [361]
    assert [len(payload) for payload in payloads(other)] == [361, 362, 441]
    assert not board.peers[0].reason and not counted(large, "stalled")


def test_what_is_passed_on_keeps_to_the_limit_of_each_peer_too():
    world = Publishers()
    a, relay, board = world.node(publish_max=480), world.node("#", publish_max=480), world.node("#")
    world.connect(a, relay)
    world.connect(relay, board)
    world.publish(a, "t", bytes(362))
    world.publish(a, "t", bytes(361))
    assert [len(payload) for payload in payloads(board)] == [361] and len(payloads(relay)) == 2
    assert not board.peers[1].reason


def test_more_filters_than_a_peer_takes_in_a_message_are_told_as_all():
    world = Publishers()
    a, b = world.node(publish_max=480, filters=14), world.node()
    for i in range(7):
        world.subscribe(a, "%d" % i + "x" * 57)
    world.connect(a, b)
    assert b.reactors[0].peers[b.peers[0]][1] == told("#")
    world.publish(b, "3" + "x" * 57, b"yes")
    world.publish(b, "other", b"no")
    assert payloads(a) == [b"yes"]
