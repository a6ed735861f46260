"""One lookup: whom it asks, in which order, and when it ends (rows D19, D20)."""

from picoswarm.lookup import Lookup
from picoswarm.profile import Profile

RUNTIMES = ("cpython", "micropython", "qemu")

IP = b"\x14\x00\x00\x01"
TARGET = b"\x80" + bytes(31)


def near(n):
    """An id at distance about `n` from TARGET."""
    return b"\x80" + bytes((n >> 8, n & 0xFF)) + bytes(29)


def lookup(is_full=True, target=TARGET, **changes):
    look = Lookup(Profile(**changes))
    look.start(target, is_full)
    return look


def offer(look, n, namer=0, ip=IP):
    look.offer(near(n), 0, ip, 4000 + n, 5000, 0, namer)


def number(look, at):
    return look.pool[at + 1] << 8 | look.pool[at + 2]


def asked(look):
    """The candidate that is asked next, as its number, and its place."""
    at = look.next()
    return (number(look, at), at) if at >= 0 else (None, -1)


def answer(look, at):
    """The candidate at `at` answers and knows nobody new."""
    look.covered(look.beyond(), 0xFFFFFF)
    look.answered(at)


def test_the_closest_are_asked_first_and_two_at_a_time():
    look = lookup()
    for n in (50, 10, 30, 20, 40):
        offer(look, n)
    first, at = asked(look)
    second, _ = asked(look)
    assert (first, second) == (10, 20)
    assert look.next() == -1
    look.answered(at)
    assert asked(look)[0] == 30


def test_the_full_rule_ends_when_the_eight_closest_have_answered():
    look = lookup()
    for n in range(10, 30):
        offer(look, n)
    answered = []
    while not look.is_done():
        n, at = asked(look)
        answered.append(n)
        answer(look, at)
    assert answered == list(range(10, 18))
    assert [r[0] for r in look.results()] == [near(n) for n in range(10, 18)]


def test_who_does_not_answer_is_passed_over():
    look = lookup()
    for n in range(10, 22):
        offer(look, n)
    while not look.is_done():
        n, at = asked(look)
        if n % 3 == 0:
            look.failed(at)
        else:
            look.answered(at)
    assert [r[2] - 4000 for r in look.results()] == [10, 11, 13, 14, 16, 17, 19, 20]


def test_a_lookup_without_candidates_is_done_at_once():
    assert lookup().is_done()


def test_two_silent_nodes_discredit_who_named_them():
    look = lookup()
    liar = look.namer()
    honest = look.namer()
    for n in range(1, 6):
        offer(look, n, liar)
    for n in range(20, 30):
        offer(look, n, honest)
    pings = 0
    while not look.is_done():
        n, at = asked(look)
        if n < 10:
            pings += 1
            look.failed(at)
        else:
            look.answered(at)
    assert pings == 2
    assert len(look.results()) == 8


def test_of_two_asked_at_once_each_is_named_by_another():
    look = lookup()
    a, b = look.namer(), look.namer()
    for n in (1, 2, 3):
        offer(look, n, a)
    offer(look, 4, b)
    assert (asked(look)[0], asked(look)[0]) == (1, 4)


def test_the_wanted_id_is_asked_alone():
    look = lookup(False, near(20))
    for n in (20, 21, 22):
        offer(look, n)
    n, at = asked(look)
    assert n == 20 and look.is_wanted(at)
    assert look.next() == -1
    look.failed(at)
    assert asked(look)[0] is not None and not look.is_found


def test_a_wrong_address_for_the_wanted_id_does_not_hide_a_right_one():
    look = lookup(False, near(20))
    a, b = look.namer(), look.namer()
    offer(look, 20, a)
    _, at = asked(look)
    look.failed(at)
    look.offer(near(20), 0, b"\x14\x00\x00\x02", 9, 9, 0, b)
    n, at = asked(look)
    assert n == 20 and look.pool[at + 43] == 2


def test_a_second_word_about_a_known_id_changes_nothing():
    look = lookup()
    offer(look, 5)
    look.offer(near(5), 0, b"\x14\x00\x00\x63", 9999, 9, 0, look.namer())
    at = look.next()
    assert look.pool[at + 43] == 1
    assert asked(look) == (None, -1)


def test_a_full_list_keeps_the_closest():
    look = lookup(lookup_candidates=8)
    for n in range(40, 0, -2):
        offer(look, n)
    numbers = []
    while not look.is_done():
        n, at = asked(look)
        numbers.append(n)
        answer(look, at)
    assert numbers == [2, 4, 6, 8, 10, 12, 14, 16]


def test_at_most_24_queries_whatever_is_named():
    look = lookup()
    n = 4000
    asked_n = 0
    offer(look, n)
    while not look.is_done():
        _, at = asked(look)
        look.queries += 1
        asked_n += 1
        n -= 10
        offer(look, n)  # always somebody closer
        look.answered(at)
    assert asked_n == 24


def test_the_full_rule_asks_for_the_stretch_that_fewest_answers_covered():
    look = lookup()
    for n in range(1, 13):
        offer(look, n)
    asked_for = []
    for _ in range(7):
        beyond = look.beyond()
        asked_for.append(beyond)
        look.covered(beyond, beyond + 4)  # an answer names the next four
    assert asked_for == [0, 0, 0, 4, 4, 4, 0]


def test_somebody_closer_than_all_before_is_asked_from_the_start():
    look = lookup()
    for n in range(2, 13):
        offer(look, n)
    for _ in range(3):
        assert look.beyond() == 0
        look.covered(0, 0xFFFFFF)
    look.covered(0, 0xFFFFFF)
    offer(look, 1)
    assert look.beyond() == 0


def test_who_answered_is_asked_again_while_a_gap_is_covered_too_little():
    look = lookup()
    offer(look, 5)
    questions = 0
    while not look.is_done():
        n, at = asked(look)
        assert n == 5
        questions += 1
        look.covered(look.beyond(), 6)
        look.answered(at)
    assert questions == 2


def test_a_lookup_for_one_id_asks_from_the_start():
    look = lookup(False)
    for n in range(1, 13):
        offer(look, n)
    assert [look.beyond() for _ in range(5)] == [0] * 5
