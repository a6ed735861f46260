"""Attacks on a whole engine, by datagrams alone: what is tried here in one piece has its parts tested in test_table.py,
test_discovery_proof.py and test_discovery_limits.py. Names carry the rows (D) and attacks (A) of the protocol's design."""

from forms import encode_find_node, encode_ping, encode_pong
from link import PORT, Link, Puppet, small
from picoswarm.compat import ticks_add
from picoswarm.crypto import X25519, run
from picoswarm.datagram import Codec
from picoswarm.discovery import REMOVED
from picoswarm.keymap import id_from_u

RUNTIMES = ("cpython", "board")

HOUR_MS = 3600 * 1000
TICKS_MS = 1 << 30  # the ticks come round
# Time is cheap in a test: budgets are tested elsewhere.
FREE = {"stranger_per_second": 1000, "proven_per_second": 1000, "inbound_keys": 100, "inbound_key_ip_ms": 0}


_keys = []  # made so far: each takes a board a second


class Key:
    """A node key made of a number."""

    def __init__(self, number):
        private = bytearray(number.to_bytes(32, "little"))
        private[31] = 0x40
        private[0] = 0x08
        private[1] = number & 0xFF
        self.static_private = bytes(private)
        self.id = id_from_u(run(X25519(self.static_private)))


def member(link, key, ip):
    """A puppet with that key."""
    puppet = Puppet(link, 1, ip)
    puppet.identity = key
    puppet.id = key.id
    puppet.codec = Codec(puppet.membership, key.id, 8)
    return puppet


def ready(**changes):
    """A link and a node on it whose table is initialised."""
    numbers = dict(FREE)
    numbers.update(changes)
    link = Link()
    node = link.add(0, small(**numbers))
    link.pass_ms(100)
    return link, node


def prove(puppet, node, pair):
    """Show the node its own token, by a PING; returns the token."""
    token = puppet.befriend(node, pair)
    n = encode_ping(puppet.codec, puppet.out, b"tokn", puppet.key, pair, False, 0, 0, token, 50)
    puppet.say(n, node)
    return token


def is_far(node, key):
    """Whether an id lies in the node's farthest k-bucket."""
    return (node.own_id[0] ^ key.id[0]) & 0x80 != 0


def keys_of(node, far, near):
    """`far` keys of the farthest k-bucket, then `near` others."""
    found = [[], []]
    number = 0
    while len(found[0]) < far or len(found[1]) < near:
        if number == len(_keys):
            _keys.append(Key(number + 1))
        key = _keys[number]
        number += 1
        found[0 if is_far(node, key) else 1].append(key)
    return found[0][:far] + found[1][:near]


def test_a_wrong_token_proves_nothing_and_opens_nothing_D8_D11_A5():
    link, node = ready()
    puppet = Puppet(link, 1)
    pair = puppet.pair(node)
    puppet.befriend(node, pair)
    n = encode_ping(puppet.codec, puppet.out, b"ping", puppet.key, pair, False, 0, 0, b"badtoken", 50)
    answers = puppet.say(n, node)
    assert len(answers) == 1 and puppet.hear(answers[0]) == 0 and puppet.codec.type == 2
    n = encode_find_node(puppet.codec, puppet.out, b"find", puppet.key, pair, False, b"badtoken", bytes(8), 0, 50)
    answers = puppet.say(n, node)
    assert len(answers) == 1 and puppet.hear(answers[0]) == 0 and puppet.codec.type == 2
    assert node.nodes() == []
    assert node.stats()["wrong_token"] == 1


def test_nine_members_of_one_24_get_two_places_in_a_bucket_D6_A3():
    link, node = ready(k=8, records=64)
    others = keys_of(node, 10, 0)
    for i in range(9):
        puppet = member(link, others[i], bytes((30, 1, 1, i + 1)))
        prove(puppet, node, puppet.pair(node))
        link.now = ticks_add(link.now, 1000)
    assert set(node.nodes()) == {others[0].id, others[1].id}
    puppet = member(link, others[9], bytes((30, 1, 2, 1)))
    prove(puppet, node, puppet.pair(node))
    assert len(node.nodes()) == 3  # it is the network that is full, not the bucket


def test_the_live_oldest_of_a_full_bucket_stays_D4_A1():
    link, node = ready(k=4, near=4)
    others = keys_of(node, 8, 4)
    for i in range(8, 12):  # the own nearest, so that nobody of the full bucket is among those
        nearest = member(link, others[i], bytes((10, 0, 1, i)))
        prove(nearest, node, nearest.pair(node))
        link.now = ticks_add(link.now, 1000)
    for i in range(8):
        puppet = member(link, others[i], bytes((10, 0, 2, i + 1)))
        prove(puppet, node, puppet.pair(node))
        link.now = ticks_add(link.now, 1000)
    assert set(node.nodes()) == {key.id for key in others[:4] + others[8:]}


def test_five_find_failures_empty_a_large_bucket_and_no_small_one_D27():
    link, node = ready(k=4, own_keys=100, revalidate_s=3600, lookup_result=8)
    puppets = {}
    for i, key in enumerate(keys_of(node, 4, 1)):
        puppet = member(link, key, bytes((10, 0, 3, i + 1)))
        pair = puppet.pair(node)
        prove(puppet, node, pair)
        puppets[puppet.ip] = (puppet, pair)
        link.now = ticks_add(link.now, 1000)
    alone = puppet.id
    assert len(node.nodes()) == 5
    lookup = None
    finds = {ip: 0 for ip in puppets}
    removed = {}  # id -> FIND_NODEs that all of them had left unanswered by then
    for _ in range(600):  # in which everybody answers PINGs, which lets it come back, and nobody FIND_NODEs
        if lookup is None or not lookup.is_running:
            lookup = node.find(bytes(32), link.now, True)
        link.settle()
        waiting, link.sent = link.sent, []
        for _, to, data in waiting:
            puppet, pair = puppets.get(to, (None, None))
            if puppet is None or puppet.hear(data):
                continue
            if puppet.codec.type == 3:
                finds[to] += 1
            elif puppet.codec.type == 1:
                rid = bytes(puppet.buf[14:18])
                ip = node.site.ip
                puppet.say(encode_pong(puppet.codec, puppet.out, rid, puppet.key, pair, False, ip, PORT, bytes(8), 0), node)
        link.pass_ms(250)
        event = node.next_event()
        while event is not None:
            if event[0] == REMOVED and event[1] not in removed:
                removed[event[1]] = sum(finds.values())
            event = node.next_event()
    assert alone in node.nodes() and alone not in removed
    assert len(removed) >= 3 and min(removed.values()) >= 5
    assert min(finds.values()) > 5


def test_no_token_is_good_again_when_the_ticks_come_round_D8_A7():
    link, node = ready()
    puppet = Puppet(link, 1)
    pair = puppet.pair(node)
    token = prove(puppet, node, pair)
    assert node.nodes() == [puppet.id]
    for _ in range(TICKS_MS // HOUR_MS):
        link.now = ticks_add(link.now, HOUR_MS)
        node.tick(link.now)
        link.settle()
    link.pass_ms(TICKS_MS % HOUR_MS)
    link.pass_ms(60_000)  # what was silent for days is gone by now
    assert node.nodes() == []
    n = encode_find_node(puppet.codec, puppet.out, b"late", puppet.key, pair, True, token, bytes(8), 0, 74)
    answers = puppet.say(n, node)
    assert all(puppet.hear(answer) == 0 and puppet.codec.type == 2 for answer in answers)
    assert node.nodes() == [] and node.stats()["wrong_token"] == 1
