"""Instructions that code takes on the emulated board, counted exactly (picoswarm_tools/qemu.py has the arithmetic).

    from instructions import start, stop, count, count_steps
    start(); work(); n = stop()                      up to 1.34e9 instructions
    n = count(function, *args)                       one call, all of it
    total, longest, steps = count_steps(job)         of a job: `longest` is what it holds the loop for

What MicroPython does between the two readings of the timer when there is nothing to count is taken off; what is left of
it is under 60 instructions around `start` and `stop`, and the call itself (about 1,000) in `count`.
"""

# ruff: noqa: F821  (micropython and ptr32 are names that the viper compiler knows)
import gc

_readings = bytearray(8)  # of the timer, which counts down: at the start, at the end


@micropython.viper
def start_timer():
    """Let the timer run over its whole 32 bits."""
    timer = ptr32(0x40000000)
    timer[2] = -1  # reload
    timer[1] = -1  # value
    timer[0] = 1  # enabled, no interrupt


@micropython.viper
def start():
    """Begin to count: the reading is the last thing done."""
    readings = ptr32(_readings)
    timer = ptr32(0x40000000)
    readings[0] = timer[1]


@micropython.viper
def stop() -> object:
    """Instructions since `start`: the reading is the first thing done."""
    timer = ptr32(0x40000000)
    now = timer[1]
    readings = ptr32(_readings)
    readings[1] = now
    return _counted()


def _counted():
    before = int.from_bytes(_readings[:4], "little")
    after = int.from_bytes(_readings[4:], "little")
    # 16/5 = 3.2 ticks an instruction.
    return ((((before - after) & 0xFFFFFFFF) * 5 + 8) >> 4) - _overhead


def count(function, *args):
    """Instructions of one call `function(*args)`, after a garbage collection so that none falls into it."""
    gc.collect()
    begin, end = start, stop
    begin()
    function(*args)
    return end()


def count_steps(job):
    """Drive a job (`step() -> bool`, True while work is left) to its end: (all instructions, longest step, steps)."""
    begin, end, step = start, stop, job.step
    total = longest = steps = 0
    more = True
    gc.collect()
    while more:
        begin()
        more = step()
        n = end()
        total += n
        longest = max(longest, n)
        steps += 1
    return total, longest, steps


def _nothing():
    """What lies between the two readings when there is nothing to count."""
    begin, end = start, stop
    begin()
    return end()


start_timer()
_overhead = 0
_overhead = _nothing()
