"""Budgets, hearsay and liars (attacks A1, A3, A4, A6, A13, A15; row D17)."""

from forms import At, encode_beacon, encode_find_node, encode_ping, encode_pong, put_record, seal, start_neighbors
from link import PORT, Link, Named, Puppet, small
from picoswarm.compat import ticks_add, ticks_diff

RUNTIMES = ("cpython", "board")


def ready(**changes):
    link = Link()
    node = link.add(0, small(**changes))
    link.pass_ms(100)
    puppet = Puppet(link, 1)
    return link, node, puppet, puppet.pair(node)


def proven(**changes):
    """A node with the puppet in its table, and its token for us."""
    link, node, puppet, pair = ready(**changes)
    token = puppet.befriend(node, pair)
    n = encode_ping(puppet.codec, puppet.out, b"prov", puppet.key, pair, False, 9, 0, token, 50)
    puppet.say(n, node)
    assert node.nodes() == [puppet.id]
    link.pass_ms(1100)
    return link, node, puppet, pair, token


def answer_ping(puppet, node, pair, data):
    assert puppet.hear(data) == 0 and puppet.codec.type == 1
    rid = bytes(puppet.buf[14:18])
    n = encode_pong(puppet.codec, puppet.out, rid, puppet.key, pair, False, node.site.ip, PORT, b"tokentok", 9)
    return puppet.say(n, node)


def ask_for_neighbors(link, node, puppet, pair):
    """Let the node query the puppet; returns the request id of its FIND_NODE."""
    node.find(bytes(31) + b"\x01", link.now, True)
    link.settle()
    data = link.sent[-1][2]
    puppet.hear(data)
    if puppet.codec.type == 1:
        data = answer_ping(puppet, node, pair, data)[-1]
        puppet.hear(data)
    assert puppet.codec.type == 3
    return bytes(puppet.buf[14:18])


def say_neighbors(puppet, node, pair, rid, records, part=0, total=1, flags=0):
    at = start_neighbors(puppet.codec, puppet.out, rid, part, total)
    for id32, ip, port in records:
        at = put_record(puppet.out, at, flags, id32, 0, ip, port, 9)
    n = seal(puppet.codec, puppet.out, at, puppet.key, 42, pair)
    return puppet.say(n, node)


def test_neighbors_naming_lan_loopback_or_special_addresses_are_ignored_by_a_node_far_away_D17_A6():
    link = Link()
    node = link.add(0, ip=b"\x14\x00\x00\x01")
    link.pass_ms(100)
    puppet = Puppet(link, 1, ip=b"\x15\x00\x00\x01")
    pair = puppet.pair(node)
    token = puppet.befriend(node, pair)
    n = encode_ping(puppet.codec, puppet.out, b"prov", puppet.key, pair, False, 9, 0, token, 50)
    puppet.say(n, node)
    rid = ask_for_neighbors(link, node, puppet, pair)
    victims = (
        (b"\x7f\x00\x00\x01", PORT),
        (b"\xc0\xa8\x01\x01", PORT),
        (b"\x0a\x00\x00\x01", PORT),
        (b"\xac\x10\x00\x01", PORT),
        (b"\xa9\xfe\x00\x01", PORT),
        (b"\xe0\x00\x00\x01", PORT),
        (b"\xff\xff\xff\xff", PORT),
        (bytes(4), PORT),
        (b"\xc0\x00\x02\x01", PORT),
        (b"\x16\x00\x00\x01", 53),
    )
    before = len(link.sent)
    say_neighbors(puppet, node, pair, rid, [(Named(2).id, ip, port) for ip, port in victims])
    link.pass_ms(3000)
    assert node.stats()["bad_record"] == len(victims)
    assert not [to for s, to, d in link.sent[before:] if s == node.site.ip and to != puppet.ip]


def test_neighbors_naming_the_lans_broadcast_or_ourselves_are_ignored_A6():
    link, node, puppet, pair, _ = proven()
    rid = ask_for_neighbors(link, node, puppet, pair)
    third = Named(2).id
    records = [(third, b"\x0a\x00\x00\xff", PORT), (third, b"\x0a\x00\x00\x00", PORT), (third, node.site.ip, PORT)]
    records.append((b"\xff" * 32, b"\x0a\x00\x00\x09", PORT))
    say_neighbors(puppet, node, pair, rid, records)
    assert node.stats()["bad_record"] == 4


def test_of_an_entry_that_is_named_nothing_is_taken_but_that_it_is_a_gateway_or_relays():
    link, node, puppet, pair, _ = proven()
    rid = ask_for_neighbors(link, node, puppet, pair)
    record = node.table.find(puppet.id, 0, 32)
    before = bytes(node.table.pool[record : record + node.table.step])
    assert not before[64] & 14
    say_neighbors(puppet, node, pair, rid, [(puppet.id, b"\x0a\x00\x00\x63", PORT + 1)], flags=14)
    assert node.table.pool[record + 64] == before[64] | 10
    assert bytes(node.table.pool[record : record + 60]) == before[:60] and node.table.ip(record) == puppet.ip


def test_a_third_party_that_is_named_is_pinged_and_never_believed_A6():
    for uptime, pings in ((0, 6), (60, 5)):  # its second chance has three; the first one two, or three in the first minute
        _name_a_third_party(uptime, pings)


def _name_a_third_party(uptime, pings):
    link, node, puppet, pair, _ = proven()
    node.uptime += uptime
    rid = ask_for_neighbors(link, node, puppet, pair)
    before = len(link.sent)
    say_neighbors(puppet, node, pair, rid, [(Named(2).id, b"\x0a\x00\x00\x63", PORT)])
    link.pass_ms(12000)
    to_victim = [d for s, to, d in link.sent[before:] if to == b"\x0a\x00\x00\x63"]
    assert [len(d) for d in to_victim] == [64] * pings
    assert node.nodes() == [puppet.id]


def test_unasked_neighbors_are_dropped_D12():
    link, node, puppet, pair, _ = proven()
    say_neighbors(puppet, node, pair, b"none", [(Named(2).id, b"\x0a\x00\x00\x63", PORT)])
    assert node.stats()["drop_unasked"] == 1


def test_a_part_that_comes_twice_counts_once_and_parts_come_in_any_order_D14():
    link, node, puppet, pair, _ = proven()
    rid = ask_for_neighbors(link, node, puppet, pair)
    say_neighbors(puppet, node, pair, rid, [], 1, 2)
    assert node.requests.find(puppet.id, 0) is not None
    say_neighbors(puppet, node, pair, rid, [(Named(2).id, b"\x0a\x00\x00\x63", PORT)], 1, 2)
    assert node.stats()["bad_record"] == 1
    assert bytes(node.requests.find(puppet.id, 0).peer[56:60]) == rid
    say_neighbors(puppet, node, pair, rid, [], 0, 2)
    request = node.requests.find(puppet.id, 0)  # the whole answer came: another question, or none
    assert request is None or bytes(request.peer[56:60]) != rid


def test_a_timeout_with_one_part_is_a_success_D14():
    link, node, puppet, pair, _ = proven()
    rid = ask_for_neighbors(link, node, puppet, pair)
    say_neighbors(puppet, node, pair, rid, [], 1, 2)
    link.pass_ms(1500)
    assert node.nodes() == [puppet.id] and node.stats()["misses"] == 0


def test_a_proven_peer_gets_two_answers_in_a_second_A13():
    link, node, puppet, pair, token = proven()
    answers = 0
    for i in range(6):
        n = encode_ping(puppet.codec, puppet.out, b"pin%d" % i, puppet.key, pair, False, 9, 0, token, 50)
        answers += len(puppet.say(n, node))
    assert answers == 2 and node.stats()["drop_busy"] == 4
    link.pass_ms(1100)
    n = encode_ping(puppet.codec, puppet.out, b"pin7", puppet.key, pair, False, 9, 0, token, 50)
    assert len(puppet.say(n, node)) == 1


def test_a_node_asks_a_peer_no_more_often_than_it_answers_A13():
    link = Link()
    a = link.add(0)
    b = link.add(1)
    b.add_seed(a.own_id, a.site.ip, PORT)
    link.pass_ms(145000)  # between two of the young table's lookups
    busy = b.stats()["drop_busy"]
    link.sent = []
    for i in range(4):
        lookup = a.find(Named(2 + i % 2).id, link.now)
        before = link.now
        while lookup.is_running:
            link.pass_ms(50)
        assert [found[0] for found in lookup.results()] == [b.own_id]
        assert (ticks_diff(link.now, before) > 500) == (i == 2)  # the third waits for its turn, the others do not
    assert len([d for s, to, d in link.sent if to == b.site.ip]) == 4  # none was repeated
    assert b.stats()["drop_busy"] == busy


def test_one_address_beyond_the_network_causes_one_key_agreement_in_ten_seconds_A13():
    link = Link()
    node = link.add(0, ip=b"\x14\x00\x00\x01")
    link.pass_ms(100)

    def is_tagged(puppet, request_id=b"once"):
        pair = puppet.pair(node)
        n = encode_ping(puppet.codec, puppet.out, request_id, puppet.key, pair, True, 9, 0, None, 50)
        (answer,) = puppet.say(n, node)
        return puppet.hear(answer) == 0 and puppet.codec.is_tagged > 0

    assert is_tagged(Puppet(link, 1, ip=b"\x15\x00\x00\x01"))
    link.now = ticks_add(link.now, 9000)
    assert not is_tagged(Puppet(link, 2, ip=b"\x15\x00\x00\x01"))
    assert is_tagged(Puppet(link, 3, ip=b"\x16\x00\x00\x01"))
    link.now = ticks_add(link.now, 1000)
    assert is_tagged(Puppet(link, 2, ip=b"\x15\x00\x00\x01"), b"more")


def test_strangers_share_five_answers_in_a_second_A13():
    link, node, puppet, pair = ready()
    answers = 0
    for i in range(20):
        n = encode_ping(puppet.codec, puppet.out, b"p%03d" % i, puppet.key, pair, True, 9, 0, None, 50)
        answers += len(puppet.say(n, node))
    assert answers == 5


def test_a_key_agreement_that_ends_before_an_answer_is_sent_leaves_that_answer_alone():
    link, node, puppet, pair, token = proven()
    other = Puppet(link, 2)
    n = encode_ping(other.codec, other.out, b"p001", other.key, other.pair(node), True, 9, 0, None, 50)
    link.deliver(other.out[:n], other.ip, node.site.ip)
    n = encode_ping(puppet.codec, puppet.out, b"mine", puppet.key, pair, False, 9, 0, token, 50)
    link.deliver(puppet.out[:n], puppet.ip, node.site.ip)
    for _ in range(2000):  # as many slices as an agreement takes and more
        node.work()
    before = len(link.sent)
    link.settle()
    answers = {to: data for _, to, data in link.sent[before:]}
    for who, key in ((puppet, pair), (other, other.pair(node))):
        assert who.hear(answers[who.ip]) == 0 and who.codec.is_paired(key)
    assert node.stats()["drop_busy"] == 0


def test_a_second_question_before_an_answer_is_sent_is_dropped_and_leaves_that_answer_alone():
    link, node, puppet, pair, token = proven()
    other = Puppet(link, 2)
    key = other.pair(node)
    other.befriend(node, key)
    n = encode_ping(puppet.codec, puppet.out, b"mine", puppet.key, pair, False, 9, 0, token, 50)
    link.deliver(puppet.out[:n], puppet.ip, node.site.ip)
    n = encode_ping(other.codec, other.out, b"p002", other.key, key, False, 9, 0, None, 50)
    (answer,) = other.say(n, node)
    assert puppet.hear(answer) == 0 and puppet.codec.is_paired(pair)
    assert node.stats()["drop_busy"] == 1


def test_strangers_do_not_use_up_what_proven_peers_have():
    link, node, puppet, pair, token = proven()
    other = Puppet(link, 2)
    key = other.pair(node)
    for i in range(10):
        n = encode_ping(other.codec, other.out, b"p%03d" % i, other.key, key, True, 9, 0, None, 50)
        other.say(n, node)
    n = encode_ping(puppet.codec, puppet.out, b"mine", puppet.key, pair, False, 9, 0, token, 50)
    assert len(puppet.say(n, node)) == 1


def test_without_room_for_a_key_agreement_a_stranger_gets_a_small_pong_with_a_token_A15():
    link, node, puppet, pair = ready(inbound_keys=1)
    other = Puppet(link, 2)
    n = encode_ping(other.codec, other.out, b"p001", other.key, other.pair(node), True, 9, 0, None, 50)
    assert [len(a) for a in other.say(n, node)] == [50]
    n = encode_ping(puppet.codec, puppet.out, b"p002", puppet.key, pair, True, 9, 0, None, 50)
    answers = puppet.say(n, node)
    assert [len(a) for a in answers] == [42]
    assert puppet.hear(answers[0]) == 0 and not puppet.codec.is_tagged
    token = bytes(puppet.buf[puppet.codec.body + 6 : puppet.codec.body + 14])
    assert node.stats()["key_agreements"] == 1 and node.table.entries == 0
    link.pass_ms(2100)
    n = encode_ping(puppet.codec, puppet.out, b"p003", puppet.key, pair, True, 9, 0, token, 50)
    assert [len(a) for a in puppet.say(n, node)] == [50]
    assert node.nodes() == [puppet.id]


def test_the_small_pong_is_answered_by_one_ping_with_its_token():
    link, node, puppet, pair = ready()
    node.add_seed(puppet.id, puppet.ip, PORT)
    link.pass_ms(300)
    for i in range(3):
        puppet.hear(link.sent[-1][2])
        rid = bytes(puppet.buf[14:18])
        before = len(link.sent)
        n = encode_pong(puppet.codec, puppet.out, rid, puppet.key, None, False, node.site.ip, PORT, b"tokentok", 9)
        answers = puppet.say(n, node)
        assert [len(a) for a in answers] == ([72] if i == 0 else [])
        if not answers:
            break
        assert puppet.hear(answers[0]) == 0
        at = puppet.codec.token
        assert bytes(puppet.buf[at : at + 8]) == b"tokentok"
    assert before


def test_beacons_are_hints_four_at_most_and_only_from_the_own_network():
    link, node, puppet, pair = ready(stranger_per_second=100)
    n = encode_beacon(puppet.codec, puppet.out, b"beac", puppet.key, 9, 0)
    puppet.say(n, node, ip=b"\x14\x00\x00\x01")
    assert not node.upkeep._hints
    for i in range(9):
        other = Puppet(link, 1)
        other.codec.own_id = bytes((i,)) + puppet.id[1:]
        n = encode_beacon(other.codec, other.out, b"bea%d" % i, other.key, 9, 0)
        assert other.say(n, node) == []
    assert len(node.upkeep._hints) == 4


def test_who_is_to_be_asked_late_makes_room_for_who_is_to_be_asked_now():
    _, node, _, _ = ready()
    upkeep = node.upkeep
    for i in range(12):
        upkeep._again(bytes((i,)) * 32, bytes((10, 0, 0, 50 + i)), PORT, 20000 + i)
    assert not upkeep.add_hint(b"\x40" * 32, b"\x0a\x00\x00\x40", PORT, node.now, True)  # a beacon is nothing to them
    assert upkeep.add_hint(b"\x41" * 32, b"\x0a\x00\x00\x41", PORT, node.now)
    assert [hint[0][0] for hint in upkeep._hints] == list(range(11)) + [0x41]
    upkeep._again(b"\x42" * 32, b"\x0a\x00\x00\x42", PORT, 30000)
    assert [hint[0][0] for hint in upkeep._hints] == list(range(11)) + [0x41]


def test_two_own_pings_are_on_the_way_at_most_D39():
    link, node, puppet, pair = ready(pending=8)
    for i in range(6):
        node.add_seed(bytes((i,)) + puppet.id[1:], bytes((10, 0, 0, 50 + i)), PORT)
    link.pass_ms(1200)  # before the first of them is tried again
    assert len({to for s, to, d in link.sent}) == 2


def test_strangers_to_the_mesh_get_nothing_and_leave_nothing():
    link, node, _, _ = ready()
    state = 1
    for i in range(300):
        data = bytearray(42 + i)
        for j in range(len(data)):
            state = (state * 1103 + 12345) & 0xFFFFFF
            data[j] = state >> 12 & 0xFF
        if i & 1:
            data[0] = 0x11
        link.deliver(bytes(data), b"\x0a\x00\x00\x4d", node.site.ip)
        link.settle()
    assert not link.sent and node.table.entries == 0
    stats = node.stats()
    assert stats["received"] == 300
    assert stats["drop_version"] + stats["drop_implausible"] + stats["drop_forged"] == 300


def test_find_node_is_answered_with_four_records_for_50_bytes_and_never_more_than_fourfold_A4():
    link, node, puppet, pair, token = proven()
    for i in range(10):
        id32 = bytes((i * 16,)) + bytes(30) + b"\x01"
        record = node.table.keep(id32, 0, pair, 0, node.uptime)
        if node.table.admit(record, At(bytes((10, 0, 1, i + 1)), PORT), node.uptime):
            node.table.credit(record, node.uptime)
    for size, total in ((50, 199), (61, 240), (74, 281), (300, 0)):
        link.now = ticks_add(link.now, 1000)
        node.tick(link.now)
        n = encode_find_node(
            puppet.codec, puppet.out, bytes((size & 0xFF, 1, 2, 3)), puppet.key, pair, False, token, bytes(8), 0, size
        )
        assert n == size
        answers = puppet.say(n, node)
        answers = [a for a in answers if puppet.hear(a) == 0 and puppet.codec.type == 4]
        assert 1 <= len(answers) <= 2
        got = sum(len(a) for a in answers)
        assert got <= 4 * n and (not total or got == total)
