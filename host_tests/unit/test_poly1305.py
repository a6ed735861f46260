"""Poly1305 by the vectors of RFC 8439 section 2.5.2 and appendix A.3, on each back end of this runtime."""

from support import back_ends, raises, unhex

RUNTIMES = ("cpython", "micropython", "qemu")

_IETF = (
    b"Any submission to the IETF intended by the Contributor for publication as all or part of an IETF Internet-Draft or "
    b'RFC and any statement made within the context of an IETF activity is considered an "IETF Contribution". Such '
    b"statements include oral statements in IETF sessions, as well as written and electronic communications made at any "
    b"time or place, which are addressed to"
)
_JABBERWOCKY = (
    b"'Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe:\nAll mimsy were the borogoves,\n"
    b"And the mome raths outgrabe."
)
_S = "36e5f6b5c5e06070f0efca96227a863e"

_TEXTS = (  # key, text, tag
    (
        "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
        b"Cryptographic Forum Research Group",
        "a8061dc1305136c6c22b8baf0c0127a9",
    ),
    ("00" * 32, bytes(64), "00" * 16),
    ("00" * 16 + _S, _IETF, _S),
    (_S + "00" * 16, _IETF, "f3477e7cd95417af89a6b8794c310cf0"),
    (
        "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
        _JABBERWOCKY,
        "4541669a7eaaee61e708dc7cbcc5eb62",
    ),
)

_WRAPS = (  # r, s, text, tag: vectors 7 to 11, where the sum goes through the modulus or its carries are long
    ("02" + "00" * 15, "00" * 16, "ff" * 16, "03" + "00" * 15),
    ("02" + "00" * 15, "ff" * 16, "02" + "00" * 15, "03" + "00" * 15),
    ("01" + "00" * 15, "00" * 16, "ff" * 16 + "f0" + "ff" * 15 + "11" + "00" * 15, "05" + "00" * 15),
    ("01" + "00" * 15, "00" * 16, "ff" * 16 + "fb" + "fe" * 15 + "01" * 16, "00" * 16),
    ("02" + "00" * 15, "00" * 16, "fd" + "ff" * 15, "fa" + "ff" * 15),
    (
        "01" + "00" * 7 + "04" + "00" * 7,
        "00" * 16,
        "e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000000000000000000000000001" + "00" * 15,
        "1400000000000000" + "5500000000000000",
    ),
    (
        "01" + "00" * 7 + "04" + "00" * 7,
        "00" * 16,
        "e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000",
        "13" + "00" * 15,
    ),
)


def test_poly1305_tags_the_texts_of_rfc_8439():
    for kernels in back_ends("aead"):
        for key, text, tag in _TEXTS:
            assert kernels.poly1305(unhex(key), text) == unhex(tag), (kernels.__name__, tag)


def test_poly1305_reduces_fully_where_the_sum_wraps_around_the_modulus():
    for kernels in back_ends("aead"):
        for r, s, text, tag in _WRAPS:
            assert kernels.poly1305(unhex(r + s), unhex(text)) == unhex(tag), (kernels.__name__, tag)


def test_poly1305_bounds_hold_for_the_largest_r_and_the_largest_blocks():
    # By hand: the sum of (2**129 - 1) * r**k modulo 2**130 - 5, plus s.
    p = (1 << 130) - 5
    r = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    for kernels in back_ends("aead"):
        total = 0
        for blocks in range(1, 9):
            total = (total + (1 << 129) - 1) * r % p
            tag = (total + (1 << 128) - 1) & ((1 << 128) - 1)
            assert kernels.poly1305(b"\xff" * 32, b"\xff" * 16 * blocks) == tag.to_bytes(16, "little"), kernels.__name__


def test_poly1305_reduces_sums_around_the_modulus_itself():
    # With r = 1 the sum of two blocks is 2**130 - 5 + k: only from k = 0 on is the modulus taken off.
    key = b"\x01" + bytes(31)
    for kernels in back_ends("aead"):
        for k in range(-3, 4):
            text = b"\xff" * 16 + bytes([0xFC + k]) + b"\xff" * 15
            tag = k if k >= 0 else (1 << 128) - 5 + k
            assert kernels.poly1305(key, text) == tag.to_bytes(16, "little"), (kernels.__name__, k)


def test_poly1305_takes_any_length_at_any_alignment():
    reference = back_ends("aead")[0]
    key = bytes(range(32))
    data = bytes([(i * 7 + 3) & 255 for i in range(80)])
    for kernels in back_ends("aead"):
        for start in (0, 1, 2, 3):
            for size in (0, 1, 15, 16, 17, 31, 32, 33, 64):
                part = memoryview(data)[start : start + size]
                assert kernels.poly1305(key, part) == reference.poly1305(key, bytes(part)), (kernels.__name__, start, size)
        assert kernels.poly1305(key, b"") == key[16:], kernels.__name__


def test_poly1305_refuses_a_key_of_another_size():
    for kernels in back_ends("aead"):
        for size in (0, 16, 31, 33):
            raises(ValueError, kernels.poly1305, bytes(size), b"text")
