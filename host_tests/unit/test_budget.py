"""Budgets, endpoint tokens and the pair cache on their own."""

from picoswarm.budget import Budget, PerAddress, spend
from picoswarm.compat import ticks_add
from picoswarm.paircache import PairCache
from picoswarm.tokens import Tokens

RUNTIMES = ("cpython", "micropython", "qemu")


def test_a_budget_gives_its_size_at_once_and_then_one_each_interval_across_the_wrap():
    now = 0x3FFFFFFF - 500
    budget = Budget(3, 1000, now)
    assert [budget.take(now) for _ in range(4)] == [True, True, True, False]
    assert budget.wait_ms(now) == 1000
    assert not budget.take(ticks_add(now, 999))
    assert budget.take(ticks_add(now, 1000))
    later = ticks_add(now, 60000)
    assert [budget.take(later) for _ in range(4)] == [True, True, True, False]


def test_a_budget_gains_nothing_from_a_clock_that_runs_backwards():
    budget = Budget(1, 1000, 5000)
    assert budget.take(5000) and not budget.take(100)
    assert not budget.take(900)


def test_one_address_waits_and_others_do_not():
    per = PerAddress(10000)
    assert per.take(b"aaaa", 0) and not per.take(b"aaaa", 9999)
    assert per.take(b"bbbb", 1) and per.take(b"aaaa", 10000)


def test_a_peer_has_two_a_second():
    spent = 0
    for expected in (True, True, False):
        after = spend(spent, 7, 2)
        assert (after >= 0) == expected
        spent = max(after, spent)
    assert spend(spent, 8, 2) >= 0


def test_a_token_is_bound_to_id_address_and_port():
    tokens = Tokens(lambda n: bytes(range(n)), 7200)
    token = bytearray(8)
    id32 = b"i" * 32
    tokens.make(token, id32, 0, b"\x0a\x00\x00\x01", 4000)
    assert tokens.is_valid(token, 0, id32, 0, b"\x0a\x00\x00\x01", 4000) and tokens.is_present
    assert not tokens.is_valid(token, 0, id32, 0, b"\x0a\x00\x00\x01", 4001)
    assert not tokens.is_valid(token, 0, id32, 0, b"\x0a\x00\x00\x02", 4000)
    assert not tokens.is_valid(token, 0, b"j" * 32, 0, b"\x0a\x00\x00\x01", 4000)


def test_tokens_outlive_one_rotation_and_not_two():
    secrets = [bytes((i,)) * 32 for i in range(4)]
    tokens = Tokens(lambda n: secrets.pop(), 7200)
    token = bytearray(8)
    where = (b"i" * 32, 0, b"\x0a\x00\x00\x01", 4000)
    tokens.make(token, *where)
    tokens.rotate(7199)
    assert tokens.is_valid(token, 0, *where) and tokens.is_present
    tokens.rotate(7200)
    assert tokens.is_valid(token, 0, *where) and not tokens.is_present
    tokens.rotate(14400)
    assert not tokens.is_valid(token, 0, *where)


def test_after_a_long_sleep_no_old_token_is_good():
    secrets = [bytes((i,)) * 32 for i in range(4)]
    tokens = Tokens(lambda n: secrets.pop(), 7200)
    token = bytearray(8)
    where = (b"i" * 32, 0, b"\x0a\x00\x00\x01", 4000)
    tokens.make(token, *where)
    tokens.rotate(20000)
    assert not tokens.is_valid(token, 0, *where)


def test_the_pair_cache_gives_up_the_key_longest_unused():
    cache = PairCache(3)
    ids = [bytes((7, i)) * 16 for i in range(4)]
    pair = bytearray(16)
    for i in range(3):
        pair[0] = i
        cache.insert(ids[i], 0, pair, 100 * i)
    cache.touch(cache.find(ids[0], 0, 8), 400)
    cache.insert(ids[3], 0, pair, 500)
    assert cache.find(ids[1], 0, 32) == -1
    at = cache.find(ids[0], 0, 8)
    assert cache.pool[at + 32] == 0 and cache.find(ids[2], 0, 32) >= 0 and cache.find(ids[3], 0, 8) >= 0
