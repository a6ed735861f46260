"""Endpoint proof and everything that must not pass for one (rows D8-D12, D25; attacks A4, A5, A7)."""

from forms import Exchange, encode_find_node, encode_ping, encode_pong
from link import PORT, Link, Puppet, small
from picoswarm.compat import ticks_add

RUNTIMES = ("cpython", "board")

TARGET = bytes(8)


def ready(**changes):
    """A node whose table is initialised, and a puppet with its pair key."""
    link = Link()
    node = link.add(0, small(**changes))
    link.pass_ms(100)
    puppet = Puppet(link, 1)
    return link, node, puppet, puppet.pair(node)


def ping(puppet, pair, request_id=b"aaaa", token=None, is_full=True):
    return encode_ping(puppet.codec, puppet.out, request_id, puppet.key, pair, is_full, 7000, 0, token, 50)


def find(puppet, pair, token, request_id=b"ffff", is_full=False):
    return encode_find_node(puppet.codec, puppet.out, request_id, puppet.key, pair, is_full, token, TARGET, 0, 50)


def test_a_ping_draws_one_pong_no_ping_back_and_no_entry():
    link, node, puppet, pair = ready()
    answers = puppet.say(ping(puppet, pair), node)
    assert [len(a) for a in answers] == [50]
    assert puppet.hear(answers[0]) == 0 and puppet.codec.type == 2
    assert puppet.codec.is_paired(pair)
    body = puppet.codec.body
    assert bytes(puppet.buf[body : body + 6]) == puppet.ip + bytes((PORT >> 8, PORT & 0xFF))
    link.pass_ms(5000)
    assert node.table.entries == 0 and len([1 for s, to, d in link.sent if s == node.site.ip]) == 1


def test_a_ping_with_our_token_proves_its_sender():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    puppet.say(ping(puppet, pair, token=token, is_full=False), node)
    assert node.nodes() == [puppet.id]
    assert node.contact(puppet.id) == (puppet.ip, PORT, 7000)


def test_find_node_with_our_token_proves_its_sender_and_is_answered():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    answers = puppet.say(find(puppet, pair, token), node)
    assert len(answers) == 1 and puppet.hear(answers[0]) == 0
    assert puppet.codec.type == 4 and len(answers[0]) == 42  # nobody to name: the asker is not named to itself
    assert node.nodes() == [puppet.id]


def test_who_is_proven_by_its_find_node_can_be_dialed_at_the_tcp_port_of_its_first_ping():
    """Its table entry had none for minutes, until revalidation came to it, and nobody dialed it meanwhile."""
    link, node, puppet, pair = ready()
    assert puppet.hear(puppet.say(ping(puppet, pair), node)[0]) == 0
    at = puppet.codec.body + 6
    puppet.say(find(puppet, pair, bytes(puppet.buf[at : at + 8])), node)
    assert node.contact(puppet.id) == (puppet.ip, PORT, 7000)


def test_a_ping_without_our_token_changes_no_entry():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    puppet.say(ping(puppet, pair, token=token, is_full=False), node)
    puppet.say(encode_ping(puppet.codec, puppet.out, b"bbbb", puppet.key, pair, False, 7001, 0, None, 50), node)
    assert node.contact(puppet.id) == (puppet.ip, PORT, 7000)


def test_find_node_before_proof_gets_no_neighbors_D11():
    link, node, puppet, pair = ready()
    assert puppet.say(find(puppet, pair, bytes(8), is_full=True), node) == []
    assert puppet.say(find(puppet, pair, bytes(8)), node) == []
    stats = node.stats()
    assert stats["wrong_token"] == 1 and stats["drop_unknown_sender"] == 1 and node.table.entries == 0


def test_find_node_with_a_wrong_token_earns_a_pong_with_a_new_one():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    answers = puppet.say(find(puppet, pair, b"badtoken"), node)
    assert len(answers) == 1 and len(answers[0]) == 50
    assert puppet.hear(answers[0]) == 0 and puppet.codec.type == 2
    assert bytes(puppet.buf[14:18]) == b"ffff"
    assert bytes(puppet.buf[puppet.codec.body + 6 : puppet.codec.body + 14]) == token
    assert node.table.entries == 0


def test_a_token_is_good_at_its_own_address_and_port_only():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    n = find(puppet, pair, token)
    data = bytes(puppet.out[:n])
    puppet.say(n, node, ip=b"\x0a\x00\x00\x4d")
    assert node.table.entries == 0
    puppet.out[:n] = data
    n = find(puppet, pair, token, b"fff2")
    puppet.say(n, node, port=PORT + 1)
    assert node.table.entries == 0 and node.stats()["wrong_token"] == 2


def test_tokens_rotate_after_2_hours_and_the_one_before_stays_good():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    hour = 3600 * 1000
    for _ in range(3):  # within the ticks' range, as a driver does
        link.now = ticks_add(link.now, hour)
        node.tick(link.now)
    puppet.say(find(puppet, pair, token, b"fff1"), node)
    assert node.nodes() == [puppet.id]
    for _ in range(2):
        link.now = ticks_add(link.now, hour)
        node.tick(link.now)
    wrong = node.stats()["wrong_token"]
    puppet.say(find(puppet, pair, token, b"fff2"), node)
    assert node.stats()["wrong_token"] == wrong + 1


def test_a_spoofed_pong_proves_nothing_A5():
    link, node, puppet, pair = ready()
    assert node.add_seed(puppet.id, puppet.ip, PORT)
    link.pass_ms(500)
    assert puppet.hear(link.sent[-1][2]) == 0 and puppet.codec.type == 1
    request_id = bytes(puppet.buf[14:18])
    liar = Puppet(link, 2)

    def pong(who, key, rid, tcp_port=1):
        ip = node.site.ip
        return encode_pong(who.codec, who.out, rid, who.key, key, False, ip, PORT, bytes(8), tcp_port)

    puppet.say(pong(puppet, pair, b"none"), node)  # nobody asked
    puppet.say(pong(puppet, bytearray(16), request_id), node)  # wrong pair tag
    liar.say(pong(liar, liar.pair(node), request_id), node, ip=puppet.ip)  # another id
    puppet.say(pong(puppet, pair, request_id), node, ip=b"\x0a\x00\x00\x4d")  # another address
    assert node.table.entries == 0
    stats = node.stats()
    assert stats["drop_unasked"] == 3 and stats["drop_wrong_tag"] == 1
    puppet.say(pong(puppet, pair, request_id, 2), node)
    assert node.nodes() == [puppet.id]


def test_before_a_first_ping_was_repeated_one_request_id_is_right_A5():
    """Who repeats a first PING takes the answer to the one before, too. Where there was none, no id stands for it: whoever
    knew that one would be proven where it hears nothing."""
    link, node, puppet, pair = ready()
    node.add_seed(puppet.id, puppet.ip, PORT)
    link.pass_ms(500)
    n = encode_pong(puppet.codec, puppet.out, bytes(4), puppet.key, pair, False, node.site.ip, PORT, bytes(8), 1)
    puppet.say(n, node)
    assert node.table.entries == 0 and node.stats()["drop_unasked"] == 1
    puppet.hear(link.sent[-1][2])
    before = bytes(puppet.buf[14:18])
    link.pass_ms(2000)  # asked again meanwhile
    n = encode_pong(puppet.codec, puppet.out, before, puppet.key, pair, False, node.site.ip, PORT, bytes(8), 1)
    puppet.say(n, node)
    assert node.nodes() == [puppet.id]


def test_a_relayed_pong_that_saw_another_address_proves_nothing():
    link, node, puppet, pair = ready()
    node.add_seed(puppet.id, puppet.ip, PORT)
    link.pass_ms(500)
    puppet.hear(link.sent[-1][2])
    rid = bytes(puppet.buf[14:18])
    n = encode_pong(puppet.codec, puppet.out, rid, puppet.key, pair, False, b"\x0a\x00\x00\x4d", PORT, bytes(8), 1)
    puppet.say(n, node)
    assert node.table.entries == 0 and node.stats()["seen_elsewhere"] == 1


def test_a_reflected_datagram_is_dropped_A20():
    link, node, puppet, pair = ready()
    node.add_seed(puppet.id, puppet.ip, PORT)
    link.pass_ms(500)
    data = link.sent[-1][2]
    link.deliver(data, puppet.ip, node.site.ip)
    link.settle()
    assert node.stats()["drop_own_id"] == 1


def test_a_replayed_datagram_is_dropped_A7():
    link, node, puppet, pair = ready()
    n = ping(puppet, pair)
    data = bytes(puppet.out[:n])
    assert len(puppet.say(n, node)) == 1
    link.deliver(data, puppet.ip, node.site.ip)
    link.settle()
    assert node.stats()["drop_repeated"] == 1


def test_an_endpoint_is_not_hijacked_by_a_replay_D25_A7():
    link, node, puppet, pair = ready(repeats=1)
    token = puppet.befriend(node, pair)
    n = find(puppet, pair, token)
    recorded = bytes(puppet.out[:n])
    puppet.say(n, node)
    assert node.contact(puppet.id)[0] == puppet.ip
    puppet.say(ping(puppet, pair, b"bbbb", token), node)  # the ring forgets
    link.deliver(recorded, b"\x0a\x00\x00\x4d", node.site.ip)
    link.pass_ms(10000)
    assert node.contact(puppet.id) is None or node.contact(puppet.id)[0] == puppet.ip


def test_a_second_proven_address_moves_the_entry_only_when_the_old_one_is_silent_D25():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    puppet.say(find(puppet, pair, token), node)
    old, new = puppet.ip, b"\x0a\x00\x00\x4d"
    puppet.ip = new
    token = puppet.befriend(node, pair)
    sent = len(link.sent)
    puppet.say(find(puppet, pair, token, b"fff1"), node)
    assert node.contact(puppet.id)[0] == old
    link.pass_ms(3500)
    pings = [to for s, to, d in link.sent[sent:] if s == node.site.ip and to == old]
    assert len(pings) == 2
    assert node.contact(puppet.id)[0] == new


def test_an_8_byte_sender_that_is_in_neither_table_nor_cache_is_dropped():
    link, node, puppet, pair = ready()
    assert puppet.say(ping(puppet, pair, is_full=False), node) == []
    assert node.stats()["drop_unknown_sender"] == 1


def test_who_was_forgotten_and_comes_back_costs_no_second_key_agreement():
    link, node, puppet, pair = ready()
    token = puppet.befriend(node, pair)
    puppet.say(find(puppet, pair, token), node)
    agreements = node.stats()["key_agreements"]
    assert node.table.entries == 1
    link.pass_ms(300_000)  # and it says nothing
    assert node.table.entries == 0 and node.nodes() == []
    back = puppet.say(ping(puppet, pair, b"back", token, False), node, port=PORT + 1)  # from another port of its router
    assert len(back) == 1 and puppet.hear(back[0]) == 0 and puppet.codec.is_paired(pair)
    assert node.table.entries == 0 and node.stats()["key_agreements"] == agreements
    puppet.say(ping(puppet, pair, b"here", token, False), node)
    assert node.nodes() == [puppet.id]


def test_the_own_id_as_sender_is_dropped_D7():
    link, node, _, pair = ready()
    twin = Puppet(link, 0, ip=b"\x0a\x00\x00\x09")
    for is_full in (True, False):
        assert twin.say(ping(twin, pair, b"aa%d" % is_full + b"a", None, is_full), node) == []
    assert node.stats()["drop_own_id"] == 2


def test_no_answer_goes_to_a_low_port_or_a_special_address_D17():
    link, node, puppet, pair = ready()
    for ip, port in ((puppet.ip, 53), (puppet.ip, 1024), (b"\xe0\x00\x00\x01", PORT), (bytes(4), PORT)):
        assert puppet.say(ping(puppet, pair, bytes((port & 0xFF,)) + ip[:3]), node, ip=ip, port=port) == []
    assert node.stats()["drop_bad_source"] == 4


def test_request_ids_are_fresh_in_every_ping_retries_included():
    seen = set()
    for boot in range(3):
        link = Link()
        node = link.add(0)
        node.rng._state = boot * 99 + 5  # a reboot draws anew
        puppet = Puppet(link, 1)
        node.add_seed(puppet.id, puppet.ip, PORT)
        link.pass_ms(5000)
        for s, to, data in link.sent:
            assert puppet.hear(data) == 0 and puppet.codec.type == 1
            seen.add(bytes(puppet.buf[14:18]))
    assert len(seen) == 9  # three tries in each life


def test_no_answer_is_larger_than_what_a_stranger_sent_A4():
    link, node, puppet, pair = ready(bootstrap=1)
    for make in (
        lambda: ping(puppet, pair, b"a001"),
        lambda: encode_ping(puppet.codec, puppet.out, b"a002", puppet.key, None, True, 0, 0, None, 74),
        lambda: find(puppet, pair, bytes(8), b"a003"),
        lambda: find(puppet, pair, bytes(8), b"a004", True),
    ):
        n = make()
        assert sum(len(a) for a in puppet.say(n, node)) <= n


def test_a_request_shorter_than_its_answer_gets_none_where_nothing_is_proven_A4():
    link, node, puppet, pair = ready(bootstrap=1)

    def short(kind, size, body, key=pair, is_full=False):
        at = puppet.codec.start(puppet.out, kind, Exchange(bytes((size, kind, is_full, 7)), puppet.key, key, is_full))
        puppet.out[at : at + body] = bytes(body)
        return puppet.codec.pad(puppet.out, at + body, size)

    def answers(n, **source):
        link.pass_ms(2000)
        before = node.stats()["drop_implausible"]
        sizes = [len(answer) for answer in puppet.say(n, node, **source)]
        return sizes, node.stats()["drop_implausible"] - before

    token = puppet.befriend(node, pair)
    for size in (42, 45, 49):
        assert answers(short(1, size, 6)) == ([], 1)
    assert answers(short(1, 50, 6)) == ([50], 0)
    for size in (56, 65):
        assert answers(short(1, size, 6, None, True)) == ([], 1)
    assert answers(short(1, 66, 6, None, True)) == ([66], 0)
    ipv6 = b"\x20\x01" + bytes(13) + b"\x09"
    for kind, body in ((1, 6), (3, 16)):  # a PONG over IPv6 has 12 more
        assert answers(short(kind, 61, body), ip=ipv6) == ([], 1)
        assert answers(short(kind, 62, body), ip=ipv6) == ([62], 0)
    assert answers(short(1, 77, 6, None, True), ip=ipv6) == ([], 1)
    assert answers(short(1, 78, 6, None, True), ip=ipv6) == ([78], 0)
    # Over IPv4 a FIND_NODE is never shorter; with a good token it is no stranger's, and its answer is measured by it.
    assert answers(find(puppet, pair, token)) == ([42], 0)
