"""What of the address book is saved (row B21), and what a damaged or poisoned file does (A26)."""

from booking import book, buckets_of, fill, hear, meet, picks, place, shared
from linking import id_of, world
from picoswarm.bookfile import decode_book, encode_book
from picoswarm.errors import Malformed
from support import raises

RUNTIMES = ("cpython", "micropython", "board")


def test_a_book_outlives_a_restart():
    """B21: tried nodes, then proven ones, then hearsay, 24 of them, each in its bucket."""
    b = book()
    for i in range(12):
        meet(b, i)
        b.good(id_of(i), 0)
    for i in range(12, 18):
        meet(b, i)
    for i in range(100, 140):
        b.add(0, id_of(i), world(i), 4000, 5000, id_of(1000 + i), world(1000 + i))
    payload = encode_book(b)
    assert len(payload) == 10 + 24 * 41
    again = book(2)
    decode_book(again, payload)
    assert again.count == 24
    for i in range(18):
        assert place(again, i) == place(b, i)
    assert sum(place(again, i) == place(b, i) >= 0 for i in range(100, 140)) == 24 - sum(place(b, i) >= 0 for i in range(18))
    assert len(encode_book(again)) == len(payload)
    assert set(shared(again)) <= {(id_of(i), world(i)) for i in range(18)}


def test_one_source_fills_few_buckets_after_many_restarts():
    """A2, A26: a file keeps the bucket of a new node, or each restart would spread what one source told."""
    b = book()
    for _ in range(5):
        for i in range(200):
            hear(b, i)
        again = book(3)
        decode_book(again, encode_book(b))
        b = again
    assert len(buckets_of(b)) <= 2


def test_who_fails_is_not_saved():
    b = book()
    hear(b, 1)
    for _ in range(3):
        b.failed(id_of(1))
    assert encode_book(b)[8:] == b"\0\0"


def test_a_poisoned_file_is_discarded_whole_or_loses_what_cannot_be_true():
    """A26."""
    b = book()
    hear(b, 1)
    meet(b, 2)
    payload = encode_book(b)
    for broken in (b"", payload[:9], payload[:-1], payload + b"\0", payload[:9] + b"\xff" + payload[10:]):
        again = book()
        raises(Malformed, decode_book, again, broken)
        assert again.count == 0
    for at, value in ((10 + 32, 0xFF), (10 + 33, 0xE0), (10 + 39, 0)):
        bad = bytearray(payload)
        bad[at] = value
        again = book()
        decode_book(again, bad)
        assert again.count == 1
    twice = payload[:9] + b"\2" + payload[10:51] + payload[10:51]
    again = book()
    decode_book(again, twice)
    assert again.count == 1


def test_a_file_of_another_profile_fills_what_there_is():
    big = book()
    for i in range(16):
        meet(big, i)
        big.good(id_of(i), 0)
    fill(big, 100)
    small = book(book_new=8, book_tried=4)
    decode_book(small, encode_book(big))
    assert 4 < small.count <= 12


def test_after_a_restart_nobody_counts_as_tried_lately():
    b = book()
    hear(b, 1)
    b.attempt(id_of(1), 0)
    again = book()
    decode_book(again, encode_book(b))
    again.add(0, id_of(2), world(2), 4000, 5000, id_of(1002), world(1002))
    assert 20 < picks(again, 100, 50, 0)[1] < 80
