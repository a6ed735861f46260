"""Publish/subscribe with peers that come late, come back or do not take what waits for them."""

from fake_peers import Publishers, counted, heard, payloads

RUNTIMES = ("cpython", "micropython", "board")


def test_a_slow_peer_gets_it_when_there_is_room_and_the_others_at_once():
    world = Publishers()
    a, b, c = world.node(), world.node("#"), world.node("#")
    world.connect(a, b, room=1)
    world.connect(a, c)
    a.peers[1].is_slow = True
    assert world.publish(a, "t", b"1") == 2
    assert world.publish(a, "t", b"2") == 1
    assert counted(a, "stalled") == 1 and payloads(c) == [b"1", b"2"]
    assert a.reactors[0].peers[a.peers[1]][6] == 1
    a.peers[1].is_slow = False
    world.settle()
    world.pass_ms(300)
    assert payloads(b) == [b"1", b"2"] and not counted(a, "late")


def test_what_a_slow_peer_did_not_take_within_ten_seconds_is_dropped_and_counted():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.connect(a, b, room=1)
    a.peers[1].is_slow = True
    for i in range(3):
        world.publish(a, "t", bytes((i,)))
    world.pass_ms(11000)
    assert counted(a, "late") == 2
    a.peers[1].is_slow = False
    world.settle()
    world.pass_ms(1000)
    assert payloads(b) == [b"\0"]


def test_of_more_messages_than_are_kept_the_oldest_are_dropped():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.connect(a, b, room=1)
    a.peers[1].is_slow = True
    for i in range(12):
        world.publish(a, "t", bytes((i,)))
    assert counted(a, "late") == 3  # one is in the queue, eight are kept
    a.peers[1].room = 8
    a.peers[1].is_slow = False
    world.settle()
    world.pass_ms(300)
    assert counted(b, "received") == 9 and payloads(b) == [bytes((i,)) for i in range(4, 12)]


def test_what_nobody_wanted_goes_to_who_connects_within_ten_seconds():
    world = Publishers()
    a, b = world.node(), world.node("#")
    assert world.publish(a, "t", b"alone") == 0
    world.pass_ms(9000)
    world.connect(a, b)
    assert heard(b) == [("t", b"alone", 0, True)]
    world.pass_ms(20000)
    assert not counted(a, "unsent")


def test_after_ten_seconds_it_is_given_up_and_counted():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.publish(a, "t", b"alone")
    world.pass_ms(10300)
    assert counted(a, "unsent") == 1
    world.connect(a, b)
    assert not heard(b)


def test_who_subscribes_late_hears_the_last_ten_seconds():
    world = Publishers()
    a, b = world.node(), world.node("heat")
    world.connect(a, b)
    world.publish(a, "heat", b"1")
    world.publish(a, "door", b"2")
    world.pass_ms(5000)
    world.subscribe(b, "door")
    assert payloads(b) == [b"1", b"2"]


def test_a_new_filter_brings_nothing_again():
    world = Publishers()
    a, b = world.line(2, "heat")
    world.publish(a, "heat")
    before = world.carried
    world.subscribe(b, "#")
    assert world.carried == before + 1 and len(heard(b)) == 1


def test_a_relay_hands_recent_messages_to_who_comes_back_and_nothing_twice():
    world = Publishers()
    a, b, c = world.line(3, "#")
    world.publish(a, "t", b"1")
    world.cut(b, c)
    world.publish(a, "t", b"2")
    world.pass_ms(4000)
    world.connect(b, c)
    assert payloads(c) == [b"1", b"2"] and counted(c, "repeated") == 1


def test_what_stood_in_the_queue_of_a_lost_session_comes_with_the_next_one():
    world = Publishers()
    a, b = world.line(2, "#")
    a.peers[1].is_slow = True
    assert world.publish(a, "t", b"1") == 1
    world.cut(a, b)
    world.pass_ms(2000)
    world.connect(a, b)
    assert payloads(b) == [b"1"]


def test_a_new_session_before_the_old_one_ended_makes_nothing_twice():
    world = Publishers()
    a, b = world.line(2, "#")
    world.publish(a, "t", b"1")
    old = a.peers[1], b.peers[0]
    world.connect(a, b)
    for node, peer in ((a, old[0]), (b, old[1])):
        node.reactors[0].remove_peer(peer, 6)
    world.publish(a, "t", b"2")
    assert payloads(b) == [b"1", b"2"]


def test_a_full_queue_delays_the_filters_and_does_not_lose_them():
    world = Publishers()
    a, b = world.node(), world.node("#")
    world.connect(a, b)
    b.peers[0].room = 0
    world.unsubscribe(b, "#")
    assert world.publish(a, "t") == 1
    b.peers[0].room = 8
    world.pass_ms(300)
    assert world.publish(a, "t") == 0


def test_a_node_at_rest_has_nothing_to_do():
    world = Publishers()
    a, b = world.line(2, "#")
    world.publish(a, "t")
    world.pass_ms(11000)
    assert a.reactors[0].next_time() is None and b.reactors[0].next_time() is None
