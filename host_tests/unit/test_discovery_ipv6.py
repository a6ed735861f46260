"""IPv6 through the discovery engine, as the gateway has it; board tables are IPv4."""

from forms import encode_find_node, encode_ping, encode_pong, put_record, seal, start_neighbors
from link import PORT, Link, Puppet
from picoswarm_gateway.profile import gateway_profile

RUNTIMES = ("cpython",)

MAPPED = bytes(10) + b"\xff\xff"


def ip6(last):
    """A global address, each in a /48 of its own."""
    return b"\x20\x01\x04\x70\x00" + bytes((last,)) + bytes(9) + b"\x01"


def gateways(count):
    """Engines that know the first one's address, after half a minute."""
    link = Link()
    for i in range(count):
        link.add(i, gateway_profile(beacon=0, start_ms=1), ip=ip6(i))
    for node in link.nodes[1:]:
        node.add_bootstrap(ip6(0), PORT)
    link.pass_ms(30_000)
    return link


def proven(puppet, node, pair):
    """Let a puppet prove itself to an engine by its token, from the puppet's own address."""
    token = b""
    for _ in range(2):
        size = 50 if len(puppet.ip) == 4 else 62
        rid = bytes((len(token),)) * 4
        n = encode_ping(puppet.codec, puppet.out, rid, puppet.key, pair, True, 0, 0, token or None, size)
        (answer,) = puppet.say(n, node)
        assert puppet.hear(answer) == 0 and puppet.codec.is_paired(pair)
        assert bool(puppet.buf[13] & 0x20) == (len(puppet.ip) == 16 and puppet.ip[:12] != MAPPED)
        assert len(answer) == (62 if puppet.buf[13] & 0x20 else 50)
        at = puppet.codec.body + (18 if puppet.buf[13] & 0x20 else 6)
        token = bytes(puppet.buf[at : at + 8])
        puppet.link.pass_ms(1000)
    return token


def neighbors(puppet, node, pair, token, size):
    """Sizes of the records that an engine names for a puppet's FIND_NODE, largest last."""
    n = encode_find_node(puppet.codec, puppet.out, b"find", puppet.key, pair, False, token, node.own_id, 0, size)
    sizes = []
    for answer in puppet.say(n, node):
        assert puppet.hear(answer) == 0 and puppet.codec.type == 4
        at = puppet.codec.body + 1
        while at + 41 <= puppet.codec.end:  # less is padding
            sizes.append(53 if puppet.buf[at] & 1 else 41)
            at += sizes[-1]
            assert at <= puppet.codec.end
    return sorted(sizes)


def test_two_nodes_meet_over_ipv6():
    a, b = gateways(2).nodes
    assert a.nodes() == [b.own_id] and b.nodes() == [a.own_id]
    assert a.contact(b.own_id)[:2] == (ip6(1), PORT)
    assert b.contact(a.own_id)[:2] == (ip6(0), PORT)


def test_a_third_node_is_found_by_a_record_of_53_bytes():
    link = gateways(3)
    ids = {node.own_id for node in link.nodes}
    for node in link.nodes:
        assert set(node.nodes()) == ids - {node.own_id}
    sizes = {len(data) for _, _, data in link.sent}
    assert 35 + 53 in sizes  # NEIGHBORS with one record
    assert 62 in sizes and max(sizes) <= 512


def test_a_lookup_ends_with_the_ipv6_node():
    link = gateways(3)
    lookup = link.nodes[1].find(link.nodes[2].own_id, link.now)
    link.pass_ms(5_000)
    assert lookup.is_found
    assert lookup.results()[0][:3] == (link.nodes[2].own_id, ip6(2), PORT)


def test_a_mapped_address_is_the_ipv4_address_D18():
    link = gateways(1)
    (node,) = link.nodes
    puppet = Puppet(link, 1, ip=MAPPED + b"\x0a\x00\x00\x02")
    proven(puppet, node, puppet.pair(node))
    assert node.contact(puppet.id)[:2] == (b"\x0a\x00\x00\x02", PORT)


def test_records_of_both_kinds_go_to_an_asker_over_ipv6_and_only_ipv4_ones_to_the_other():
    link = gateways(2)
    node = link.nodes[0]  # it knows one node over IPv6
    old = Puppet(link, 2, ip=b"\x08\x08\x08\x08")
    new = Puppet(link, 3, ip=ip6(9))
    pairs = {each: each.pair(node) for each in (old, new)}
    tokens = {each: proven(each, node, pairs[each]) for each in (old, new)}
    assert len(node.nodes()) == 3
    assert neighbors(new, node, pairs[new], tokens[new], 62) == [41, 53]
    assert neighbors(old, node, pairs[old], tokens[old], 50) == []


def test_a_board_table_takes_no_ipv6_record():
    link = Link()
    node = link.add(0)
    link.pass_ms(100)
    puppet = Puppet(link, 1)
    pair = puppet.pair(node)
    token = proven(puppet, node, pair)
    lookup = node.find(puppet.id[:31] + b"\x01", link.now, True)
    link.settle()
    while puppet.hear(link.sent[-1][2]) == 0 and puppet.codec.type == 1:  # it asks for our word first
        rid = bytes(puppet.buf[14:18])
        n = encode_pong(puppet.codec, puppet.out, rid, puppet.key, pair, False, node.site.ip, PORT, token, 0)
        puppet.say(n, node)
    assert puppet.codec.type == 3
    at = start_neighbors(puppet.codec, puppet.out, bytes(puppet.buf[14:18]), 0, 1)
    at = put_record(puppet.out, at, 1, b"\x07" * 32, 0, ip6(7), PORT, 0)
    puppet.say(seal(puppet.codec, puppet.out, at, puppet.key, 42, pair), node)
    assert node.stats()["bad_record"] == 1
    link.pass_ms(3_000)
    assert not lookup.is_running and {result[0] for result in lookup.results()} <= {puppet.id}
