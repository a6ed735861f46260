"""Forked futures of one state."""

import os

import pytest
from picoswarm_tools.sim.fork import futures


def test_every_future_begins_in_the_same_state():
    state = [0]

    def work(step):
        state[0] += step
        return state[0], os.getpid()

    results = list(futures([lambda step=step: work(step) for step in range(1, 6)], jobs=2))
    assert [value for value, _ in results] == [1, 2, 3, 4, 5]
    assert len({pid for _, pid in results} | {os.getpid()}) == 6
    assert state == [0]


def test_an_error_of_a_future_is_raised_with_its_traceback():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(futures([lambda: 1 // 0]))


def test_a_future_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match="without a result"):
        list(futures([lambda: os._exit(3)]))


def test_large_results_come_whole():
    assert list(futures([lambda: bytes(3_000_000)])) == [bytes(3_000_000)]
