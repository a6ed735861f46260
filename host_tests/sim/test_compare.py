"""The byte models of other protocols, against the sizes that were measured by encoding them elsewhere."""

from random import Random

import pytest
from picoswarm_tools.sim.compare import Discv4, Mainline, bencode, lookup, rlp


def test_rlp_of_the_specification():
    assert rlp(b"dog") == b"\x83dog"
    assert rlp([b"cat", b"dog"]) == b"\xc8\x83cat\x83dog"
    assert rlp(b"") == rlp(0) == b"\x80"
    assert rlp(15) == b"\x0f"
    assert rlp(1024) == b"\x82\x04\x00"
    assert rlp([[], [[]], [[], [[]]]]) == bytes.fromhex("c7c0c1c0c3c0c1c0")
    text = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"
    assert rlp(text) == b"\xb8\x38" + text


def test_bencode_of_bep_5():
    ping = {b"t": b"aa", b"y": b"q", b"q": b"ping", b"a": {b"id": b"abcdefghij0123456789"}}
    assert bencode(ping) == b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"
    error = {b"t": b"aa", b"y": b"e", b"e": [201, b"A Generic Error Ocurred"]}
    assert bencode(error) == b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee"


def test_message_sizes():
    discv4 = Discv4()
    assert (discv4.ping(), discv4.pong(), discv4.query()) == (134, 154, 171)
    assert discv4.answer(16) == 1057 + 425
    assert discv4.first_contact(is_alive=True) == 576
    mainline = Mainline()
    assert (mainline.ping(), mainline.pong(), mainline.query(), mainline.answer(8)) == (56, 47, 92, 266)


@pytest.mark.parametrize("protocol", [Discv4(), Mainline()])
def test_a_lookup_over_full_tables_finds_the_closest(protocol):
    rng = Random(5)
    ids = [rng.getrandbits(256) for _ in range(100)]
    tables = {node: [other for other in ids if other != node] for node in ids}
    for _ in range(20):
        target = rng.getrandbits(256)
        cost = lookup(protocol, tables, ids[0], tables[ids[0]], target)
        expected = sorted(ids[1:], key=lambda node: node ^ target)[: protocol.k]
        assert cost.closest == expected
        assert cost.queries == protocol.k
        assert cost.known_bytes == protocol.k * (protocol.query() + protocol.answer(protocol.k))


def test_silent_nodes_cost_their_query_and_are_not_found():
    rng = Random(6)
    ids = [rng.getrandbits(256) for _ in range(100)]
    live = ids[:70]
    tables = {node: [other for other in ids if other != node] for node in live}
    target = rng.getrandbits(256)
    for protocol in (Discv4(), Mainline()):
        cost = lookup(protocol, tables, ids[0], tables[ids[0]], target)
        assert set(cost.closest) <= set(live)
        answered = [node for node in cost.closest if node in tables]
        assert cost.known_bytes == cost.queries * protocol.query() + len(answered) * protocol.answer(protocol.k)
    assert len(cost.closest) == 8
    assert cost.queries > 8


def ideal_tables(ids, k, rng):
    """Full k-buckets: k random nodes of every log distance."""
    tables = {}
    for node in ids:
        buckets = {}
        for other in rng.sample(ids, len(ids)):
            bucket = buckets.setdefault((node ^ other).bit_length(), [])
            if other != node and len(bucket) < k:
                bucket.append(other)
        tables[node] = [other for bucket in buckets.values() for other in bucket]
    return tables


@pytest.mark.parametrize(
    ("protocol", "lookup_kb", "join_kb"),
    [(Discv4(), 29.8, 42.4), (Mainline(), 3.9, 4.3)],  # an independent simulation of the same rules at N = 1,000
)
def test_cost_at_a_thousand_nodes_with_ideal_tables(protocol, lookup_kb, join_kb):
    rng = Random(7)
    ids = [rng.getrandbits(256) for _ in range(1000)]
    tables = ideal_tables(ids, protocol.k, rng)
    known, cold = [], []
    for _ in range(100):
        own = rng.choice(ids)
        known.append(lookup(protocol, tables, own, tables[own], rng.getrandbits(256)).known_bytes)
        joiner = rng.getrandbits(256)
        cold.append(lookup(protocol, tables, joiner, [rng.choice(ids)], joiner).cold_bytes)
    assert sum(known) / len(known) / 1000 == pytest.approx(lookup_kb, rel=0.1)
    assert sum(cold) / len(cold) / 1000 == pytest.approx(join_kb, rel=0.1)
