"""The address book (rows B11-B20, T31, T35-T38)."""

from booking import LOOPBACK, SOURCE, book, fill, hear, meet, picks, shared
from linking import OWN, id_of, lan, world

RUNTIMES = ("cpython", "micropython", "board")

GATEWAY, LEAF, RELAY = 2, 4, 8


def test_what_was_heard_is_picked():
    b = book()
    assert b.pick(50, 0) is None
    assert hear(b, 1)
    assert b.pick(50, 0) == (id_of(1), world(1), 5000)
    assert b.count == 1


def test_what_nobody_could_be_dialed_by_is_not_taken():
    b = book()
    for id32, ip, port in (
        (b"\xff" * 32, world(1), 5000),  # no id
        (OWN, world(1), 5000),
        (id_of(1), bytes(4), 5000),
        (id_of(1), b"\xe0\0\0\1", 5000),
        (id_of(1), lan(1), 5000),  # named from beyond the LAN
        (id_of(1), LOOPBACK, 5000),
        (id_of(1), world(1), 0),
        (id_of(1), world(1), 80),
        (id_of(1), b"\x26" + bytes(15), 5000),  # IPv6
    ):
        assert not b.add(0, id32, ip, 4000, port, SOURCE, world(900))
    assert b.count == 0


def test_a_book_with_ipv6_takes_both():
    b = book(ipv6=1)
    assert b.add(0, id_of(1), b"\x26" + bytes(15), 4000, 5000, SOURCE, world(900)) and hear(b, 2)
    assert {b.pick(50, 0)[1] for _ in range(50)} == {b"\x26" + bytes(15), world(2)}
    meet(b, 1, b"\x26" + bytes(15))
    assert len(b.share(SOURCE, world(900))) == 53


def test_a_known_node_stands_in_the_book_once():
    """B14."""
    b = book()
    assert hear(b, 1) and not hear(b, 1)
    for i in range(50):
        b.add(0, id_of(1), world(1), 4000, 5000, id_of(1000 + i), world(1000 + i))
    assert b.count == 1


def test_a_proven_node_never_moves_by_hearsay():
    """T36, A2: nor does one that nobody tried."""
    b = book()
    hear(b, 1)
    assert not hear(b, 1, ip=world(77))
    meet(b, 1)
    b.failed(id_of(1))
    assert not hear(b, 1, ip=world(77))
    assert b.pick(50, 0)[1] == world(1)


def test_a_session_moves_it():
    b = book()
    meet(b, 1)
    b.good(id_of(1), 0)
    b.connected(0, id_of(1), world(77), 0, 6000)
    assert b.pick(50, 0) == (id_of(1), world(77), 6000) and b.count == 1


def test_hearsay_replaces_hearsay_that_failed_and_the_failures_stay():
    b = book()
    hear(b, 1, ip=world(66))
    for _ in range(2):
        b.failed(id_of(1))
    assert hear(b, 1)
    assert b.pick(50, 0)[1] == world(1) and b.count == 1
    b.failed(id_of(1))
    for i in range(2, 300):
        hear(b, i, ip=world(i))
    assert b.count <= 8


def test_a_full_tried_bucket_throws_the_longest_untried_back():
    """B18: nothing proven is lost by it."""
    b = book()
    for i in range(5):
        ip = world(i, network=9)
        b.connected(0, id_of(i), ip, 4000, 5000)
        b.attempt(id_of(i), 640 * (9 - i))
        b.good(id_of(i), 0)
    is_tried = [b.find(id_of(i)) >= b.new * b.step for i in range(5)]
    assert is_tried == [True, True, True, False, True]
    assert b.count == 5


def test_good_is_only_for_who_is_known():
    b = book()
    b.good(id_of(1), 0)
    b.failed(id_of(1))
    b.attempt(id_of(1), 0)
    b.bad(id_of(1))
    assert b.count == 0


def test_picks_are_random_and_between_new_and_tried_as_asked():
    """B16, T31."""
    b = book()
    for i in range(4):
        meet(b, i)
        b.good(id_of(i), 0)
    for i in range(10, 14):
        hear(b, i)
    counts = picks(b, 400, 30, 0)
    assert 60 <= sum(counts[10:]) <= 180 and sum(counts[:4]) + sum(counts[10:14]) == 400
    assert min(counts[:4]) > 0 and min(counts[10:14]) > 0


def test_a_node_that_was_refused_once_by_chance_is_soon_taken():
    """B16: of two, one that failed seven times is picked as often as its chance says, a fifth more with each draw."""
    b = book()
    for i in (1, 2):
        b.add(0, id_of(i), world(i), 4000, 5000, id_of(1000 + i), world(1000 + i))
    for _ in range(7):
        b.failed(id_of(1))
    expected, undecided, factor = 0, 1, 256
    while factor < 0x10000:
        expected += undecided * min(1, 15 * factor / 0x10000) / 2
        undecided *= (1 - min(1, 15 * factor / 0x10000)) / 2 + (1 - min(1, 255 * factor / 0x10000)) / 2
        factor += factor // 5
    counts = picks(b, 1500, 50, 0)
    assert 0.7 * expected < counts[1] / 1500 < 1.3 * expected


def test_failing_and_lately_tried_nodes_are_picked_rarely_but_a_pick_always_ends():
    """B15."""
    b = book()
    for i in (1, 2, 3):
        b.add(0, id_of(i), world(i), 4000, 5000, id_of(1000 + i), world(1000 + i))
    for _ in range(7):
        b.failed(id_of(1))
    b.attempt(id_of(2), 10000)
    assert picks(b, 300, 50, 10060)[3] > 200
    later = picks(b, 300, 50, 11000)
    assert later[2] > 80 and 0 < later[1] < 60
    b.bad(id_of(3))
    b.bad(id_of(2))
    b.attempt(id_of(1), 11000)
    assert b.pick(50, 11000)[0] == id_of(1)


def test_at_most_eight_are_told_at_random():
    """B20, A18."""
    b = book()
    fill(b)
    for i in range(20):
        meet(b, i)
    met = {(id_of(i), world(i)) for i in range(20) if b.find(id_of(i)) >= 0}
    assert len(met) > 12
    seen = set()
    for _ in range(40):
        answer = shared(b)
        assert len(answer) == 8 == len(set(answer))
        seen.update(answer)
    assert seen == met


def test_only_who_had_a_session_and_did_not_fail_since_is_told():
    """A6: a lie that was told here is not told on."""
    b = book()
    hear(b, 1)
    meet(b, 2)
    meet(b, 3)
    b.failed(id_of(3))
    assert shared(b) == [(id_of(2), world(2))]


def test_the_asker_is_not_told_of_itself_nor_of_private_nodes():
    """T38."""
    b = book(private=(OWN, id_of(5)))
    meet(b, 1)
    meet(b, 2)
    meet(b, 5)
    assert shared(b, asker=id_of(1), ip=world(1)) == [(id_of(2), world(2))]
    b.private = (OWN, id_of(2))
    assert shared(b, asker=id_of(1), ip=world(1)) == []
    b.private = (OWN, id_of(5))
    assert not hear(b, 5)


def test_addresses_are_told_where_they_mean_something():
    """D17: those of a LAN to a LAN, loopback to loopback."""
    b = book()
    meet(b, 1, world(1))
    meet(b, 2, lan(2))
    meet(b, 3, LOOPBACK)
    assert shared(b, ip=world(9)) == [(id_of(1), world(1))]
    assert len(shared(b, ip=lan(9))) == 2
    assert len(shared(b, ip=LOOPBACK)) == 3


def test_what_a_peer_says_of_itself_goes_with_its_record():
    b = book()
    b.connected(GATEWAY | RELAY | 0xF1, id_of(1), world(1), 0x1234, 0x5678)
    assert b.share(SOURCE, world(2)) == bytes((GATEWAY | RELAY,)) + id_of(1) + world(1) + b"\x12\x34\x56\x78"
    b.connected(LEAF, id_of(1), world(1), 0, 0x5679)
    assert b.share(SOURCE, world(2)) == bytes((LEAF,)) + id_of(1) + world(1) + b"\x12\x34\x56\x79"


def test_who_does_not_listen_is_not_noted():
    b = book()
    b.connected(LEAF, id_of(1), world(1), 0, 0)
    assert b.count == 0
