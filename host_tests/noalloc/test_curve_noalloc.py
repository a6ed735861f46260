"""The field engine takes no memory: not under a locked heap, and not by the byte count of an open one."""

import gc

import micropython
from support import needs_machine_code

needs_machine_code()

from picoswarm.curve_viper import _BIT, X25519  # noqa: E402
from picoswarm.field_viper import CHAIN, INVERSE, compute, repeat, unpack  # noqa: E402

RUNTIMES = ("micropython", "qemu")

_workspace = bytearray(80 * 11)
_bits = bytearray(range(32))
_element = bytes(range(32))
_job = X25519(_element, _element)


def _taken(function):
    """Bytes that `function` allocates on an open heap."""
    function()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    function()
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def _check(function):
    assert _taken(function) == 0
    micropython.heap_lock()
    try:
        function()
    finally:
        micropython.heap_unlock()


def _ladder():
    unpack(_workspace, _element)
    repeat(_BIT, _workspace, _bits, 240, 8)


def _inversion():
    compute(CHAIN, _workspace)
    compute(INVERSE, _workspace)


def test_a_slice_of_the_ladder_takes_no_memory():
    _check(_ladder)


def test_an_inversion_takes_no_memory():
    _check(_inversion)


def test_a_step_of_an_agreement_takes_no_memory():
    _check(_job.step)
