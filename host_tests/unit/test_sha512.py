"""SHA-512 by the examples of FIPS 180 and digests around the padding's borders, on each back end of this runtime."""

from picoswarm.compat import sha256
from support import back_ends, unhex

RUNTIMES = ("cpython", "micropython", "qemu")

_TWO_BLOCKS = (
    b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
)
_EXAMPLES = (
    (
        b"abc",
        """ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
        2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f""",
    ),
    (
        _TWO_BLOCKS,
        """8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018
        501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909""",
    ),
    (
        b"",
        """cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce
        47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e""",
    ),
)


def test_sha512_gives_the_digests_of_fips_180():
    for kernels in back_ends("sha512"):
        for message, digest in _EXAMPLES:
            assert kernels.sha512(message) == unhex(digest), (kernels.__name__, message)


def test_sha512_pads_right_at_every_border():
    # One SHA-256 over the digests of messages of these sizes; the sum is hashlib's.
    for kernels in back_ends("sha512"):
        digests = sha256(b"")
        for size in (1, 110, 111, 112, 113, 119, 120, 127, 128, 129, 239, 240, 255, 256):
            digests.update(kernels.sha512(bytes([(i * 5 + size) & 255 for i in range(size)])))
        assert digests.digest() == unhex(_BORDERS), kernels.__name__


_BORDERS = "2c147599172d7c6041964d32d13d6190521a3f2a5628da30a08aea64bce87aa1"


def test_sha512_takes_any_buffer_at_any_alignment():
    for kernels in back_ends("sha512"):
        for start in (0, 1, 2, 3):
            buf = bytearray(start) + _TWO_BLOCKS * 2
            want = kernels.sha512(_TWO_BLOCKS * 2)
            assert kernels.sha512(memoryview(buf)[start:]) == want, (kernels.__name__, start)
            assert kernels.sha512(buf[start:]) == want, (kernels.__name__, start)


def test_sha512_does_not_carry_state_from_one_message_to_the_next():
    for kernels in back_ends("sha512"):
        kernels.sha512(b"another message")
        assert kernels.sha512(b"abc") == unhex(_EXAMPLES[0][1]), kernels.__name__
