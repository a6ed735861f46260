"""What the nodes of one process need not work out twice is what each of them would have worked out."""

from array import array
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from picoswarm import kernels_host, wire
from picoswarm.crypto import X25519, Hmac, run
from picoswarm.identity import pair_key
from picoswarm.membership import NetworkKey
from picoswarm_tools.sim import kernels

KEY = bytes(range(32))


def test_both_ends_of_a_pair_have_the_secret_that_each_works_out_alone():
    kernels.remember(NetworkKey(KEY, 0))
    alone = kernels_host.KeyAgreements(4, 4)
    draws = Random(1)
    privates = [draws.randbytes(32) for _ in range(6)]
    publics = [run(X25519(private)) for private in privates]
    for _ in range(2):
        for private in privates:
            for public in (*publics, draws.randbytes(32)):
                assert run(X25519(private, public)) == alone.exchange(private, public)


def test_a_secret_of_zeros_is_refused_however_often_it_is_asked_for():
    kernels.remember(NetworkKey(KEY, 0))
    assert [run(X25519(KEY, bytes(32))) for _ in range(3)] == [None] * 3


def test_a_tag_that_was_seen_is_right_for_its_own_text_only():
    plain, shared = NetworkKey(KEY, 0), kernels.remember(NetworkKey(KEY, 0))
    buf = bytearray(b"\x10" + bytes(12) + b"a word of a member")
    shared.mac.sign(buf, 13, len(buf), 1)
    assert plain.mac.check(buf, 13, len(buf), 1) and shared.mac.check(buf, 13, len(buf), 1)
    buf[20] ^= 1
    assert not shared.mac.check(buf, 13, len(buf), 1)
    buf[20] ^= 1
    buf[3] ^= 1
    assert not shared.mac.check(buf, 13, len(buf), 1)


def test_memory_of_tags_is_bounded(monkeypatch):
    monkeypatch.setattr(kernels, "TAGS", 100)
    key = kernels.remember(NetworkKey(KEY, 0))
    pairs = kernels.PairTags(KEY[:16], 8)
    monkeypatch.setattr(pairs, "known", kernels.Recent(100))
    for number in range(300):
        buf = bytearray(12) + number.to_bytes(4)
        key.mac.sign(buf, 12, 16, 0)
        pairs.sign(buf, 12, 16, 0)
    assert 100 <= len(key.mac._known) == len(pairs.known) <= 201


def test_what_is_asked_for_again_and_again_is_remembered():
    recent = kernels.Recent(100)
    for number in range(1000):
        recent.put(number, number)
        if number % 50 == 0:
            assert recent.get(0) == 0
    assert recent.get(999) == 999 and recent.get(500) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.binary(max_size=8), st.binary(min_size=1, max_size=120), st.integers(0))
def test_a_pair_tag_is_the_one_of_a_board_and_right_for_its_key_prefix_and_text_only(key, prefix, text, place):
    board, ours, theirs = Hmac(key, 8), kernels.PairTags(bytes(16), 8), kernels.PairTags(key, 8)
    ours.rekey(b"..." + key, 3, 16)
    board.prefix = ours.prefix = theirs.prefix = prefix
    buf, n = bytearray(text) + bytearray(8), len(text)
    ours.sign(buf, 0, n, n)
    assert board.check(buf, 0, n, n) and theirs.check(buf, 0, n, n)
    buf[place % len(buf)] ^= 1
    assert not theirs.check(buf, 0, n, n) and not ours.check(buf, 0, n, n)
    buf[place % len(buf)] ^= 1
    theirs.prefix = prefix + b"x"
    assert not theirs.check(buf, 0, n, n)
    ours.rekey(bytes(15) + b"x", 0, 16)
    assert ours.check(buf, 0, n, n) == (key == bytes(15) + b"x")


def test_both_ends_of_a_pair_have_the_pair_key_that_each_works_out_alone():
    draws = Random(2)
    for _ in range(20):
        secret, a, b = (draws.randbytes(32) for _ in range(3))
        assert (
            kernels.shared_pair_key(secret, a, bytearray(b))
            == pair_key(secret, a, b)
            == kernels.shared_pair_key(secret, b, a)
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from((71, 83)), st.integers(1, 300), st.integers(0, 16))
def test_the_scan_of_a_table_finds_what_a_board_finds(seed, step, records, wanted):
    draws = Random(seed)
    pool = bytearray(draws.randbytes(step * records))
    for at in range(0, len(pool), step):
        pool[at + 62] = draws.choice((0, 9, 80))
        pool[at + 63] = draws.choice((0, 1, 1, 1, 2, 3, 5))
    target, board, here = bytearray(draws.randbytes(8)), array("i", bytes(64)), array("i", bytes(64))
    for beyond in (-1, 0, draws.randrange(1 << 24), (1 << 24) - 1):
        count = wire.nearest(pool, len(pool), step, target, beyond, board, wanted)
        assert kernels.nearest(pool, len(pool), step, target, beyond, here, wanted) == count
        assert here == board
