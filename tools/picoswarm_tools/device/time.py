"""The emulator port has no `time`: milliseconds of emulated time, at 128 ns an instruction, from the board's timer."""

from instructions import start_timer
from machine import mem32

start_timer()
_last = mem32[0x40000004]
_passed = 0  # timer ticks, 25,000 a millisecond
_MASK = 0x3FFFFFFF


def _ticks():
    """Timer ticks since the import; right as long as it is asked at least every 171 emulated seconds."""
    global _last, _passed
    now = mem32[0x40000004]
    _passed += (_last - now) & 0xFFFFFFFF  # it counts down
    _last = now
    return _passed


def ticks_ms():
    return _ticks() // 25_000 & _MASK


def ticks_us():
    return _ticks() // 25 & _MASK


@micropython.viper  # noqa: F821  (machine code, as they are on a board)
def ticks_add(ticks: int, delta: int) -> int:
    return (ticks + delta) & 0x3FFFFFFF


@micropython.viper  # noqa: F821
def ticks_diff(a: int, b: int) -> int:
    return ((a - b + 0x20000000) & 0x3FFFFFFF) - 0x20000000


def time():
    return _ticks() // 25_000_000


def sleep_ms(ms):
    """Wait, by counting instructions as everything here does."""
    end = _ticks() + ms * 25_000
    while _ticks() < end:
        pass
