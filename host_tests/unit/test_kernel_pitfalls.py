"""What can go wrong with machine code from MicroPython source, one test a pitfall (docs/rationale.md): each of these was
a fault of some kernel once, or is one call away from memory that is not ours."""

import gc
import sys

from picoswarm.compat import KERNELS, sha256
from support import Skip, back_ends, raises

RUNTIMES = ("cpython", "micropython", "qemu")

_KEY = bytes(range(32))
_ARMV6M = 4  # of sys.implementation._mpy
_CCR = 0xE000ED14


def test_words_of_64_bits_choose_the_integer_kernels():
    # Viper's 32-bit rotations are silently wrong there.
    if sys.implementation.name != "micropython":
        raise Skip("a MicroPython matter")
    assert (KERNELS == "viper") == (sys.maxsize == 0x7FFFFFFF)


def _trap_unaligned():
    """Let the emulated Cortex-M3 fault on an unaligned word as a Cortex-M0+ does: CCR.UNALIGN_TRP. Returns how to undo it.
    Only where the firmware itself is Cortex-M0+ code; the unix port's processor takes any address."""
    if sys.platform != "qemu" or (sys.implementation._mpy >> 10) & 15 != _ARMV6M:
        return lambda: None
    from machine import mem32

    before = mem32[_CCR]
    mem32[_CCR] = before | 8

    def undo():
        mem32[_CCR] = before

    return undo


def test_words_at_odd_addresses_are_read_by_bytes():
    # A Cortex-M0+ faults on a 32-bit access that is not aligned.
    undo = _trap_unaligned()
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        cipher, aead = ciphers.ChaCha20(_KEY), kernels.Aead(_KEY)
        whole = bytearray(160)
        cipher.xor(bytes(12), 0, 1, whole, 0, 144)
        for start in range(1, 8):
            buf = memoryview(bytearray(200))[start:]
            cipher.xor(memoryview(bytes(20))[start:], 1, 1, buf, start, start + 144)
            assert bytes(buf[start : start + 144]) == whole[:144], (kernels.__name__, start)
            end = aead.seal(memoryview(bytes(20))[start : start + 12], memoryview(_KEY)[start:], buf, start, start + 77)
            assert aead.open(bytes(12), _KEY[start:], buf, start, end) == start + 77, (kernels.__name__, start)
            assert bytes(buf[start : start + 77]) == whole[:77], (kernels.__name__, start)
    for kernels in back_ends("cipher"):
        for start in range(1, 4):
            view = memoryview(bytearray(_KEY * 5))[start:]
            kernels.Hmac(view[:32], 32, view[:start]).sign(view, start, 80, 80 + start)
            expected = kernels.Hmac((_KEY * 5)[start : start + 32], 32, bytes(view[:start])).digest(bytes(view[start:80]))
            assert bytes(view[80 + start : 112 + start]) == expected, (kernels.__name__, start)
    for kernels in back_ends("sha512"):
        for start in range(1, 4):
            assert kernels.sha512(memoryview(_KEY * 8)[start:]) == kernels.sha512((_KEY * 8)[start:]), kernels.__name__
    undo()


def test_words_above_30_bits_survive():
    # A small integer has 31 bits: every word of the state, the sums and the constants uses all 32.
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        buf = bytearray(b"\xff" * 128)
        ciphers.ChaCha20(b"\xff" * 32).xor(b"\xff" * 12, 0, 0x3FFFFFFE, buf, 0, 128)
        digest = sha256(bytes(buf)).digest()
        tag = kernels.poly1305(b"\xff" * 32, buf)
        other = bytearray(b"\xff" * 128)
        back_ends("cipher")[0].ChaCha20(b"\xff" * 32).xor(b"\xff" * 12, 0, 0x3FFFFFFE, other, 0, 128)
        assert digest == sha256(bytes(other)).digest(), kernels.__name__
        assert tag == back_ends("aead")[0].poly1305(b"\xff" * 32, other), kernels.__name__


def test_buffers_too_short_are_refused_before_a_pointer_is_used():
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        cipher, aead, nonce = ciphers.ChaCha20(_KEY), kernels.Aead(_KEY), bytes(12)
        for start, end in ((0, 65), (-1, 10), (10, 9), (65, 65), (-5, -1), (0, 1 << 30)):
            raises(ValueError, cipher.xor, nonce, 0, 1, bytearray(64), start, end)
            raises(ValueError, aead.seal, nonce, b"", bytearray(64), start, end)
            raises(ValueError, aead.open, nonce, b"", bytearray(64), start, end)
        raises(ValueError, aead.seal, nonce, b"", bytearray(64), 0, 49)  # no room for the tag
        raises(ValueError, aead.open, nonce, b"", bytearray(64), 0, 15)  # shorter than a tag
        raises(ValueError, aead.open, nonce, b"", bytearray(64), 8, 23)
        assert aead.seal(nonce, b"", bytearray(64), 0, 48) == 64, kernels.__name__
    big, small = 0x7FFFFFFF, -0x80000000  # where sums and differences of machine words wrap
    for kernels in back_ends("cipher"):
        cipher = kernels.ChaCha20(_KEY)
        for start, end in ((big, big), (small, small), (1, small), (small, 1), (0, big), (small, big)):
            raises(ValueError, cipher.xor, bytes(12), 0, 1, bytearray(64), start, end)
        for at, counter in ((big, 1), (small, 1), (0, big), (0, small), (0, -1), (0, 0x40000000)):
            raises(ValueError, cipher.xor, bytes(12), at, counter, bytearray(64), 0, 1)
    for kernels in back_ends("cipher"):
        mac, buf = kernels.Hmac(_KEY), bytearray(64)
        for start, end in ((0, 65), (-1, 10), (10, 9), (65, 65), (-5, -1), (big, big), (small, small), (1, small)):
            raises(ValueError, mac.sign, buf, start, end, 0)
            raises(ValueError, mac.check, buf, start, end, 0)
        for at, n in ((0, 33), (0, 0), (0, -1), (-1, 12), (33, 32), (64, 1), (big, 1), (small, 1), (0, big), (0, small)):
            other = kernels.Hmac(_KEY, n)
            raises(ValueError, other.sign, buf, 0, 64, at)
            raises(ValueError, other.check, buf, 0, 64, at)
        for at, n in ((0, 65), (0, -1), (-1, 1), (33, 32), (64, 1), (65, 0), (big, 1), (small, 1), (0, big), (1, small)):
            raises(ValueError, mac.rekey, buf, at, n)
        kernels.Hmac(_KEY, 1).sign(buf, 64, 64, 63)
        assert mac.digest(b"") == kernels.Hmac(_KEY).digest(b""), kernels.__name__


def test_keys_and_nonces_of_a_wrong_size_are_refused():
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        for size in (0, 16, 31, 33, 64):
            raises(ValueError, ciphers.ChaCha20, bytes(size))
            raises(ValueError, kernels.Aead, bytes(size))
        cipher, aead = ciphers.ChaCha20(_KEY), kernels.Aead(_KEY)
        for size in (0, 8, 11, 13, 24):
            raises(ValueError, aead.seal, bytes(size), b"", bytearray(64), 0, 8)
            raises(ValueError, aead.open, bytes(size), b"", bytearray(64), 0, 24)
        for at in (-1, 1, 9, 100):
            raises(ValueError, cipher.xor, bytes(12), at, 1, bytearray(64), 0, 8)


def test_read_only_buffers_are_not_written():
    # A constant may lie in flash, where a write faults, or be shared.
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        cipher, aead, nonce = ciphers.ChaCha20(_KEY), kernels.Aead(_KEY), bytes(12)
        for locked in (bytes(64), memoryview(bytes(64))):
            raises(TypeError, cipher.xor, nonce, 0, 1, locked, 0, 64)
            raises(TypeError, aead.seal, nonce, b"", locked, 0, 48)
            assert bytes(locked) == bytes(64), kernels.__name__
        sealed = bytearray(64)
        aead.seal(nonce, b"", sealed, 0, 48)
        raises(TypeError, aead.open, nonce, b"", bytes(sealed), 0, 64)
    for kernels in back_ends("cipher"):
        for locked in (bytes(64), memoryview(bytes(64))):
            raises(TypeError, kernels.Hmac(_KEY).sign, locked, 0, 0, 0)
            assert bytes(locked) == bytes(64), kernels.__name__


def test_integers_are_no_buffers():
    # A pointer argument of machine code takes an integer for an address.
    address = 0x20000000
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        cipher, aead = ciphers.ChaCha20(_KEY), kernels.Aead(_KEY)
        raises(TypeError, ciphers.ChaCha20, 32)
        raises(TypeError, kernels.Aead, 32)
        raises(TypeError, kernels.poly1305, _KEY, address)
        raises(TypeError, kernels.poly1305, 32, b"")
        raises(TypeError, cipher.xor, address, 0, 1, bytearray(64), 0, 64)
        raises(TypeError, cipher.xor, bytes(12), 0, 1, address, 0, 64)
        raises(TypeError, aead.seal, bytes(12), address, bytearray(64), 0, 48)
        raises(TypeError, aead.seal, address, b"", bytearray(64), 0, 48)
        raises(TypeError, aead.seal, bytes(12), b"", address, 0, 48)
        raises(TypeError, aead.open, bytes(12), address, bytearray(64), 0, 48)
    for kernels in back_ends("cipher"):
        mac = kernels.Hmac(_KEY)
        raises(TypeError, kernels.Hmac, 32)
        raises(TypeError, mac.rekey, address, 0, 16)
        for method in (mac.sign, mac.check):
            raises(TypeError, method, address, 0, 0, 0)
        mac.prefix = address
        for method in (mac.sign, mac.check):
            raises(TypeError, method, bytearray(32), 0, 0, 0)
    for kernels in back_ends("sha512"):
        raises(TypeError, kernels.sha512, address)


def test_hash_objects_that_end_with_their_digest_are_not_asked_again():
    # On stock firmware they have no copy() either, so that one cannot be kept for a key.
    from picoswarm.crypto import hkdf

    for kernels in back_ends("cipher"):
        mac = kernels.Hmac(b"key")
        first = mac.digest(b"text")
        assert mac.digest(bytearray(b"text")) == first and mac.digest(b"text") == first, kernels.__name__
    assert hkdf(b"ikm", b"info", 64) == hkdf(b"ikm", b"info", 64)


def test_sealed_objects_survive_a_collection():
    # State lives in heap objects that machine code knows by address only.
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        aead, nonce, buf = kernels.Aead(bytes(_KEY)), bytes(12), bytearray(80)
        aead.seal(nonce, b"ad", buf, 0, 64)
        for _ in range(3):
            gc.collect()
            _ = [bytearray(100) for _ in range(20)]
            assert aead.open(nonce, b"ad", buf, 0, 80) == 64, kernels.__name__
            aead.seal(nonce, b"ad", buf, 0, 64)


def test_scratch_of_one_call_does_not_reach_the_next():
    # The scratch block is shared by all objects of a back end.
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        aead, nonce = kernels.Aead(_KEY), bytes(12)
        once = bytearray(116)
        aead.seal(nonce, b"ad", once, 0, 100)
        kernels.poly1305(b"\xff" * 32, b"\xff" * 100)
        ciphers.ChaCha20(b"\xff" * 32).xor(b"\xff" * 12, 0, 9, bytearray(100), 0, 100)
        kernels.Aead(b"\xff" * 32).open(b"\xff" * 12, b"\xff" * 50, bytearray(b"\xff" * 100), 0, 100)
        again = bytearray(116)
        aead.seal(nonce, b"ad", again, 0, 100)
        assert once == again, kernels.__name__
