"""The ciphers of the device take no memory once a key is set: not under a locked heap, and not by the byte count of an
open one (MicroPython moves large call frames to the C stack when the heap is locked, so the lock alone proves less)."""

import gc

import micropython
from support import needs_machine_code

needs_machine_code()

from picoswarm.aead_viper import Aead, _mac, _work, equal  # noqa: E402
from picoswarm.cipher_viper import ChaCha20, Hmac  # noqa: E402

RUNTIMES = ("micropython", "qemu")

_BARE = 3  # plain Poly1305, a mode of _mac
_KEY = bytes(range(32))
_NONCE = bytes(range(20))
_AD = b"associated data"
_buf = bytearray(700)
_tag = bytearray(16)
_view = memoryview(_NONCE)[8:]
_cipher = ChaCha20(_KEY)
_aead = Aead(_KEY)
_hmac = Hmac(_KEY)


def _stream():
    _cipher.xor(_NONCE, 3, 7, _buf, 0, 512)
    _cipher.xor(_NONCE, 0, 0, _buf, 1, 700)
    _cipher.xor(_NONCE, 8, 0x3FFFFFF0, _buf, 5, 5)


def _poly1305():
    _mac(700, 0, _work, _buf, _tag, 0, _BARE)
    _mac(15, 0, _work, _AD, _tag, 0, _BARE)


def _seal_and_open():
    for start in (0, 1, 2, 3):
        assert _aead.seal(_view, _AD, _buf, start, start + 512) == start + 528
        assert _aead.open(_view, _AD, _buf, start, start + 528) == start + 512


def _refuse():
    assert _aead.open(_view, _AD, _buf, 3, 531) == -1


def _compare():
    assert equal(_KEY, _KEY) and not equal(_KEY, _NONCE)


def _sign_and_check():
    for n in (1, 12, 32):
        _hmac.size = n
        _hmac.sign(_buf, 3, 41, 600)
        assert _hmac.check(_buf, 3, 41, 600)
        assert not _hmac.check(_buf, 3, 140, 600)


def _take_another_key():
    _hmac.rekey(_KEY, 5, 16)
    _hmac.rekey(_buf, 0, 64)


def _bytes_taken(function):
    function()  # what is made once, at the first call
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    function()
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def _runs_locked(function):
    micropython.heap_lock()
    try:
        function()
    finally:
        micropython.heap_unlock()


def test_chacha20_takes_no_memory():
    _runs_locked(_stream)
    assert _bytes_taken(_stream) == 0


def test_poly1305_takes_no_memory():
    _runs_locked(_poly1305)
    assert _bytes_taken(_poly1305) == 0


def test_aead_in_place_takes_no_memory():
    _runs_locked(_seal_and_open)
    assert _bytes_taken(_seal_and_open) == 0


def test_aead_takes_no_memory_to_refuse():
    _aead.seal(_view, _AD, _buf, 3, 515)
    _buf[100] ^= 1
    _runs_locked(_refuse)
    assert _bytes_taken(_refuse) == 0


def test_hmac_takes_no_memory():
    _runs_locked(_sign_and_check)
    assert _bytes_taken(_sign_and_check) == 0


def test_hmac_takes_no_memory_for_another_key():
    _runs_locked(_take_another_key)
    assert _bytes_taken(_take_another_key) == 0


def test_comparison_takes_no_memory():
    _runs_locked(_compare)
    assert _bytes_taken(_compare) == 0


def test_these_tests_see_an_allocation():
    # Neither proof is worth anything if it cannot fail.
    assert _bytes_taken(lambda: _buf[:16]) > 0
    try:
        _runs_locked(lambda: _buf[:16])
    except MemoryError:
        return
    raise AssertionError("a locked heap gave memory")
