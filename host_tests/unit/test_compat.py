"""Ticks wrap at 2**30 on every runtime; what compat promises of its host."""

from picoswarm.compat import (
    KERNELS,
    MICROPYTHON,
    collect,
    const,
    hasten,
    heap_used,
    sha256,
    ticks_add,
    ticks_diff,
    ticks_ms,
)
from support import unhex

RUNTIMES = ("cpython", "micropython", "qemu")

_PERIOD = 1 << 30
_HALF = 1 << 29


def test_ticks_add_wraps_at_the_period():
    assert ticks_add(0, 1000) == 1000
    assert ticks_add(_PERIOD - 1, 1) == 0
    assert ticks_add(_PERIOD - 1, 1001) == 1000
    assert ticks_add(_PERIOD - 500, 0) == _PERIOD - 500


def test_ticks_add_goes_back_across_zero():
    assert ticks_add(0, -1) == _PERIOD - 1
    assert ticks_add(999, -1000) == _PERIOD - 1


def test_ticks_diff_is_signed():
    assert ticks_diff(1500, 1000) == 500
    assert ticks_diff(1000, 1500) == -500
    assert ticks_diff(7, 7) == 0


def test_ticks_diff_spans_the_wrap():
    assert ticks_diff(10, _PERIOD - 10) == 20
    assert ticks_diff(_PERIOD - 10, 10) == -20


def test_ticks_diff_has_half_a_period_each_way():
    assert ticks_diff(_HALF - 1, 0) == _HALF - 1
    assert ticks_diff(_HALF, 0) == -_HALF
    assert ticks_diff(0, _HALF) == -_HALF
    assert ticks_diff(_HALF + 1, 0) == -(_HALF - 1)


def test_ticks_diff_undoes_ticks_add():
    for start in (0, 1, _HALF - 1, _HALF, _PERIOD - 1):
        for delta in (-(_HALF - 1), -(1 << 20), -1, 0, 1, 1 << 20, _HALF - 1):
            assert ticks_diff(ticks_add(start, delta), start) == delta


def test_ticks_ms_stays_in_the_period_and_does_not_go_back():
    last = ticks_ms()
    for _ in range(100):
        now = ticks_ms()
        assert 0 <= now < _PERIOD
        assert ticks_diff(now, last) >= 0
        last = now


def test_const_gives_its_argument():
    assert const(17) == 17


def test_sha256_is_the_platforms_own():
    digest = sha256(b"abc").digest()
    assert digest == unhex("ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad")


def test_viper_kernels_are_picked_only_where_words_have_32_bits():
    import sys

    if KERNELS == "viper":
        assert MICROPYTHON
        assert sys.maxsize == 0x7FFFFFFF
    else:
        assert KERNELS in ("host", "int")


def test_heap_used_sees_an_allocation():
    collect()
    before = heap_used()
    block = bytearray(4096)
    grown = heap_used() - before
    assert len(block) == 4096
    assert grown >= 4096 if MICROPYTHON else grown == 0


def test_a_task_that_sleeps_is_woken_early_where_the_runtime_can():
    if KERNELS == "host":
        assert hasten(None, 0) is False  # another task takes over
        return
    try:
        import asyncio
    except ImportError:
        return  # no sockets, no tasks
    woken = []

    async def sleeper():
        await asyncio.sleep_ms(600_000)
        woken.append(1)

    async def both():
        task = asyncio.create_task(sleeper())
        await asyncio.sleep_ms(0)
        assert not woken and hasten(task, 5)
        assert not woken
        await task

    asyncio.run(both())
    assert woken == [1]
