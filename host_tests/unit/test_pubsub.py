"""Publish/subscribe among sessions: who hears what, how far it goes, and what is kept for later."""

from fake_peers import Publishers, counted, heard, payloads, published, say, told
from picoswarm.compat import sha256
from picoswarm.errors import LocalError
from picoswarm.pubsub import found
from picoswarm.topics import is_filter
from support import raises

RUNTIMES = ("cpython", "small", "board")  # a ring and a clique of reactors take more than 64 KB


def does_match(topic_filter, topic):
    text = bytes((len(topic),)) + topic.encode()
    return found(told(topic_filter), text, 1) > 0


def test_a_text_is_published_as_utf_8():
    world = Publishers()
    sender, hearer = world.node(), world.node("#")
    world.connect(sender, hearer)
    for payload in ("21 °C", bytearray(b"raw"), memoryview(b"view"), b""):
        world.publish(sender, "t", payload)
    assert payloads(hearer) == ["21 °C".encode(), b"raw", b"view", b""]
    longest = 400 - 38 - 1
    raises(LocalError, world.publish, sender, "t", "é" * (longest // 2 + 1))
    world.publish(sender, "t", "é" * (longest // 2))
    assert payloads(hearer) == ["é".encode() * (longest // 2)]
    for wrong in (7, ["x"], None):
        raises(TypeError, world.publish, sender, "t", wrong)


# Wildcards


def test_filters_match_as_in_mqtt():
    for topic_filter, topic, expected in (
        ("a", "a", True),
        ("a", "b", False),
        ("a", "aa", False),
        ("aa", "a", False),
        ("a/b", "a/b", True),
        ("a/b", "a", False),
        ("a", "a/b", False),
        ("+", "a", True),
        ("+", "a/b", False),
        ("+", "/a", False),
        ("/+", "/a", True),
        ("+/+", "/a", True),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("+/b", "a/c", False),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a//c", True),
        ("a/+/c", "a/b/d", False),
        ("+/+/c", "a/b/c", True),
        ("#", "a", True),
        ("#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "a/b", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("a/#", "b/a", False),
        ("+/#", "a", True),
        ("a/+/#", "a/b", True),
        ("a/+/#", "a", False),
        ("a/b/#", "a", False),
    ):
        assert does_match(topic_filter, topic) == expected, (topic_filter, topic)


def test_wildcards_stand_alone_in_their_level_and_the_rest_last():
    for good in ("a", "+", "#", "a/+/b", "+/+", "a/#", "/", "a//b", "x" * 64):
        assert is_filter(good.encode()), good
    for bad in ("", "a+", "+a", "a/b+/c", "#/a", "a#", "a/#/b", "##", "a/+#", "x" * 65):
        assert not is_filter(bad.encode()), bad


# Who hears what


def test_a_peer_hears_what_it_subscribed_to_and_nothing_else():
    world = Publishers()
    a, b, c = world.node(), world.node("door/+"), world.node("heat/#")
    world.connect(a, b)
    world.connect(a, c)
    before = world.carried
    assert world.publish(a, "door/front", b"open") == 1
    assert heard(b) == [("door/front", b"open", 0, True)]
    assert world.carried == before + 1 and not heard(c)


def test_who_subscribed_to_nothing_is_sent_nothing():
    world = Publishers()
    a, b = world.node(), world.node()
    world.connect(a, b)
    before = world.carried
    assert world.publish(a, "door") == 0
    world.pass_ms(30000)
    assert world.carried == before


def test_subscribing_and_unsubscribing_later_is_told():
    world = Publishers()
    a, b = world.node(), world.node()
    world.connect(a, b)
    world.subscribe(b, "door")
    assert world.publish(a, "door", b"1") == 1
    world.unsubscribe(b, "door")
    assert world.publish(a, "door", b"2") == 0
    assert payloads(b) == [b"1"]


def test_subscribing_twice_is_subscribing_once():
    world = Publishers()
    a, b = world.node(), world.node("door", "door")
    world.connect(a, b)
    world.publish(a, "door")
    assert len(heard(b)) == 1 and b.reactors[0].filters == told("door")
    world.unsubscribe(b, "door")
    assert world.publish(a, "door") == 0


def test_a_node_does_not_hear_itself():
    world = Publishers()
    a, b, c = world.line(3, "#")
    world.connect(a, c)
    world.publish(a, "door")
    assert not heard(a) and len(heard(b)) == len(heard(c)) == 1


def test_two_matching_filters_deliver_once():
    world = Publishers()
    a, b = world.node(), world.node("#", "door", "+")
    world.connect(a, b)
    world.publish(a, "door")
    assert len(heard(b)) == 1


def test_the_same_payload_twice_is_two_messages():
    world = Publishers()
    a, b = world.line(2, "#")
    world.publish(a, "door", b"open")
    world.publish(a, "door", b"open")
    assert len(heard(b)) == 2


# Passing on


def test_subscribers_pass_on_and_say_that_the_origin_is_only_claimed():
    world = Publishers()
    nodes = world.line(4, "door")
    world.publish(nodes[0], "door", b"open")
    assert heard(nodes[1]) == [("door", b"open", 0, True)]
    assert heard(nodes[2]) == heard(nodes[3]) == [("door", b"open", 0, False)]


def test_who_did_not_subscribe_passes_nothing_on():
    world = Publishers()
    a, b, c = world.node("door"), world.node("heat"), world.node("door")
    world.connect(a, b)
    world.connect(b, c)
    world.publish(a, "door")
    assert not heard(b) and not heard(c)


def test_a_gateway_passes_on_what_its_peers_want_and_delivers_only_its_own():
    world = Publishers()
    a, b, c, d = world.node(), world.node("own", relay=1), world.node("door"), world.node("heat")
    for node in (a, c, d):
        world.connect(node, b)
    world.publish(a, "door", b"1")
    world.publish(a, "own", b"2")
    assert payloads(c) == [b"1"] and payloads(b) == [b"2"] and not heard(d)


def test_a_ring_and_a_clique_deliver_each_message_once():
    for edges in ([(i, (i + 1) % 5) for i in range(5)], [(i, j) for i in range(5) for j in range(i)]):
        world = Publishers()
        nodes = [world.node("#", recent=5) for _ in range(5)]
        for i, j in edges:
            world.connect(nodes[i], nodes[j])
        for i in range(5):
            world.publish(nodes[i], "t", bytes((i,)))
        for i in range(5):
            assert sorted(payloads(nodes[i])) == [bytes((j,)) for j in range(5) if j != i]


def test_a_message_never_goes_back_to_where_it_came_from():
    world = Publishers()
    a, b = world.line(2, "#")
    before = world.carried
    world.publish(a, "t")
    world.pass_ms(11000)
    assert world.carried == before + 1
    c = world.node("#")
    world.connect(b, c)
    before = world.carried
    world.publish(a, "t")
    world.pass_ms(11000)
    assert world.carried == before + 2


def test_nor_does_it_go_to_its_origin_on_another_way():
    world = Publishers()
    a, b, c = world.line(3, "#")
    to_c = world.connect(a, c)[0]
    to_c.is_slow = True
    before = world.carried
    world.publish(a, "t")
    assert len(heard(c)) == 1 and world.carried == before + 2


def test_what_was_passed_on_to_nobody_is_not_counted_as_unsent():
    world = Publishers()
    a, b = world.line(2, "#")
    world.publish(a, "t")
    world.pass_ms(11000)
    assert not counted(b, "unsent")


def test_it_crosses_no_more_links_than_the_limit():
    world = Publishers()
    nodes = world.line(7, "#", hops=4, recent=2)
    world.publish(nodes[0], "t")
    assert [len(heard(node)) for node in nodes] == [0, 1, 1, 1, 1, 0, 0]


def test_a_hop_count_that_a_peer_made_up_ends_the_journey_early_and_no_more():
    world = Publishers()
    a, b, c = world.line(3, "#", hops=16)
    for hops in range(16):
        assert say(world, a.peers[1], published("t", bytes((hops,)), hops=hops)) is None
    assert len(heard(b)) == 8 and counted(b, "overflowed") == 8
    assert payloads(c) == [bytes((hops,)) for hops in range(7, 15)]


# Once


def test_the_same_message_again_is_dropped_until_the_ring_has_forgotten_it():
    world = Publishers()
    a, b = world.node(), world.node("#", seen=4, publish_burst=60, deliveries=60)
    world.connect(a, b)
    end = a.peers[1]
    say(world, end, published("t", b"first"))
    for i in range(3):
        say(world, end, published("t", bytes((i,))))
        say(world, end, published("t", b"first"))
    assert counted(b, "repeated") == 3 and len(heard(b)) == 4
    say(world, end, published("t", b"last"))
    say(world, end, published("t", b"first"))
    assert payloads(b) == [b"last", b"first"]


def test_the_ring_does_not_mistake_parts_of_two_ids_for_one():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.connect(a, b)
    text = b"\x40" + a.id + published("t")[1:]
    b.reactors[0]._seen[4:12] = sha256(text).digest()[:8]
    say(world, a.peers[1], published("t"))
    assert len(heard(b)) == 1


def test_what_nobody_subscribed_to_does_not_push_others_out_of_the_ring():
    world = Publishers()
    a, b = world.node(), world.node("t", seen=4)
    world.connect(a, b)
    end = a.peers[1]
    say(world, end, published("t", b"first"))
    for i in range(8):
        say(world, end, published("other", bytes((i,))))
    say(world, end, published("t", b"first"))
    assert payloads(b) == [b"first"] and counted(b, "unwanted") == 8 and counted(b, "repeated") == 1


def test_nor_does_what_lacks_the_signature_that_was_asked_for():
    world = Publishers()
    a, b, c = world.node(), world.node("t", seen=4), world.node("other")
    world.subscribe(b, "other", True)
    world.connect(a, b)
    world.connect(b, c)
    end = a.peers[1]
    say(world, end, published("t", b"first"))
    for i in range(8):
        say(world, end, published("other", bytes((i,))))
    say(world, end, published("t", b"first"))
    assert payloads(b) == [b"first"] and counted(b, "repeated") == 1
    assert counted(b, "unsigned") == 8 and not counted(b, "unwanted") and not heard(c)


def test_a_gateway_passes_on_what_it_would_hear_only_signed():
    world = Publishers()
    a, b, c = world.node(), world.node(relay=1), world.node("t")
    world.subscribe(b, "t", True)
    world.connect(a, b)
    world.connect(b, c)
    for _ in range(2):
        say(world, a.peers[1], published("t", b"1"))
    assert payloads(c) == [b"1"] and not heard(b)
    assert counted(b, "unsigned") == counted(b, "repeated") == 1


def test_a_message_that_found_no_memory_is_taken_when_it_comes_again():
    def no_memory(*arguments):
        raise MemoryError

    world = Publishers()
    a, b, c, d = world.node(), world.node("t"), world.node(), world.node("t")
    for node in (a, c, d):
        world.connect(node, b)
    pubsub = b.reactors[0]
    text = published("t", b"1", origin=a.id)
    pubsub._spread = no_memory
    raises(MemoryError, say, world, a.peers[1], text)
    del pubsub._spread
    pubsub.deliver = no_memory
    raises(MemoryError, say, world, a.peers[1], text)
    del pubsub.deliver
    assert not heard(b)
    for node in (c, c):
        say(world, node.peers[1], text)
    assert payloads(b) == payloads(d) == [b"1"] and counted(b, "repeated") == 1


def test_hops_do_not_make_another_message_of_it():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.connect(a, b)
    for hops in (0, 5):
        say(world, a.peers[1], published("t", origin=b.id[:1] + bytes(31), hops=hops))
    assert counted(b, "repeated") == 1


def test_a_message_cannot_be_suppressed_by_another_that_looks_alike():
    """A peer that passes something else on first, under the same origin, nonce and topic, does not hide the true one."""
    world = Publishers()
    a, b, c = world.node(), world.node("#"), world.node()
    world.connect(a, b)
    world.connect(c, b)
    true = published("t", b"true", origin=a.id)
    say(world, c.peers[1], published("t", b"false", origin=a.id))
    say(world, c.peers[1], published("t", b"tru", origin=a.id))
    say(world, a.peers[1], true)
    assert payloads(b) == [b"false", b"tru", b"true"]


def test_own_messages_that_come_back_are_dropped_even_when_the_ring_has_forgotten_them():
    world = Publishers()
    a, b = world.node("#", seen=1), world.node("#")
    world.connect(a, b)
    say(world, b.peers[0], published("t", origin=a.id, hops=3))
    assert not heard(a) and counted(a, "repeated") == 1


# Whose it is


def test_a_peer_that_claims_another_origin_is_not_believed():
    world = Publishers()
    a, b, c = world.line(3, "#")
    say(world, b.peers[2], published("t", b"posing", origin=a.id))
    say(world, b.peers[2], published("t", b"own", origin=b.id))
    assert heard(c) == [("t", b"posing", 0, False), ("t", b"own", 1, True)]


def test_an_origin_that_no_node_can_have_is_not_delivered():
    world = Publishers()
    a, b = world.line(2, "#")
    for origin in (bytes(31) + b"\x80", b"\xed" + b"\xff" * 30 + b"\x7f", b"\x01" + bytes(31)):
        assert say(world, a.peers[1], published("t", origin=origin)) is None
    assert not heard(b) and counted(b, "bad") == 3


def test_a_topic_that_nobody_can_publish_is_not_delivered():
    world = Publishers()
    a, b = world.line(2, "#")
    for topic in (b"a/+", b"#", b"a\xff", b"\xc3"):
        assert say(world, a.peers[1], b"\0" + bytes(4) + bytes((len(topic),)) + topic) is None
    assert not heard(b) and counted(b, "bad") == 4
