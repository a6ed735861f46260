"""Nodes find each other: bootstrap, seeds, beacons, lookups (rows D9-D11, D20, D21, D26, D29)."""

from link import PORT, Link, Named, small
from picoswarm.discovery import ADDED, ALONE, LOOKUP_DONE

RUNTIMES = ("cpython", "board")


def events(node):
    out = []
    event = node.next_event()
    while event:
        out.append(event)
        event = node.next_event()
    return out


def test_a_node_joins_by_a_bootstrap_whose_id_it_does_not_know():
    link = Link()
    a = link.add(0, small(bootstrap=1))
    b = link.add(1)
    b.add_bootstrap(a.site.ip, PORT)
    link.pass_ms(2000)
    assert a.nodes() == [b.own_id] and b.nodes() == [a.own_id]
    assert b.upkeep.is_joined
    assert [len(d) for s, to, d in link.sent if s == b.site.ip][:2] == [74, 72]  # PINGs, without and with its id
    assert (ADDED, a.own_id) in events(b)
    assert b.contact(a.own_id) == (a.site.ip, PORT, 5000)


def test_a_third_node_is_found_through_the_first():
    link = Link()
    a = link.add(0, small(bootstrap=1))
    b = link.add(1)
    c = link.add(2)
    for node in (b, c):
        node.add_bootstrap(a.site.ip, PORT)
    link.pass_ms(15000)
    assert sorted(c.nodes()) == sorted([a.own_id, b.own_id])
    look = c.find(b.own_id, link.now)
    link.settle()
    assert look.is_found and (LOOKUP_DONE, look) in events(c)
    assert look.results()[0][0] == b.own_id


def test_a_seed_is_pinged_before_anything_is_believed_of_it():
    link = Link()
    a = link.add(0)
    b = link.add(1)
    assert b.add_seed(a.own_id, a.site.ip, PORT)
    assert not b.nodes()
    link.pass_ms(1000)
    assert b.nodes() == [a.own_id]
    sizes = [len(d) for s, to, d in link.sent if s == b.site.ip]
    assert sizes[:2] == [64, 53] or sizes[:2] == [64, 50]


def test_seeds_are_checked_as_if_they_came_from_the_network_A26():
    link = Link()
    a = link.add(0)
    good = Named(1).id
    assert not a.add_seed(a.own_id, b"\x0a\x00\x00\x09", PORT)  # itself
    assert not a.add_seed(b"\xff" * 32, b"\x0a\x00\x00\x09", PORT)  # no id
    assert not a.add_seed(good, b"\xe0\x00\x00\x01", PORT)  # multicast
    assert not a.add_seed(good, b"\x0a\x00\x00\xff", PORT)  # the own network's broadcast
    assert not a.add_seed(good, b"\x0a\x00\x00\x09", 53)
    assert a.add_seed(good, b"\x0a\x00\x00\x09", PORT)
    assert not a.add_seed(good, b"\x0a\x00\x00\x0a", PORT)  # known


def test_two_nodes_meet_by_a_beacon_U9():
    link = Link()
    a = link.add(0, small(beacon=1))
    b = link.add(1, small(beacon=1))
    a.beacon_ip = b.site.ip
    b.beacon_ip = a.site.ip
    link.pass_ms(8000)
    assert a.nodes() == [b.own_id] and b.nodes() == [a.own_id]


def test_an_isolated_node_asks_again_after_5_seconds_doubled_to_5_minutes_D20():
    link = Link()
    node = link.add(0, small(beacon=1))
    times = []
    while len(times) < 13:
        before = len(link.sent)
        start = link.now
        link.pass_ms(1000)
        if len(link.sent) > before:
            times.append(start)
    gaps = [(times[i + 1] - times[i] & 0x3FFFFFFF) // 1000 for i in range(12)]
    for i in range(12):
        low = min(max(5, 5 << i >> 5), 300)
        assert low - 1 <= gaps[i] <= low * 5 // 4 + 2, gaps
    assert (ALONE,) in events(node)


def test_a_missing_bootstrap_is_pinged_every_minute_and_found_again():
    link = Link()
    a = link.add(0, small(bootstrap=1))
    b = link.add(1)
    b.add_bootstrap(a.site.ip, PORT)
    link.is_lost = lambda source, to, data: True
    link.pass_ms(200000)
    link.is_lost = lambda source, to, data: False
    link.pass_ms(60000)
    assert b.nodes() == [a.own_id] and b.upkeep.is_joined


def test_a_peer_whose_session_was_cut_off_is_asked_until_it_answers():
    from picoswarm.missed import miss

    link = Link()
    a, b = link.add(0), link.add(1)
    asked = []

    def is_lost(source, to, data):
        if source == b.site.ip:
            asked.append(link.now)
        return True

    link.is_lost = is_lost
    link.pass_ms(20000)
    miss(b.upkeep, a.own_id, a.site.ip, PORT, link.now)
    link.pass_ms(58000)
    assert not asked and not b.upkeep.found
    link.pass_ms(300000)
    assert len(asked) >= 2
    link.is_lost = lambda source, to, data: False
    link.pass_ms(185000)
    assert b.nodes() == [a.own_id] and b.upkeep.is_joined
    assert b.upkeep.found.id == a.own_id
    link.pass_ms(600000)
    assert not b.anchors  # it answered three times, and nobody wants more


def test_two_missed_peers_are_asked_for_and_the_last_one_is_among_them():
    from picoswarm.missed import miss

    link = Link()
    node = link.add(0)
    for i in range(1, 9):
        id32 = bytes((i,)) * 32
        for _ in range(2):
            miss(node.upkeep, id32, bytes((10, 0, 0, i)), PORT, link.now)
            assert len(node.anchors) == min(i, 2) and node.anchors[-1].id == id32
        assert i == 1 or node.anchors[0].id != id32


def test_nothing_inbound_is_admitted_before_the_table_is_initialised_D26():
    from forms import encode_ping
    from link import Puppet

    link = Link()
    node = link.add(0, small(start_ms=1))
    node.add_seed(Named(3).id, b"\x0a\x00\x00\x63", PORT)  # somebody to ask, who will not answer
    puppet = Puppet(link, 1)
    pair = puppet.pair(node)
    token = puppet.befriend(node, pair)
    n = encode_ping(puppet.codec, puppet.out, b"aaaa", puppet.key, pair, True, 9, 0, token, 50)
    assert len(puppet.say(n, node)) == 1
    assert node.table.entries == 0
    link.pass_ms(10000)
    n = encode_ping(puppet.codec, puppet.out, b"bbbb", puppet.key, pair, True, 9, 0, token, 50)
    puppet.say(n, node)
    assert node.nodes() == [puppet.id]


def test_a_node_without_bootstrap_profile_is_silent_to_untagged_pings():
    link = Link()
    a = link.add(0)
    b = link.add(1)
    b.add_bootstrap(a.site.ip, PORT)
    link.pass_ms(3000)
    assert not [1 for s, to, d in link.sent if s == a.site.ip]
    assert a.stats()["drop_untagged"] > 0


class Answered:
    """A question to a bootstrap node, as the engine's upkeep has it."""

    why = 3

    def __init__(self, anchor, node):
        self.about = anchor
        self.peer = node.own_id + bytes(32)


def test_a_bootstrap_node_that_is_back_is_not_forgotten_over_a_lookup_that_ended_just_before():
    link = Link()
    a, b = link.add(0), link.add(1)
    a.add_bootstrap(b.site.ip, PORT, b.own_id)
    link.pass_ms(3000)
    (anchor,) = a.anchors
    anchor.is_missing = True
    lookup = a.look_up(a.own_id, True, 1)
    out = bytearray(512)
    while lookup.is_running:  # step by step, and nothing beyond
        a.work()
        for here, there in ((a, b), (b, a)):
            n = here.to_send(out)
            if n:
                there.receive(out, n, here.site.ip, PORT, link.now)
    assert a.has_steps  # what the lookup found is still to be learned
    a.upkeep.ended(Answered(anchor, b), True)
    while a.has_steps:
        a.work()
    assert a.next_time() == a.now  # to look for itself again
