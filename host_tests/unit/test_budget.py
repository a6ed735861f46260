"""Budgets and endpoint tokens on their own."""

from picoswarm.budget import Budget, spend
from picoswarm.compat import ticks_add
from picoswarm.tokens import Tokens

RUNTIMES = ("cpython", "micropython", "board")

DAY = 86400000


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


def test_after_a_silence_of_any_length_a_budget_is_full_again():
    """Ticks mean nothing beyond 6.2 days, and wrap after 12.4."""
    for days in (1, 7, 9, 12):
        now = 5000
        budget = Budget(3, 1000, now)
        assert budget.take(now)
        for _ in range(days):
            now = ticks_add(now, DAY)
        assert [budget.take(now) for _ in range(4)] == [True, True, True, False], days
        assert budget.wait_ms(now) == 1000
        for _ in range(days):
            now = ticks_add(now, DAY)
        assert budget.wait_ms(now) == 0 and [budget.take(now) for _ in range(4)] == [True, True, True, False], days


def test_a_peer_has_two_a_second():
    spent = 0
    for expected in (True, True, False):
        after = spend(spent, 7, 2)
        assert (after >= 0) == expected
        spent = max(after, spent)
    assert spend(spent, 8, 2) >= 0


class Shown:
    """A datagram in hand that shows a token."""

    def __init__(self, token, ip=b"\x0a\x00\x00\x01", port=4000, id8=b"iiiiiiii"):
        self.buf = bytearray(18) + id8 + bytes(token)
        self.token = 26
        self.ip = ip
        self.port = port


def given(tokens):
    """The token for the usual node at the usual address."""
    peer = bytearray(56)
    tokens.make(peer, Shown(b""))
    return peer[48:]


def test_a_token_is_bound_to_id_address_and_port():
    tokens = Tokens(lambda n: bytes(range(n)), 7200)
    token = given(tokens)
    assert tokens.is_valid(Shown(token)) == 2
    assert not tokens.is_valid(Shown(token, port=4001))
    assert not tokens.is_valid(Shown(token, ip=b"\x0a\x00\x00\x02"))
    assert not tokens.is_valid(Shown(token, id8=b"iiiiiiij"))


def test_who_shows_no_token_has_none():
    shown = Shown(bytes(8))
    shown.token = 0
    assert not Tokens(lambda n: bytes(range(n)), 7200).is_valid(shown)


def test_tokens_outlive_one_rotation_and_not_two():
    secrets = [bytes((i,)) * 32 for i in range(4)]
    tokens = Tokens(lambda n: secrets.pop(), 7200)
    shown = Shown(given(tokens))
    tokens.rotate(7199)
    assert tokens.is_valid(shown) == 2
    tokens.rotate(7200)
    assert tokens.is_valid(shown) == 1
    tokens.rotate(14400)
    assert not tokens.is_valid(shown)


def test_after_a_long_sleep_no_old_token_is_good():
    secrets = [bytes((i,)) * 32 for i in range(4)]
    tokens = Tokens(lambda n: secrets.pop(), 7200)
    shown = Shown(given(tokens))
    tokens.rotate(20000)
    assert not tokens.is_valid(shown)
