"""The datagram envelope and the layout of the messages (docs/protocol.md 2 and 3)."""

from forms import encode_beacon, encode_find_node, encode_ping, encode_pong, put_record, seal, start, start_neighbors
from picoswarm.datagram import Codec, beyond_of, size_for
from picoswarm.membership import Membership, NetworkKey

RUNTIMES = ("cpython", "micropython", "board")

PING, PONG, FIND_NODE, NEIGHBORS, BEACON = 1, 2, 3, 4, 5
OPENED, BAD_SIZE, BAD_VERSION, IMPLAUSIBLE, FORGED, REPEATED = 0, 1, 2, 3, 4, 5

ID = b"\x11" * 32
PAIR = bytearray(b"pairpairpairpair")
RID = b"rid0"
TOKEN = b"tokentok"
IP4 = b"\x0a\x00\x00\x01"
IP6 = b"\x20\x01" + bytes(13) + b"\x01"


def keys(epoch=1, seed=0):
    return NetworkKey(bytes(range(seed, seed + 32)), epoch)


key = keys()
members = Membership(key)
out = bytearray(512)


def codec():
    return Codec(members, ID, 4)


def receiver():
    return Codec(members, bytes(32), 4)


def neighbors(records, ip):
    c = codec()
    at = start_neighbors(c, out, RID, 0, 1)
    for i in range(records):
        at = put_record(out, at, 4, b"\x33" * 32, 0, ip, 5000 + i, 6000)
    return seal(c, out, at, key, 42, PAIR)


def test_every_message_has_the_size_that_the_protocol_states():
    c = codec()
    assert encode_ping(c, out, RID, key, PAIR, True, 1, 2, None, 50) == 64
    assert encode_ping(c, out, RID, key, PAIR, True, 1, 2, TOKEN, 50) == 72
    assert encode_ping(c, out, RID, key, PAIR, False, 1, 2, TOKEN, 50) == 50
    assert encode_ping(c, out, RID, key, PAIR, False, 1, 2, TOKEN, 62) == 62
    assert encode_ping(c, out, RID, key, None, True, 1, 2, None, 74) == 74
    assert encode_pong(c, out, RID, key, PAIR, False, IP4, 1, TOKEN, 2) == 50
    assert encode_pong(c, out, RID, key, PAIR, False, IP6, 1, TOKEN, 2) == 62
    assert encode_pong(c, out, RID, key, PAIR, True, IP4, 1, TOKEN, 2) == 74
    assert encode_pong(c, out, RID, key, PAIR, True, IP6, 1, TOKEN, 2) == 86
    assert encode_pong(c, out, RID, key, None, False, IP4, 1, TOKEN, 2) == 42
    assert encode_pong(c, out, RID, key, None, False, IP6, 1, TOKEN, 2) == 54
    assert encode_find_node(c, out, RID, key, PAIR, False, TOKEN, TOKEN, 0, 50) == 50
    assert encode_find_node(c, out, RID, key, PAIR, False, TOKEN, TOKEN, 1, 50) == 53
    assert encode_find_node(c, out, RID, key, PAIR, True, TOKEN, TOKEN, 0, 50) == 74
    assert encode_beacon(c, out, RID, key, 1, 2) == 64
    assert neighbors(4, IP4) == 199
    assert neighbors(4, IP6) == 247
    assert neighbors(11, IP4) == 486
    assert neighbors(9, IP6) == 512


def test_four_records_need_no_padding_and_more_are_paid_for():
    assert size_for(4, 0) == 50
    assert size_for(4, 1) == 62
    for records in range(1, 17):
        size = size_for(records, 0)
        parts = 1 if records <= 11 else 2
        assert 35 * parts + 41 * records <= 4 * size


def test_a_datagram_opens_to_what_was_sealed():
    c = codec()
    n = encode_ping(c, out, RID, key, PAIR, True, 4660, 772, TOKEN, 50)
    assert out[0] == 0x11
    reader = receiver()
    assert reader.open(out, n) == OPENED
    assert (reader.type, reader.key) == (PING, key) and reader.is_full and reader.is_tagged
    assert bytes(out[18:50]) == ID
    assert bytes(out[14:18]) == RID
    assert bytes(out[reader.body : reader.body + 6]) == b"\x12\x34\x03\x04\x00\x00"
    assert bytes(out[reader.token : reader.token + 8]) == TOKEN
    assert reader.is_paired(PAIR)
    assert not reader.is_paired(bytearray(16))


def test_each_type_is_told_from_its_first_byte():
    c = codec()
    for kind, n in (
        (PONG, encode_pong(c, bytearray(512), RID, key, PAIR, False, IP4, 1, TOKEN, 2)),
        (FIND_NODE, encode_find_node(c, bytearray(512), RID, key, PAIR, False, TOKEN, TOKEN, 0, 50)),
    ):
        assert n == 50 and kind
    reader = receiver()
    n = encode_find_node(c, out, RID, key, PAIR, False, TOKEN, ID, 0x123456, 50)
    assert reader.open(out, n) == OPENED and reader.type == FIND_NODE
    assert beyond_of(reader) == 0x123456
    n = encode_find_node(c, out, RID, key, PAIR, False, TOKEN, ID, 0, 62)
    assert reader.open(out, n) == OPENED and beyond_of(reader) == 0
    n = neighbors(2, IP4)
    assert reader.open(out, n) == OPENED and reader.type == NEIGHBORS
    n = encode_beacon(c, out, RID, key, 1, 2)
    assert reader.open(out, n) == OPENED and reader.type == BEACON and not reader.is_tagged


def test_wrong_sizes_versions_and_epochs_are_dropped():
    c = codec()
    n = encode_ping(c, out, RID, key, PAIR, True, 1, 2, None, 50)
    sealed = bytes(out[:n])
    reader = receiver()
    for size in (0, 1, 13, 41):
        assert reader.open(bytearray(sealed[:size] + bytes(max(0, size - n))), size) == BAD_SIZE
    assert reader.open(bytearray(600), 513) == BAD_SIZE
    for first in (0x01, 0x21, 0xF1, 0x12, 0x10):
        assert reader.open(bytearray((first,)) + bytearray(sealed[1:]), n) == BAD_VERSION


def test_one_flipped_bit_anywhere_is_dropped():
    c = codec()
    n = encode_ping(c, out, RID, key, PAIR, True, 1, 2, None, 50)
    sealed = bytes(out[:n])
    reader = receiver()
    for i in range(n):
        forged = bytearray(sealed)
        forged[i] ^= 1
        assert reader.open(forged, n) in (BAD_VERSION, IMPLAUSIBLE, FORGED)


def test_a_wrong_network_key_opens_nothing():
    n = encode_ping(codec(), out, RID, key, PAIR, True, 1, 2, None, 50)
    stranger = Codec(Membership(keys(seed=1)), ID, 4)
    assert stranger.open(out, n) in (IMPLAUSIBLE, FORGED)


def test_a_datagram_that_comes_twice_is_dropped_until_the_ring_forgot_it_A7():
    c = codec()
    reader = receiver()
    n = encode_ping(c, out, RID, key, PAIR, True, 1, 2, None, 50)
    first = bytes(out[:n])
    assert reader.open(bytearray(first), n) == OPENED
    assert reader.open(bytearray(first), n) == REPEATED
    for i in range(4):
        n = encode_ping(c, out, bytes((i, 1, 2, 3)), key, PAIR, True, 1, 2, None, 50)
        assert reader.open(out, n) == OPENED
    assert reader.open(bytearray(first), len(first)) == OPENED


def test_a_message_shorter_than_its_fixed_part_is_dropped_and_a_longer_one_is_read_D38():
    c = codec()
    reader = receiver()
    at = start(c, out, FIND_NODE | 0x40, RID)
    n = seal(c, out, at + 15, key, 0, PAIR)
    assert reader.open(out, n) == IMPLAUSIBLE
    at = start(c, out, FIND_NODE | 0x40, RID)
    n = seal(c, out, at + 16, key, 300, PAIR)
    assert n == 300 and reader.open(out, n) == OPENED


def test_types_and_flags_that_cannot_be_are_dropped():
    c = codec()
    reader = receiver()
    for kind in (0, 6, 15, 0xC0, FIND_NODE, NEIGHBORS, PING, BEACON, BEACON | 0xC0):
        at = start(c, out, kind, RID)
        n = seal(c, out, at + 40, key)
        assert reader.open(out, n) == IMPLAUSIBLE, kind


def test_the_pair_tag_is_bound_to_the_epoch():
    c = codec()
    n = encode_ping(c, out, RID, key, PAIR, True, 1, 2, None, 50)
    tag = bytes(_opened(out, n, key)[n - 8 : n])
    other = keys(epoch=2, seed=1)
    n = encode_ping(c, out, RID, other, PAIR, True, 1, 2, None, 50)
    assert bytes(_opened(out, n, other)[n - 8 : n]) != tag


def _opened(buf, n, network_key):
    buf = bytearray(buf)
    assert Codec(Membership(network_key), bytes(32), 4).open(buf, n) == OPENED
    return buf
