"""Whether code takes memory: asked of the heap under a lock, and by its byte count (see noalloc/test_cipher_noalloc.py)."""

import gc

import micropython


def does_without(function):
    """Assert that a call of `function` does without the heap; its first call may grow what stays."""
    function()
    gc.collect()
    micropython.heap_lock()
    try:
        function()
    finally:
        micropython.heap_unlock()


def takes_nothing(function):
    """Assert that a call of `function` leaves the heap as it was, and does without."""
    does_without(function)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    function()
    taken = gc.mem_alloc() - before
    gc.enable()
    assert taken == 0, taken
