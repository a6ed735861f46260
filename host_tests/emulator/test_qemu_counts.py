"""The instruction counter is exact: a loop whose length is known gives that length, every time, on both boards."""

import pytest
from on_micropython import LONG
from picoswarm_tools import qemu

# Two instructions a pass, by construction.
PROLOGUE = """
from instructions import count, count_steps, start, stop

@micropython.asm_thumb
def spin(r0):
    label(again)
    sub(r0, r0, 1)
    bne(again)

count(spin, 1)  # what a first call adds: lookups that are remembered
"""


@pytest.fixture(params=["m3", "m0"])
def run(request):
    """Run a program on each board; returns the numbers of each line that it printed."""

    def run(program: str) -> list[list[int]]:
        printed = qemu.run(request.param, {}, PROLOGUE + program, timeout_s=240)
        return [[int(number) for number in line.split()] for line in printed.splitlines()]

    return run


def test_a_loop_of_known_length_is_counted_to_the_instruction(run):
    passes = (1, 2, 3, 10, 1_000, 1_000_000)
    program = "".join(f"print(count(spin, {n}), count(spin, {n}))\n" for n in passes)
    first, *others = run(program)
    call = first[0] - 2
    assert 0 < call < 2_000
    for n, counts in zip(passes[1:], others, strict=True):
        assert counts == [call + 2 * n] * 2


def test_nothing_counts_next_to_nothing(run):
    ((n, again),) = run(
        """
def nothing():
    begin, end = start, stop
    begin()
    return end()
print(nothing(), nothing())
"""
    )
    assert n == again
    assert 0 <= n < 60  # a function of another module costs MicroPython a change of globals


def test_long_counts_lose_nothing(run):
    """Past 167 M, where 25.6 timer ticks an instruction would have wrapped; the long run counts 1e9."""
    passes = 500_000_000 if LONG else 100_000_000
    ((short, full),) = run(f"print(count(spin, 1), count(spin, {passes}))\n")
    assert full - short == 2 * (passes - 1)


def test_a_job_is_counted_step_by_step(run):
    (lengths, (total, longest, steps), (again, *_)) = run(
        """
class Job:
    def __init__(self):
        self.left = [20_000, 50_000, 10_000]

    def step(self):
        spin(self.left.pop())
        return bool(self.left)

alone = [count(spin, n) for n in (10_000, 50_000, 20_000)]
print(*alone)
print(*count_steps(Job()))
print(*count_steps(Job()))
"""
    )
    assert steps == 3
    assert abs(again - total) < 1_000  # memory is found at another place
    step_overhead = total - sum(lengths)
    assert 0 <= step_overhead < 3 * 3_000
    assert 0 <= longest - lengths[1] < 3_000


def test_two_runs_are_the_same_run(run):
    program = "import os\nfrom time import ticks_ms\nprint(count(bytearray, 5_000), ticks_ms(), os.urandom(1)[0])\n"
    assert run(program) == run(program)
