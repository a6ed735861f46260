"""The entropy pool and what is drawn from it: which sources it refuses, when it makes keys, what its output hides."""

from picoswarm.compat import sha256
from picoswarm.entropy import Pool
from picoswarm.errors import EntropyError
from picoswarm.identity import Rng
from support import raises

RUNTIMES = ("cpython", "micropython", "qemu")


def _source(n, seed=b"source"):
    """`n` bytes that a health test cannot tell from a good source's."""
    out = b""
    while len(out) < n:
        out += sha256(seed + len(out).to_bytes(4, "big")).digest()
    return out[:n]


def _refused(source):
    pool = Pool(b"chip")
    pool.feed(_source(128))
    error = raises(EntropyError, pool.feed, source)
    assert not pool.ready
    raises(EntropyError, pool.draw_key)
    return str(error)


def test_pool_makes_no_key_before_a_healthy_source_gave_256_bits():
    pool = Pool(b"chip", b"stored seed")
    raises(EntropyError, pool.draw_key)
    pool.feed(_source(127))
    assert not pool.ready
    raises(EntropyError, pool.draw_key)
    pool.feed(_source(128)[127:])
    assert pool.ready
    assert len(pool.draw_key()) == 32 and len(pool.draw_key(16)) == 16


def test_pool_does_not_credit_seeds_ids_or_jitter():
    pool = Pool(_source(64, b"chip"))
    for i in range(20):
        pool.add(_source(128, b"jitter%d" % i))
    assert not pool.ready
    raises(EntropyError, pool.draw_key)


def test_pool_refuses_a_stuck_source():
    for byte in (0x00, 0x55, 0xFF):
        assert "one byte" in _refused(bytes([byte]) * 128)


def test_pool_refuses_a_source_that_sticks_for_16_samples():
    good = _source(128)
    _refused(good[:50] + b"\x42" * 16 + good[66:])


def test_pool_takes_a_run_of_15_equal_samples():
    good = _source(128, b"other")
    pool = Pool()
    pool.feed(good[:50] + b"\x42" * 15 + good[65:])
    assert pool.ready


def test_pool_refuses_a_source_that_favours_one_value():
    # 65 of 128 samples, never 16 in a row.
    good = bytearray(_source(128))
    for i in range(0, 128, 2):
        good[i] = 0
    good[63] = 0
    _refused(bytes(good))


def test_pool_refuses_too_few_distinct_values():
    _refused(bytes([byte & 7 for byte in _source(128)]))
    _refused(bytes([0x30 + byte % 10 for byte in _source(128)]))


def test_pool_refuses_a_counter():
    _refused(bytes([i & 255 for i in range(7, 135)]))
    _refused(bytes([(i * 37) & 255 for i in range(128)]))


def test_pool_refuses_repeated_blocks():
    block = _source(16)
    _refused(block * 8)
    _refused(_source(112, b"a") + _source(112, b"a")[:16])
    for period in (17, 23, 31):
        cycle = _source(period, b"cycle")
        _refused((cycle * 8)[:128])


def test_pool_refuses_a_source_that_says_the_same_again():
    pool = Pool()
    pool.feed(_source(128))
    assert pool.ready
    raises(EntropyError, pool.feed, _source(128))
    assert not pool.ready
    # Also when the source comes in pieces.
    pool = Pool()
    for i in range(0, 128, 8):
        pool.feed(_source(128)[i : i + 8])
    assert pool.ready
    pool.feed(_source(128)[:120])
    raises(EntropyError, pool.feed, _source(128)[120:])


def test_pool_is_ready_again_after_new_healthy_samples():
    pool = Pool()
    raises(EntropyError, pool.feed, bytes(128))
    pool.feed(_source(128))
    assert pool.ready


def test_pool_health_tests_pass_good_sources():
    for i in range(50):
        pool = Pool()
        pool.feed(_source(256, b"good source %d" % i))
        assert pool.ready, i


def test_pool_cut_offs_are_those_of_sp_800_90b():
    # Section 4.4.1: 1 + ceil(30 / 2) = 16. Section 4.4.2: the least c with P[1 + Binomial(127, 1/4) >= c] <= 2**-30.
    tail, term = 0, 1  # in units of 4**-127, from k = 127 down
    k = 127
    while (tail + term) << 30 <= 4**127:
        tail += term
        k -= 1
        term = term * (k + 1) * 3 // (127 - k)
    assert k + 2 == 65


def test_pool_output_depends_on_every_input():
    def first(*separators, source=b"", extra=b""):
        pool = Pool(*separators)
        pool.feed(source)
        pool.add(extra)
        return pool.draw(32)

    outputs = [
        first(),
        first(b"a"),
        first(b"b"),
        first(b"ab"),
        first(b"a", b"b"),
        first(b"b", b"a"),
        first(b"a", source=b"s"),
        first(b"a", extra=b"s"),
    ]
    assert len(set(outputs)) == len(outputs)
    assert first(b"a") == outputs[1]


def test_pool_clones_with_one_source_are_told_apart_by_chip_id():
    keys = set()
    for chip in range(30):
        pool = Pool(b"chip %d" % chip, b"the same stored seed")
        pool.feed(_source(128))
        keys.add(pool.draw_key())
    assert len(keys) == 30


def test_pool_ratchets_after_each_draw():
    pool = Pool(b"chip")
    first = pool.draw(64)
    state = pool._state
    second = pool.draw(64)
    assert first[:32] != first[32:] and first != second
    # Whoever reads the state after the first draw computes the second, and has no way back to the first.
    again = Pool()
    again._state = state
    assert again.draw(64) == second
    seen = [sha256(state + bytes((1, i))).digest() for i in range(4)] + [state]
    assert not any(part in first for part in seen)


def test_pool_draws_any_length_up_to_its_limit():
    for n in (0, 1, 31, 32, 33, 64, 1000, 8160):
        assert len(Pool(b"x").draw(n)) == n
    raises(ValueError, Pool().draw, 8161)
    raises(ValueError, Pool().draw, -1)


def test_random_bytes_of_a_running_node_do_not_repeat():
    rng = Rng(Pool(b"chip").draw(32))
    for n in (4, 5, 1, 32):
        drawn = [rng.draw(n) for _ in range(40)]
        assert all(len(one) == n for one in drawn)
        assert n == 1 or len(set(drawn)) == 40
    assert rng.draw(0) == Rng(bytes(32)).draw(0) == b""


def test_random_bytes_depend_on_the_state_alone_and_do_not_reveal_it():
    one, same, other = Rng(bytes(32)), Rng(bytes(32)), Rng(bytes(31) + b"\x01")
    first = one.draw(32)
    assert first == same.draw(32) != other.draw(32)
    state = one._state
    assert one.draw(32) != first
    # Whoever reads the state now computes what comes, and has no way back to what was drawn.
    assert state not in (bytes(32), first) and Rng(state).draw(32) != first
