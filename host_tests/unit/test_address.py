"""What an address means and who may name it (rows D17, D18)."""

from picoswarm.address import Site, is_open_port, may_name, scope, unwrap

RUNTIMES = ("cpython", "micropython", "board")

INVALID, LOOPBACK, LAN, GLOBAL = 0, 1, 2, 3


def v6(*head):
    return bytes(head) + bytes(15 - len(head)) + b"\x01"


def test_ipv4_scopes():
    for ip, kind in (
        ((127, 0, 0, 1), LOOPBACK),
        ((10, 1, 2, 3), LAN),
        ((172, 16, 0, 1), LAN),
        ((172, 31, 0, 1), LAN),
        ((172, 32, 0, 1), GLOBAL),
        ((192, 168, 0, 1), LAN),
        ((169, 254, 9, 9), LAN),
        ((8, 8, 8, 8), GLOBAL),
        ((0, 0, 0, 0), INVALID),
        ((192, 0, 2, 1), INVALID),
        ((198, 18, 0, 1), INVALID),
        ((198, 51, 100, 1), INVALID),
        ((203, 0, 113, 1), INVALID),
        ((192, 88, 99, 1), INVALID),
        ((224, 0, 0, 1), INVALID),
        ((255, 255, 255, 255), INVALID),
    ):
        assert scope(bytes(ip)) == kind, ip


def test_ipv6_scopes():
    for ip, kind in (
        (v6(), LOOPBACK),
        (bytes(16), INVALID),
        (v6(0x20, 0x01, 0x04, 0x70), GLOBAL),
        (v6(0x20, 0x01, 0x0D, 0xB8), INVALID),
        (v6(0xFC), LAN),
        (v6(0xFE, 0x80), LAN),
        (v6(0xFF, 0x02), INVALID),
        (v6(0x00, 0x64, 0xFF, 0x9B), INVALID),
    ):
        assert scope(ip) == kind, ip


def test_a_mapped_address_is_unwrapped_D18():
    assert unwrap(bytes(10) + b"\xff\xff\x0a\x00\x00\x01") == b"\x0a\x00\x00\x01"
    assert unwrap(v6(0x20)) == v6(0x20)
    assert unwrap(b"\x0a\x00\x00\x01") == b"\x0a\x00\x00\x01"


def test_addresses_travel_only_to_where_they_mean_the_same_D17():
    allowed = []
    for namer in (LOOPBACK, LAN, GLOBAL):
        for named in (INVALID, LOOPBACK, LAN, GLOBAL):
            if may_name(namer, named):
                allowed.append((namer, named))
    assert allowed == [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]


def test_on_link_follows_the_prefix():
    site = Site(b"\x0a\x00\x05\x01", 22)
    assert site.is_onlink(b"\x0a\x00\x07\xfe") and not site.is_onlink(b"\x0a\x00\x08\x01")
    assert site.is_onlink(b"\x7f\x00\x00\x01") and not site.is_onlink(b"\xe0\x00\x00\x01")
    by_default = Site(b"\x0a\x00\x05\x01")
    assert by_default.is_onlink(b"\x0a\x00\x05\xfe") and not by_default.is_onlink(b"\x0a\x00\x04\x01")


def test_the_networks_first_and_last_address_are_broadcasts():
    site = Site(b"\x0a\x00\x05\x01", 22)
    assert site.is_broadcast(b"\x0a\x00\x07\xff") and site.is_broadcast(b"\x0a\x00\x04\x00")
    assert not site.is_broadcast(b"\x0a\x00\x05\xff") and not site.is_broadcast(b"\x0b\x00\x07\xff")


def test_well_known_ports_are_closed():
    assert [is_open_port(p) for p in (0, 53, 1024, 1025, 65535)] == [False, False, False, True, True]
