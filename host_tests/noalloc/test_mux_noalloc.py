"""Messages of one length pass a session without memory, under a locked heap and by the account of an open one; a message of
another length costs the two objects of a view. A queue is a list, which has room for four and grows and shrinks beyond."""

import gc

from locked_heap import does_without
from muxing import BULK, URGENT, Pair
from support import needs_machine_code

needs_machine_code()

RUNTIMES = ("micropython", "qemu")

_message = bytes(64)
_pair = Pair()
_pair.b.forgets = True


def _nothing(channel, view):
    pass


_pair.b.mux.on_message = _nothing
_a, _b = _pair.a, _pair.b


def _pass(waiting=4):
    """Two channels take turns: records of several messages, credit given back."""
    now = _pair.now
    a, b = _a.mux, _b.mux
    for _ in range(30):
        for _ in range(waiting):
            a.try_send(BULK, _message)
            a.try_send(URGENT, _message)
        n = a.fill(_a.out, 2, 770, now)
        while n > 2:
            assert b.receive(_a.out, 2, n, now) == 0
            n = b.fill(_b.out, 2, 770, now)
            if n > 2:
                assert a.receive(_b.out, 2, n, now) == 0
            n = a.fill(_a.out, 2, 770, now)
        a.tick(now)
        a.due(now)


def _stream():
    """A stream of which both ends are open already."""
    now = _pair.now
    a, b = _a.mux, _b.mux
    for _ in range(30):
        assert a.try_send(_id, _message)
        n = a.fill(_a.out, 2, 770, now)
        assert b.receive(_a.out, 2, n, now) == 0
        assert b.readable(_id) == 64
        b.read(_id, _b.buf, 0, 256)
        n = b.fill(_b.out, 2, 770, now)
        if n > 2:
            assert a.receive(_b.out, 2, n, now) == 0


_id = _a.mux.open(b"/echo", 5)
_pair.settle()
_b.events()


def _keeps_nothing(function, *args):
    function(*args)
    gc.collect()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    function(*args)
    taken = gc.mem_alloc() - before
    gc.enable()
    assert taken == 0, taken


def test_messages_take_nothing():
    does_without(_pass)
    _keeps_nothing(_pass)
    _keeps_nothing(_pass, 8)


def test_a_stream_takes_nothing():
    does_without(_stream)
    _keeps_nothing(_stream)
