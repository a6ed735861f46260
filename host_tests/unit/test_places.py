"""What MicroPython looks through for what is not there: no full table of names on the way of each datagram or turn
(docs/architecture.md, "What MicroPython looks through")."""

from picoswarm.compat import MICROPYTHON
from picoswarm.datagram import Codec
from picoswarm.membership import Membership, NetworkKey

RUNTIMES = ("cpython", "micropython", "board")

SIZES = (1, 2, 4, 6, 8, 10, 12, 17, 23, 29, 37, 47, 59)  # of MicroPython's tables, py/map.c


def test_a_codec_that_has_opened_datagrams_has_a_free_place_among_its_attributes():
    codec = Codec(Membership(NetworkKey(bytes(range(32)), 1)), bytes(32), 4)
    codec.lay_out(bytearray(64), 64)
    assert codec.type == 0 and len(codec.__dict__) not in SIZES


def test_the_loop_finds_max_among_its_own_names_and_these_have_a_free_place():
    if MICROPYTHON:
        try:
            from asyncio import core
        except ImportError:  # under qemu there are no sockets, and no asyncio
            return
        assert core.max is max and len(core.__dict__) not in SIZES
