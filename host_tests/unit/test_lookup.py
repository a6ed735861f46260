"""One lookup: whom it asks, in which order, and when it ends (rows D19, D20)."""

from picoswarm.lookup import Lookup
from picoswarm.profile import Profile

RUNTIMES = ("cpython", "micropython", "board")

IP = b"\x14\x00\x00\x01"
TARGET = b"\x80" + bytes(31)


def near(n):
    """An id at distance about `n` from TARGET."""
    return b"\x80" + bytes((n >> 8, n & 0xFF)) + bytes(29)


def lookup(is_full=True, target=TARGET, purpose=0, **changes):
    p = Profile(**changes)
    look = Lookup((p.lookup_result, p.alpha, p.lookup_queries, p.lookup_candidates, p.ipv6))
    look.start(target, is_full, purpose)
    return look


def offer(look, n, namer=-1, ip=IP):
    look.offer(near(n), 0, ip, 4000 + n, 5000, 0, namer)


def number(look, at):
    return look.pool[at + 1] << 8 | look.pool[at + 2]


def asked(look):
    """The candidate that is asked next, as its number, and its place."""
    at = look.next()
    if at < 0:
        return None, at
    look.pool[at + 37] = 2
    return number(look, at), at


def answer(look, at, last=0x1000000):
    """The candidate at `at` answers and knows nobody new up to the distance `last`."""
    if look.wants(at):
        look.covered(at, look.beyond(at), last)
    look.ended(at, True)


def answers(look, is_silent=lambda n: False):
    """Run to the end with peers that know nobody new; returns who answered, in order."""
    told = []
    n, at = asked(look)
    while at >= 0:
        if is_silent(n):
            look.ended(at, False)
        else:
            told.append(n)
            answer(look, at)
        n, at = asked(look)
    assert at == -2
    return told


def test_the_closest_are_asked_first_and_two_at_a_time():
    look = lookup()
    for n in (50, 10, 30, 20, 40):
        offer(look, n)
    first, at = asked(look)
    second, _ = asked(look)
    assert (first, second) == (10, 20)
    assert look.next() == -1
    answer(look, at)
    assert asked(look)[0] == 30


def test_the_full_rule_ends_when_the_eight_closest_have_answered():
    look = lookup()
    for n in range(10, 30):
        offer(look, n)
    assert answers(look) == list(range(10, 18))
    assert [r[0] for r in look.results()] == [near(n) for n in range(10, 18)]


def test_each_of_the_eight_tells_of_its_surroundings_once():
    look = lookup()
    for n in range(10, 30):
        offer(look, n)
    answers(look)
    assert look.queries == 8


def test_two_answers_are_enough_for_upkeep_where_nobody_knows_more():
    look = lookup(purpose=1)
    for n in range(10, 30):
        offer(look, n)
    answers(look)
    assert look.queries == 2  # the other six of the eight only prove that they live


def test_who_does_not_answer_is_asked_once_more_and_passed_over():
    look = lookup()
    for n in range(10, 22):
        offer(look, n)
    silences = []
    answers(look, lambda n: n % 3 == 0 and not silences.append(n))
    assert sorted(silences) == [12, 12, 15, 15, 18, 18]
    assert [r[2] - 4000 for r in look.results()] == [10, 11, 13, 14, 16, 17, 19, 20]


def test_a_lookup_without_candidates_is_done_at_once():
    assert lookup().next() == -2


def test_two_silent_nodes_discredit_who_named_them():
    look = lookup()
    offer(look, 40)
    offer(look, 41)
    liar, honest = asked(look)[1], asked(look)[1]
    for n in range(1, 6):
        offer(look, n, liar)
    for n in range(20, 30):
        offer(look, n, honest)
    look.ended(liar, True)
    look.ended(honest, True)
    order = []
    answers(look, lambda n: n < 10 and not order.append(n))
    assert order[:2] == [1, 2] and len(order) <= 7  # the rest but once, when the honest have answered
    assert [r[2] - 4000 for r in look.results()] == list(range(20, 28))


def test_whose_named_nodes_are_silent_is_asked_nothing_more():
    look = lookup()
    offer(look, 40)
    _, liar = asked(look)
    for n in (1, 2):
        offer(look, n, liar)
    look.ended(liar, True)
    assert look.wants(liar)
    for _ in range(2):
        look.ended(asked(look)[1], False)
    assert not look.wants(liar)


def test_of_two_asked_at_once_each_is_named_by_another():
    look = lookup()
    offer(look, 40)
    offer(look, 41)
    a, b = asked(look)[1], asked(look)[1]
    for n in (1, 2, 3):
        offer(look, n, a)
    offer(look, 4, b)
    look.ended(a, True)
    look.ended(b, True)
    assert (asked(look)[0], asked(look)[0]) == (1, 4)


def test_the_wanted_id_is_asked_alone():
    look = lookup(False, near(20))
    for n in (20, 21, 22):
        offer(look, n)
    n, at = asked(look)
    assert n == 20 and not look.wants(at)  # a ping is all that it gets
    assert look.next() == -1
    look.ended(at, False)
    assert asked(look)[0] is not None and not look.is_found


def test_the_wanted_id_ends_the_lookup():
    look = lookup(False, near(20))
    for n in (20, 21, 22):
        offer(look, n)
    look.ended(asked(look)[1], True)
    assert look.is_found and look.next() == -2


def test_a_wrong_address_for_the_wanted_id_does_not_hide_a_right_one():
    look = lookup(False, near(20))
    offer(look, 40)
    offer(look, 41)
    a, b = asked(look)[1], asked(look)[1]
    look.ended(a, True)
    look.ended(b, True)
    offer(look, 20, a)
    look.ended(asked(look)[1], False)
    look.offer(near(20), 0, b"\x14\x00\x00\x02", 9, 9, 0, b)
    n, at = asked(look)
    assert n == 20 and look.pool[at + 43] == 2


def test_a_second_word_about_a_known_id_changes_nothing():
    look = lookup()
    offer(look, 5)
    look.offer(near(5), 0, b"\x14\x00\x00\x63", 9999, 9, 0)
    _, at = asked(look)
    assert look.pool[at + 43] == 1
    assert asked(look) == (None, -1)


def test_a_full_list_keeps_the_closest():
    look = lookup(lookup_candidates=8)
    for n in range(40, 0, -2):
        offer(look, n)
    assert answers(look) == [2, 4, 6, 8, 10, 12, 14, 16]


def test_a_full_list_makes_room_though_its_farthest_is_awaited():
    look = lookup(lookup_candidates=8)
    offer(look, 90)
    assert asked(look)[0] == 90
    for n in range(8, 0, -1):
        offer(look, n)
    assert asked(look)[0] == 1
    assert {number(look, i * look._step) for i in look._order} == {1, 2, 3, 4, 5, 6, 7, 90}


def test_at_most_24_queries_whatever_is_named():
    look = lookup()
    n = 4000
    offer(look, n)
    _, at = asked(look)
    while at >= 0:
        if look.wants(at):
            n -= 10
            offer(look, n, at)  # always somebody closer
        answer(look, at, 0)
        _, at = asked(look)
    assert look.queries == 24 and at == -2


def test_a_question_that_is_sent_again_counts_and_none_follows_the_24th():
    look = lookup()
    offer(look, 1)
    _, at = asked(look)
    assert [look.beyond(at) for _ in range(26)] == [0] * 24 + [-1] * 2
    assert look.queries == 24


def questions_of(look):
    """Run to the end with peers that name the next four of 1..12: who was asked, and for those beyond what."""
    for n in range(1, 13):
        offer(look, n)
    questions = []
    n, at = asked(look)
    while at >= 0:
        if look.wants(at):
            beyond = look.beyond(at)
            questions.append((n, beyond))
            look.covered(at, beyond, beyond + 4)
        look.ended(at, True)
        n, at = asked(look)
    return questions


def test_each_gap_is_covered_by_the_one_behind_it_and_the_two_before_it():
    questions = questions_of(lookup())
    assert questions == [(1, 0), (2, 0), (3, 0), (4, 3), (5, 4), (6, 5), (7, 6), (8, 7), (3, 4)]
    for gap in range(8):  # behind the node of that number
        covers = [n for n, beyond in questions if beyond <= gap < beyond + 4]
        assert {gap - 1, gap, gap + 1} - {-1, 0} <= set(covers) and len(covers) >= 3


def test_upkeep_has_each_gap_covered_by_any_two_of_the_closest():
    assert questions_of(lookup(purpose=1)) == [(1, 0), (2, 0), (3, 4), (4, 4)]


def test_a_node_that_only_the_last_of_the_eight_knows_is_found():
    look = lookup()
    for n in (1, 2, 3, 4, 5, 6, 7, 9):
        offer(look, n)
    n, at = asked(look)
    while at >= 0:
        if look.wants(at):
            beyond = look.beyond(at)
            if n == 9 and beyond < 8 << 8:
                offer(look, 8, at)
            look.covered(at, beyond, 0x1000000)
        look.ended(at, True)
        n, at = asked(look)
    assert [r[2] - 4000 for r in look.results()] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_word_of_who_is_far_away_does_not_count():
    look = lookup(lookup_result=2)
    for n in (10, 11):
        offer(look, n)
    for _ in range(2):
        answer(look, asked(look)[1])
    for n in (1, 2):
        offer(look, n)
    for beyond in (0, 0):
        _, at = asked(look)
        assert look.wants(at) and look.beyond(at) == beyond  # though two answers covered all
        look.covered(at, beyond, 0x1000000)
        look.ended(at, True)


def test_who_answered_is_asked_once_more_while_a_gap_is_covered_too_little():
    look = lookup()
    offer(look, 5)
    questions = []
    _, at = asked(look)
    while at >= 0:
        questions.append(look.beyond(at))
        look.covered(at, questions[-1], questions[-1] + 1)
        look.ended(at, True)
        _, at = asked(look)
    assert questions == [0, 5]


def test_a_lookup_for_one_id_asks_from_the_start():
    look = lookup(False)
    for n in range(1, 13):
        offer(look, n)
    for _ in range(5):
        _, at = asked(look)
        assert look.wants(at) and look.beyond(at) == 0
        look.ended(at, True)


def test_before_an_id_is_given_up_more_of_the_own_table_is_asked():
    look = lookup(is_full=False)
    for n in range(1, 9):
        offer(look, n)
    for n in range(20, 25):
        offer(look, n, namer=0)
    assert answers(look) == list(range(1, 9))
    assert look.widen() and look.is_new
    for n in list(range(1, 9)) + list(range(30, 38)):
        offer(look, n)
    assert answers(look) == list(range(30, 38)) and not look.widen()


def test_who_was_silent_is_not_asked_again_when_more_of_the_own_table_is():
    look = lookup(is_full=False)
    for n in (1, 2):
        offer(look, n)
    assert answers(look, lambda n: n == 2) == [1]
    assert look.widen()
    for n in (2, 3):
        offer(look, n)
    assert answers(look) == [3]


def test_a_lookup_that_found_its_id_and_one_for_all_that_are_near_look_no_farther():
    found = lookup(is_full=False)
    found.offer(TARGET, 0, IP, 4000, 5000, 0, -1)
    assert answers(found) == [0] and found.is_found and not found.widen()
    whole = lookup()
    offer(whole, 1)
    assert answers(whole) == [1] and not whole.widen()


def test_a_look_into_a_sparse_bucket_ends_with_half_as_many():
    look = lookup(purpose=2)
    for n in range(10, 100, 10):
        offer(look, n)
    told = answers(look)
    assert told == [10, 20, 30, 40]
    assert [result[0] for result in look.results()] == [near(n) for n in told]


def test_a_lookup_that_is_begun_again_wants_as_many_as_its_purpose_says():
    look = lookup(purpose=2)
    for purpose, wanted in ((1, 8), (2, 4), (2, 4), (1, 8)):
        look.start(TARGET, True, purpose)
        for n in range(10, 100, 10):
            offer(look, n)
        answers(look)
        assert len(look.results()) == wanted


def test_news_are_those_who_answered_and_were_named():
    look = lookup(purpose=1)
    for n in range(10, 100, 10):
        offer(look, n)
    _, first = asked(look)
    answer(look, first)
    assert look.news() == 0
    offer(look, 5, first)
    offer(look, 6, first)
    offer(look, 500, first)
    answers(look, lambda n: n == 6)
    five = near(5)
    assert look.news() == five[0] << 16 | five[1] << 8 | five[2]  # not the silent one, nor who needed no question
