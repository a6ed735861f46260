"""Which entry is pinged when (row D22)."""

from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.profile import Profile
from picoswarm.revalidation import Revalidation

RUNTIMES = ("cpython", "micropython", "board")


class OneRecord:
    """A table whose longest unasked entry is record 7."""

    def __init__(self, entries=1):
        self.entries = entries

    def longest_unasked(self, uptime):
        return 7


def revalidation(now=0):
    return Revalidation(Profile(), lambda n: bytes(n), now)


def test_one_entry_a_minute_and_never_later():
    r = revalidation()
    assert r.run(OneRecord(), 59000, 0) == -1
    assert r.run(OneRecord(), 60000, 0) == 7
    assert r.run(OneRecord(), 60000, 0) == -1
    assert r.due == 120000


def test_a_table_larger_than_a_board_s_has_no_longer_turns():
    for entries, wait in ((128, 60000), (200, 38400), (256, 29952), (1024, 7424)):
        r = revalidation()
        r.run(OneRecord(entries), 60000, 0)
        assert r.due == 60000 + wait


def test_turns_are_jittered_early():
    for byte in (0, 100, 255):
        r = Revalidation(Profile(), lambda n: bytes((byte,)) * n, 0)
        assert 54000 <= r.due <= 60000


def test_a_suspect_is_asked_after_1_2_and_4_seconds():
    for misses, wait in ((0, 1000), (1, 1000), (2, 2000), (3, 4000)):
        r = revalidation()
        r.suspect(3, misses, 100)
        assert r.due == 100 + wait
        assert r.run(OneRecord(), 99 + wait, 0) == -1
        assert r.run(OneRecord(), 100 + wait, 0) == 3
        assert r.run(OneRecord(), 100 + wait, 0) == -1


def test_one_that_answered_is_no_suspect():
    r = revalidation()
    r.suspect(3, 1, 0)
    r.acquit(3)
    assert r.run(OneRecord(), 5000, 0) == -1


def test_the_turn_comes_across_the_wrap_of_the_ticks():
    start = 0x3FFFFFFF - 30000
    r = revalidation(start)
    assert ticks_diff(r.due, start) == 60000
    assert r.run(OneRecord(), ticks_add(start, 59999), 0) == -1
    assert r.run(OneRecord(), ticks_add(start, 60000), 0) == 7
