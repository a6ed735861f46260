"""Whoever floods an address book fills few of its places (rows B12, B17, A2, A17)."""

from booking import LOOPBACK, SOURCE, book, buckets_of, fill, hear, meet, place
from linking import id_of, lan, world
from picoswarm.compat import MICROPYTHON

RUNTIMES = ("cpython", "micropython", "board")
SEEDS = 2 if MICROPYTHON else 8  # of books: what one does follows from its seed, on every runtime


def test_one_source_fills_few_buckets():
    """A2, A17: whatever it tells, it reaches two of the eight."""
    for seed in range(SEEDS):
        b = book(seed)
        for i in range(500):
            hear(b, i)
        assert len(buckets_of(b)) <= 2 and b.count <= 8
        b = None  # two books at once do not fit


def test_many_sources_of_one_network_are_one_source():
    """A2, B12: sixteen bits of the address count."""
    for seed in range(SEEDS):
        b = book(seed)
        for i in range(500):
            b.add(0, id_of(i), world(i), 4000, 5000, id_of(1000 + i), world(i, network=9))
        assert len(buckets_of(b)) <= 2
        b = None


def test_one_board_of_the_lan_fills_few_buckets():
    """A2: on a LAN each address is a network of its own, and a source too."""
    b = book()
    for i in range(500):
        b.add(0, id_of(i), lan(i % 250 + 1), 4000, 5000, SOURCE, lan(9))
    assert len(buckets_of(b)) <= 2
    fill(b)
    assert len(buckets_of(b)) == 8


def test_one_network_fills_one_tried_bucket():
    """A2: although all its nodes are good for a while."""
    for seed in range(SEEDS):
        b = book(seed)
        for i in range(30):
            ip = world(i, network=9)
            b.connected(0, id_of(i), ip, 4000, 5000)
            b.good(id_of(i), 64 * i)
        tried = sum(b.pool[at] > 0 for at in range(b.new * b.step, len(b.pool), b.step))
        assert tried == 4
        b = None


def test_on_loopback_every_node_is_a_network():
    b = book()
    for i in range(200):
        b.connected(0, id_of(i), LOOPBACK, 4000, 5000 + i)
        b.good(id_of(i), 64 * i)
    assert b.count > 30


def test_buckets_follow_from_the_secret():
    places = set()
    for seed in range(8):
        b = book(seed)
        hear(b, 1)
        places.update(buckets_of(b))
        b = None
    assert len(places) > 3


def test_who_fails_three_times_and_never_had_a_session_gives_way_first():
    """B17."""
    b = book()
    for i in range(400):
        hear(b, i)
    failing = next(i for i in range(400) if b.find(id_of(i)) >= 0)
    bucket = place(b, failing)
    others = [i for i in range(400) if i != failing and place(b, i) == bucket]
    assert len(others) == 3
    for _ in range(3):
        b.failed(id_of(failing))
    newcomer = next(i for i in range(400, 500) if hear(b, i) and place(b, i) == bucket)
    assert b.find(id_of(newcomer)) >= 0 and b.find(id_of(failing)) < 0
    assert all(b.find(id_of(i)) >= 0 for i in others)


def test_a_proven_node_is_not_pushed_out_by_a_flood_of_names():
    """A17."""
    b = book()
    meet(b, 1)
    fill(b)
    assert b.find(id_of(1)) >= 0
    for _ in range(10):
        b.failed(id_of(1))
    fill(b, 900)
    assert b.find(id_of(1)) < 0
