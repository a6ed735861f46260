"""Virtual time: the order of events, and that time never goes back."""

import random

from hypothesis import given
from hypothesis import strategies as st
from picoswarm_tools.sim.clock import Clock


def test_events_run_in_the_order_of_their_time():
    clock, seen = Clock(), []
    for at_us in (30, 10, 20):
        clock.at(at_us, seen.append, at_us)
    clock.run_until(100)
    assert seen == [10, 20, 30]
    assert clock.now_us == 100


def test_events_of_one_moment_run_in_the_order_in_which_they_were_set():
    clock, seen = Clock(), []
    for number in range(50):
        clock.at(7, seen.append, number)
    clock.run_until(7)
    assert seen == list(range(50))


def test_an_event_in_the_past_runs_now():
    clock, seen = Clock(start_us=1000), []
    clock.at(3, lambda: seen.append(clock.now_us))
    clock.run_for(1)
    assert seen == [1000]


def test_a_cancelled_timer_does_not_run():
    clock, seen = Clock(), []
    timer = clock.after(5, seen.append, "cancelled")
    clock.after(6, seen.append, "kept")
    clock.cancel(timer)
    clock.cancel(timer)
    clock.cancel(None)
    assert len(clock) == 1
    clock.run_for(10)
    assert seen == ["kept"]
    assert not timer.is_armed


def test_the_heap_does_not_keep_cancelled_timers():
    clock = Clock()
    for _ in range(100_000):
        clock.cancel(clock.after(1_000_000, print))
    assert len(clock) == 0
    assert len(clock._heap) + sum(map(len, clock._later.values())) < 3000


def test_timers_far_and_near_run_in_one_order():
    """Whether a timer went to the heap or to a list of later ones shows nowhere."""
    draws = random.Random(1)
    clock, seen, due = Clock(), [], []

    def act(at_us, number):
        assert clock.now_us == at_us
        seen.append((at_us, number))
        for _ in range(draws.randrange(4) if len(due) < 5000 else 0):
            plan(draws.choice((0, 1, 30_000, 262_143, 262_144, 3_000_000)))

    def plan(delay_us):
        entry = clock.now_us + delay_us, len(due)
        timer = clock.after(delay_us, act, *entry)
        due.append(entry)
        if draws.random() < 0.2:
            clock.cancel(timer)
            due[-1] = None

    for _ in range(50):
        plan(draws.randrange(1_000_000))
    for _ in range(1000):
        clock.run_for(draws.randrange(500_000))
    assert len(clock) == 0
    assert seen == sorted(entry for entry in due if entry)
    assert len(seen) > 3000
    clock.run_for(4_000_000)
    assert clock._cancelled == 0


def test_those_that_stay_keep_their_time_when_many_are_cancelled():
    clock, seen = Clock(), []
    stay = [clock.after(i * 1000, seen.append, i) for i in range(1500)]
    clock.run_for(100_000)  # some of the others lie in the heap then
    for timer in [clock.after(i % 1_400_000, print) for i in range(0, 4_200_000, 1000)]:
        clock.cancel(timer)
    assert len(clock) == len(stay) - 101
    clock.run_for(2_000_000)
    assert seen == [*range(1500)] and len(clock) == 0


def test_run_while_ends_with_the_condition_or_the_limit():
    clock, seen = Clock(), []
    for at_us in range(10, 100, 10):
        clock.at(at_us, seen.append, at_us)
    assert clock.run_while(lambda: len(seen) < 3, limit_us=1000)
    assert clock.now_us == 30
    assert not clock.run_while(lambda: len(seen) < 100, limit_us=1000)
    assert clock.now_us == 1030


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(-20, 50)), max_size=30))
def test_time_never_goes_back(jobs):
    clock, seen = Clock(), []

    def act(delay_us):
        seen.append(clock.now_us)
        if delay_us % 3 == 0:
            clock.after(delay_us, seen.append, None)

    for at_us, delay_us in jobs:
        clock.at(at_us, act, delay_us)
    before = 0
    while clock.step():
        assert clock.now_us >= before
        before = clock.now_us
    times = [at_us for at_us in seen if at_us is not None]
    assert times == sorted(times)
