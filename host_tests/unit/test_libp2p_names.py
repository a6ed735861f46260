"""Who and where a libp2p peer is: keys, peer ids, multiaddresses, and the messages that they stand in."""

from picoswarm.identify import decode_identify, encode_identify
from picoswarm.multiaddr import address_text, decode_address, encode_address, parse_address, tcp_address
from picoswarm.peerid import parse_peer, peer_text
from picoswarm.peerkey import decode_key, encode_key, node_id, peer_id
from picoswarm.protobuf import decode_fields, encode_fields, last_of, read_varint, varint
from support import unhex

RUNTIMES = ("cpython", "micropython")

# The vector of the libp2p specifications for Ed25519, and the texts of their page on peer ids.
_KEY = unhex("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
_MESSAGE = unhex("08011220") + _KEY
_INLINE = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
_HASHED = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
_HASHED_CID = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"


def test_numbers_of_every_size_come_back():
    for value in (0, 1, 127, 128, 300, 0x3FFFFFFF, 2**32 - 1, 2**63):
        data = varint(value)
        assert read_varint(data, 0, len(data)) == (value, len(data))
        assert read_varint(data, 0, len(data) - 1) == (0, 0)
    assert read_varint(b"\xff" * 10 + b"\1", 0, 11) == (0, -1)
    assert varint(300) == b"\xac\x02"


def test_fields_come_back_in_their_order_and_malformed_ones_do_not():
    fields = ((1, 5), (2, b"ab"), (2, ""), (17, 2**40), (3, None))
    data = encode_fields(fields)
    assert decode_fields(data) == [(1, 5), (2, b"ab"), (2, b""), (17, 2**40)]
    assert last_of(decode_fields(data), 2) == b"" and last_of(decode_fields(data), 1) is None
    for cut in (1, 3, 4, len(data) - 1):
        assert decode_fields(data[:cut]) is None, cut
    assert decode_fields(b"\x0d\1\2\3\4\x11" + bytes(8) + b"\x08\7") == [(1, 7)]  # fixed sizes are passed over
    assert decode_fields(b"\x0b") is None and decode_fields(b"\x12\xff\xff\xff\xff\x0f") is None


def test_a_node_key_is_the_peer_id_of_the_specification():
    assert encode_key(_KEY) == _MESSAGE
    assert decode_key(_MESSAGE) == (1, _KEY)
    assert node_id(peer_id(_MESSAGE)) == _KEY
    assert peer_text(peer_id(_MESSAGE))[:8] == "12D3KooW"
    assert peer_id(bytes(43))[:2] == b"\x12\x20"  # a long key is hashed
    assert decode_key(b"\x08\1") is None and decode_key(b"junk") is None


def test_peer_ids_are_read_in_all_their_forms():
    assert peer_text(parse_peer(_INLINE)) == _INLINE
    assert peer_text(parse_peer(_HASHED)) == _HASHED
    assert parse_peer(_HASHED_CID) == parse_peer(_HASHED)
    for text in ("", "1", "0", "12D3", _INLINE[:-1], _INLINE + "1", "bafz", "l" * 46, "1" * 200, "b" + "a" * 50):
        assert parse_peer(text) is None, text


def test_addresses_come_back_as_text_and_as_bytes():
    for text, data in (
        ("/ip4/127.0.0.1/tcp/4001", "047f000001060fa1"),
        ("/dns4/a.b/tcp/443/wss", "3603612e6206" + "01bb" + "de03"),
        ("/ip4/1.2.3.4/udp/4001/quic-v1", "0401020304" + "9102" + "0fa1" + "cd03"),
    ):
        parts = parse_address(text)
        assert encode_address(parts) == unhex(data)
        assert decode_address(unhex(data)) == parts
        assert address_text(parts) == text
    six = decode_address(unhex("2920010db8" + "00" * 11 + "01" + "060fa1"))
    assert address_text(six) in ("/ip6/2001:db8::1/tcp/4001", "/ip6/2001:db8:0:0:0:0:0:1/tcp/4001")  # the latter on a board
    text = "/ip4/10.0.0.7/tcp/4001/p2p/" + _INLINE
    parts = parse_address(text)
    assert address_text(decode_address(encode_address(parts))) == text
    assert tcp_address(parts) == (b"\n\0\0\7", 4001, parse_peer(_INLINE))
    assert tcp_address(parse_address("/ip4/1.2.3.4/udp/1")) is None
    assert tcp_address(parse_address(text + "/p2p-circuit")) is None


def test_malformed_addresses_are_refused():
    for text in ("", "/", "ip4/1.2.3.4", "/ip4", "/ip4/1.2.3/tcp/1", "/ip4/1.2.3.4/tcp/65536", "/ip4/1.2.3.4/tcp/x") + (
        "/what/1",
        "/ip4/1.2.3.4/p2p/12D3",
        "/tcp/-1",
        "/p2p-circuit" * 20,
    ):
        assert parse_address(text) is None, text
    whole = encode_address(parse_address("/ip4/1.2.3.4/tcp/80"))
    for cut in (1, 3, 6, 7):
        assert decode_address(whole[:cut]) is None
    assert decode_address(b"\x36\2\xff\xff\6\0\1") is None  # the name of a host that is no text
    assert decode_address(b"\xa5\x03\xff\xff\xff\xff\x7f") is None and decode_address(b"\x7f") is None


def test_what_a_peer_says_of_itself_comes_back_and_another_key_is_refused():
    peer = peer_id(_MESSAGE)
    address = encode_address(parse_address("/ip4/127.0.0.1/tcp/4001"))
    data = encode_identify(_MESSAGE, [address], ["/echo/1.0.0", "/ipfs/ping/1.0.0"], address, "agent")
    found = decode_identify(data, peer)
    assert found.public_key == _MESSAGE and found.addresses == [address] and found.observed == address
    assert found.protocols == ["/echo/1.0.0", "/ipfs/ping/1.0.0"] and found.agent == "agent"
    assert decode_identify(data, parse_peer(_HASHED)) is None
    assert decode_identify(data[:-1], peer) is None
    assert decode_identify(b"\x1a\2\xff\xfe", peer) is None  # no text
