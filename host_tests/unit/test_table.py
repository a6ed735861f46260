"""The node table: buckets, limits, liveness, and the closest nodes (rows D2-D7, D22-D27)."""

from array import array

from forms import At
from picoswarm.profile import Profile
from picoswarm.table import Table

RUNTIMES = ("cpython", "micropython", "board")

OWN = bytes(32)
PORT = 4000
PAIR = b"pairpairpairpair"


class Random:
    """Bytes that count up."""

    def __init__(self):
        self.next = 0

    def __call__(self, n):
        out = bytearray(n)
        for i in range(n):
            self.next = self.next + 37 & 0xFF
            out[i] = self.next
        return bytes(out)


def table(**changes):
    numbers = dict(k=4, records=16, spares=4, near=1)
    numbers.update(changes)
    return Table(OWN, Profile(**numbers), Random())


def node_at(distance, n=0):
    """An id at log distance `distance` (1-256) from OWN, one of many."""
    out = bytearray(32)
    bit = distance - 1
    out[31 - (bit >> 3)] = 1 << (bit & 7)
    out[28] ^= n >> 8
    out[29] ^= n & 0xFF
    return bytes(out)


_networks = [0]


def admit(t, id32, ip=None, uptime=0, answers=1):
    """Admit a node that answered; by default each has a network of its own. -1: it is only cached."""
    if ip is None:
        _networks[0] += 1
        ip = bytes((20, _networks[0] >> 8 & 0xFF, _networks[0] & 0xFF, 1))
    record = t.keep(id32, 0, PAIR, 0, uptime)
    t.admit(record, At(ip, PORT), uptime)
    if not t.is_proven(record, At(ip, PORT), uptime):
        return -1
    for _ in range(answers):
        t.credit(record, uptime)
    return record


def places(n=8):
    return array("i", bytes(4 * n))


def test_a_record_takes_76_bytes_all_in():
    t = table(k=8, records=128, spares=0)
    assert len(t.pool) <= 76 * 128


def test_a_proven_node_is_found_by_its_short_and_its_whole_id():
    t = table()
    a = admit(t, node_at(256, 1))
    b = admit(t, node_at(250, 2))
    assert t.find(node_at(256, 1), 0, 32) == a
    assert t.find(b"xx" + node_at(250, 2), 2, 8) == b
    assert t.find(node_at(256, 3), 0, 32) == -1
    assert t.entries == 2 and t.is_live(a)


def test_near_distances_share_bucket_0_D2():
    t = table()
    assert [t.bucket_of(node_at(d), 0) for d in (256, 255, 242, 241, 240, 1)] == [15, 14, 1, 0, 0, 0]


def test_a_live_node_in_a_full_bucket_is_never_evicted_D4_A1():
    t = table(k=2)
    old = [admit(t, node_at(256, i)) for i in range(2)]
    new = admit(t, node_at(256, 9))
    assert not t.is_entry(new) and t.entries == 2
    for record in old:
        assert t.is_live(record)


def test_one_of_the_own_nearest_finds_room_in_a_full_bucket_up_to_twice_k():
    t = table(k=2, near=4)
    kinds = [t.is_entry(admit(t, bytes((0x80, 0x10 - i)) + bytes(30))) for i in range(6)]
    assert kinds == [True] * 4 + [False] * 2
    t = table(k=2, near=1)
    assert [t.is_entry(admit(t, bytes((0x80, i)) + bytes(30))) for i in range(3)] == [True, True, False]


def test_replacements_are_two_in_a_bucket_and_the_stalest_makes_room_D5():
    t = table(k=1)
    first = admit(t, node_at(256, 0))
    spares = [admit(t, node_at(256, i), uptime=100 * i) for i in range(1, 4)]
    t.remove(first)
    risen = [t.is_entry(spare) for spare in spares]
    assert not risen[0] and risen.count(True) == 1


def test_a_node_that_moves_up_keeps_its_record_and_one_that_is_only_cached_never_does():
    t = table(k=1, replacements_per_bucket=0)
    first = admit(t, node_at(256, 0))
    assert admit(t, node_at(256, 1)) == -1
    assert t.remove(first) == -1 and t.find(node_at(256, 1), 0, 8) >= 0


def test_the_pair_key_longest_unused_makes_room_and_entries_never_do():
    t = table(k=4, records=4, spares=3)
    entries = [admit(t, node_at(256 - i)) for i in range(4)]
    ids = [bytes((7, i)) * 16 for i in range(4)]
    for i in range(3):
        t.keep(ids[i], 0, bytes((i,)) * 16, 0, 100 * i)
    t.touch(t.find(ids[0], 0, 8), 400)
    t.keep(ids[3], 0, PAIR, 0, 500)
    assert t.find(ids[1], 0, 32) == -1
    record = t.find(ids[0], 0, 8)
    assert t.pool[record + 32] == 0 and t.find(ids[2], 0, 32) >= 0 and t.find(ids[3], 0, 8) >= 0
    assert all([t.is_live(entry) for entry in entries])


def test_a_removed_node_gives_way_to_a_replacement_that_is_not_handed_out_yet_D23_D24():
    t = table(k=1)
    first = admit(t, node_at(256, 0))
    spare = admit(t, node_at(256, 1))
    assert t.remove(first) == spare
    assert t.is_entry(spare) and not t.is_live(spare)
    assert t.closest(OWN, places(), 8) == 0
    t.credit(spare, 0)
    assert t.closest(OWN, places(), 8) == 1


def test_which_replacement_moves_up_is_drawn_D23():
    risen = set()
    for seed in range(8):
        t = table(k=1)
        t._rng.next = seed * 29
        first = admit(t, node_at(256, 0))
        admit(t, node_at(256, 1))
        admit(t, node_at(256, 2))
        risen.add(t.remove(first))
    assert len(risen) == 2


def test_nine_nodes_of_one_24_get_two_places_in_a_bucket_and_six_in_the_table_D6_A3():
    t = table(k=8, records=64)
    in_one = [admit(t, node_at(256, i), bytes((30, 1, 1, i + 1))) for i in range(9)]
    assert len([r for r in in_one if r >= 0]) == 2
    more = [admit(t, node_at(255 - i, i), bytes((30, 1, 1, 100 + i))) for i in range(9)]
    assert len([r for r in more if r >= 0]) == 4


def test_a_lan_may_fill_the_table_but_one_address_has_two_places_D6():
    t = table(k=8, records=64)
    for i in range(8):
        assert admit(t, node_at(256, i), bytes((192, 168, 1, i + 1))) >= 0
    same = [admit(t, node_at(255, i), b"\xc0\xa8\x01\x50") for i in range(4)]
    assert len([r for r in same if r >= 0]) == 2


def test_loopback_nodes_have_no_limit():
    t = table(k=8, records=64)
    for i in range(8):
        assert admit(t, node_at(256, i), b"\x7f\x00\x00\x01") >= 0


def test_the_pool_bounds_the_table():
    t = table(k=8, records=10, spares=1, replacements_per_bucket=0)
    admitted = [admit(t, node_at(256 - i % 4, i)) for i in range(20)]
    assert len([r for r in admitted if r >= 0]) == 10 and t.entries == 10


def test_a_miss_divides_the_credit_and_hides_the_node_D22():
    t = table()
    record = admit(t, node_at(256), answers=100)
    left = []
    while True:
        misses = t.miss(record)
        assert not t.is_live(record)
        if not misses:
            break
        left.append(misses)
    assert left == [1, 2, 3]  # 80, 26, 8, 2, 0: gone after the miss and its three repeats


def test_a_node_met_once_survives_three_misses_and_no_fourth():
    t = table()
    record = admit(t, node_at(256))
    assert [t.miss(record) for _ in range(3)] == [1, 2, 3]
    t.credit(record, 0)
    assert t.is_live(record)
    record = admit(t, node_at(255))
    assert [t.miss(record) for _ in range(4)] == [1, 2, 3, 0]


def test_five_find_failures_remove_a_node_of_a_large_bucket_only_D27():
    t = table(k=8, records=64)
    alone = admit(t, node_at(250))
    crowded = [admit(t, node_at(256, i)) for i in range(5)][0]
    for record, is_removed in ((alone, False), (crowded, True)):
        results = [t.find_failed(record) for _ in range(5)]
        assert results == [False] * 4 + [is_removed]


def test_an_answer_forgets_find_failures_D27():
    t = table(k=8, records=64)
    record = [admit(t, node_at(256, i)) for i in range(5)][0]
    for _ in range(4):
        t.find_failed(record)
    t.find_answered(record)
    assert not t.find_failed(record)


def test_the_closest_come_in_order_and_only_live_ones_D24():
    t = table(k=8, records=64)
    ids = [node_at(256 - i % 9, 300 + 7 * i) for i in range(24)]
    records = [admit(t, id32) for id32 in ids]
    t.miss(records[3])
    target = node_at(253, 77)

    def distance(id32):
        return bytes([id32[i] ^ target[i] for i in range(8)])

    live = sorted([id32 for i, id32 in enumerate(ids) if i != 3 and records[i] >= 0], key=distance)
    found = places()
    n = t.closest(target, found, 8)
    got = [bytes(t.pool[r : r + 32]) for r in found[:n]]
    assert [distance(i) for i in got] == [distance(i) for i in live[:8]]


def test_the_closest_beyond_a_distance_pass_over_the_nearer_ones():
    t = table(k=8, records=64)
    for i in range(8):
        admit(t, bytes((0x80, i)) + bytes(30))
    found = places()
    target = b"\x80" + bytes(7)
    assert t.closest(target, found, 4, 0x000200) == 4
    assert [t.pool[r + 1] for r in found[:4]] == [3, 4, 5, 6]


def test_proof_ends_after_12_hours_D8():
    t = table()
    record = admit(t, node_at(256))
    where = At(t.ip(record), PORT)
    assert t.is_proven(record, where, 43196)
    assert not t.is_proven(record, where, 43200)
    assert not t.is_proven(record, At(where.ip, PORT + 1), 0)


def test_the_longest_unasked_is_next_and_stamps_wrap():
    t = table(k=8)
    start = 65536 * 4 - 40  # the stamps' 16 bits wrap in between
    a = admit(t, node_at(256, 1), uptime=start)
    b = admit(t, node_at(256, 2), uptime=start + 60)
    assert t.longest_unasked(start + 100) == a
    t.credit(a, start + 100)
    assert t.longest_unasked(start + 104) == b


def test_an_address_is_kept_in_one_form_D18():
    t = table(ipv6=1)
    record = admit(t, node_at(256), bytes((30, 1, 1, 1)))
    assert t.ip(record) == bytes((30, 1, 1, 1))
    assert t.is_at(record, At(bytes((30, 1, 1, 1)), PORT))
    assert not t.is_at(record, At(bytes((30, 1, 1, 1)), PORT + 1))
    six = b"\x2a" + bytes(14) + b"\x01"
    t.set_address(record, six, 5000)
    assert t.is_at(record, At(six, 5000)) and t.ip(record) == six
