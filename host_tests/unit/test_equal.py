"""The comparison of tags: right for any buffers, and its time not a function of where they differ."""

from support import back_ends, raises

RUNTIMES = ("cpython", "micropython", "qemu")


def test_equal_finds_a_difference_in_every_bit_of_every_byte():
    for kernels in back_ends("aead"):
        one = bytes(range(16))
        for i in range(16):
            for bit in range(8):
                other = bytearray(one)
                other[i] ^= 1 << bit
                assert not kernels.equal(one, other), (kernels.__name__, i, bit)
        assert kernels.equal(one, bytearray(one)), kernels.__name__


def test_equal_of_two_differences_that_cancel_is_false():
    for kernels in back_ends("aead"):
        assert not kernels.equal(b"\x01\x01abcd", b"\x00\x00abcd"), kernels.__name__
        assert not kernels.equal(b"\x80\x80", b"\x00\x00"), kernels.__name__


def test_equal_of_another_length_is_false():
    for kernels in back_ends("aead"):
        assert not kernels.equal(b"abc", b"abcd"), kernels.__name__
        assert not kernels.equal(b"", b"a"), kernels.__name__
        assert kernels.equal(b"", b""), kernels.__name__


def test_equal_takes_slices_at_any_alignment():
    buf = memoryview(b"0123456789" * 4)
    for kernels in back_ends("aead"):
        for start in range(10):
            assert kernels.equal(buf[start : start + 13], bytes(buf[start : start + 13])), (kernels.__name__, start)
            assert not kernels.equal(buf[start : start + 13], buf[start + 1 : start + 14]), (kernels.__name__, start)


def test_equal_refuses_what_is_no_buffer():
    # A pointer argument of machine code takes an integer for an address.
    for kernels in back_ends("aead"):
        raises(TypeError, kernels.equal, 0x20000000, 0x20000000)
