"""How the tasks of a node share the loop: long turns do not follow each other, and garbage has a turn of its own."""

from picoswarm.compat import collect, heap_used, threshold, ticks_add, ticks_ms
from picoswarm.pace import LINKS, READER, Pace

RUNTIMES = ("cpython", "micropython")
TIMER = 2  # of the driver
LONG = 15  # ms


class Loop:
    """Tasks that have long turns whenever `pace` lets them, and one that has short ones; whoever waited longest comes first,
    as in asyncio."""

    def __init__(self, *tasks, now=0):
        self.pace = Pace()
        self.now = now
        self.due = [(task, now) for task in (0,) + tasks]
        self.turns = []

    def run(self, count):
        while len(self.turns) < count:
            self.due.sort(key=lambda each: each[1])
            task = self.due.pop(0)[0]
            wait = 0
            if not task:
                self.turns.append(0)
                wait = 2
            elif not self.pace.waits(task, self.now):
                self.turns.append(task)
                began = self.now
                self.now = ticks_add(began, LONG)
                self.pace.ended(task, began, self.now)
            self.due.append((task, self.now + wait))
            self.now = ticks_add(self.now, 1)
        return self.turns


def _follow_each_other(turns):
    return [pair for pair in zip(turns, turns[1:]) if 0 not in pair and pair[0] != pair[1]]


def test_between_long_turns_of_two_tasks_the_others_have_theirs():
    turns = Loop(LINKS, TIMER).run(60)
    assert not _follow_each_other(turns)
    turns = Loop(LINKS, TIMER, READER).run(90)
    assert not _follow_each_other(turns)


def test_each_task_with_long_turns_has_its_share():
    for tasks in (LINKS, TIMER), (LINKS, TIMER, READER):
        turns = Loop(*tasks).run(200)
        counts = [turns.count(task) for task in tasks]
        assert max(counts) - min(counts) <= 2, counts


def test_who_is_alone_with_long_turns_waits_for_nobody():
    pace = Pace()
    for i in range(1, 6):
        assert not pace.waits(LINKS, i * LONG)
        pace.ended(LINKS, i * LONG, (i + 1) * LONG)


def test_a_task_that_ended_while_it_waited_keeps_nobody_waiting():
    pace = Pace()
    pace.ended(LINKS, 100 - LONG, 100)
    assert pace.waits(READER, 100)
    assert pace.waits(LINKS, 101)
    assert not pace.waits(LINKS, 120)


def test_short_turns_follow_each_other():
    pace = Pace()
    pace.ended(LINKS, 998, 1000)
    assert not pace.waits(READER, 1000)


def test_garbage_is_collected_at_half_of_what_makes_micropython_do_so():
    pace = Pace()
    if not heap_used():  # CPython
        assert threshold() < 0 and not pace.sweep(LINKS, ticks_ms())
        return
    import gc

    gc.threshold(8192)
    try:
        collect()
        least = heap_used()
        for enough in (False, True):
            bytearray(2500)
            used = heap_used()
            pace.sweep(LINKS, ticks_ms())
            assert (heap_used() < used) == enough, (enough, least, used, heap_used())
        assert gc.threshold() == 8192
    finally:
        gc.threshold(-1)


def test_who_comes_late_collects_no_garbage():
    """A task that waited for a turn of 5 ms and then for a collection waited for 19 ms on an RP2040."""
    if not heap_used():  # CPython
        return
    import gc

    gc.threshold(8192)
    pace = Pace()
    try:
        collect()
        bytearray(5000)
        used = heap_used()
        assert not pace.sweep(LINKS, ticks_add(ticks_ms(), -5)) and heap_used() >= used
        pace.sweep(LINKS, ticks_ms())
        assert heap_used() < used
    finally:
        gc.threshold(-1)


def test_a_full_heap_ends_no_task():
    if not heap_used():  # CPython
        return
    import gc

    gc.threshold(8192)
    pace = Pace()
    full = None
    try:
        while True:
            full = (full,)
    except MemoryError:
        try:
            pace.sweep(LINKS, ticks_ms())
            pace.ended(READER, 900, 1000)
        finally:
            full = None
            kept = gc.threshold()
            gc.threshold(-1)
    assert kept == 8192


class Littered(Pace):
    """The pace where there is always garbage to collect."""

    def sweep(self, who, due):
        return True


def test_two_tasks_in_turn_keep_each_other_from_no_turn_by_collecting():
    pace = Littered()
    turns = []
    due = {LINKS: 1, READER: 1}
    for _ in range(4):
        for who in LINKS, READER:
            due[who] = pace.holds(who, due[who])
            if not due[who]:
                turns.append(who)
                due[who] = ticks_ms() or 1
    assert turns == [LINKS, READER, LINKS, READER]


def test_who_waited_for_data_collects_no_garbage():
    assert Littered().holds(READER, 1) and not Littered().holds(READER, 0)
