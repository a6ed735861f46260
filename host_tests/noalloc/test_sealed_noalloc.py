"""A record is sealed and opened without taking memory: under a locked heap, and by the byte count of an open one (see
test_cipher_noalloc.py)."""

from locked_heap import takes_nothing
from support import needs_machine_code

needs_machine_code()

from picoswarm.sealed import Sealed  # noqa: E402

RUNTIMES = ("micropython", "qemu")

_sealer = Sealed(bytes(32))
_opener = Sealed(bytes(32))
_buf = bytearray(800)


def _pass_records():
    for at in (0, 1, 2, 3):
        for size in (0, 64, 700):
            end = _sealer.seal(_buf, at, at + 2 + size)
            assert _opener.open(_buf, at, end) == at + 2 + size


def _carry():
    _sealer._nonce[4] = _sealer._nonce[5] = 255
    _opener._nonce[4] = _opener._nonce[5] = 255
    _pass_records()


def _refuse():
    end = _sealer.seal(_buf, 0, 66)
    _buf[5] ^= 1
    assert _opener.open(_buf, 0, end) == -1
    assert _opener.open(_buf, 0, 17) == -1
    _buf[5] ^= 1
    assert _opener.open(_buf, 0, end) == 66


def test_records_take_nothing():
    takes_nothing(_pass_records)


def test_a_carry_of_the_noncetakes_nothing():
    takes_nothing(_carry)


def test_a_refused_recordtakes_nothing():
    takes_nothing(_refuse)
