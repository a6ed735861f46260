"""HMAC-SHA256 by the cases of RFC 4231, on each back end of this runtime, and HKDF by the SHA-256 cases of RFC 5869
appendix A."""

from picoswarm.compat import sha256
from picoswarm.crypto import hkdf
from support import back_ends, raises, unhex

RUNTIMES = ("cpython", "micropython", "qemu")

_LONG_KEY = b"\xaa" * 131
_HMAC = (  # key, data, tag
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        _LONG_KEY,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        _LONG_KEY,
        b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
        b"before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)

_HKDF = (  # ikm, salt, info, okm
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        "".join("%02x" % i for i in range(0x00, 0x50)),
        "".join("%02x" % i for i in range(0x60, 0xB0)),
        "".join("%02x" % i for i in range(0xB0, 0x100)),
        """b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c
        59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71
        cc30c58179ec3e87c14c01d5c1f3434f1d87""",
    ),
    (
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
)


def test_hmac_gives_the_tags_of_rfc_4231():
    for kernels in back_ends("cipher"):
        for key, data, tag in _HMAC:
            tag = unhex(tag)
            assert kernels.Hmac(key).digest(data)[: len(tag)] == tag, (kernels.__name__, data)


def test_hmac_takes_a_prefix_and_any_buffer():
    key, data, tag = _HMAC[6]
    tag = unhex(tag)
    for kernels in back_ends("cipher"):
        mac = kernels.Hmac(bytearray(key))
        for cut in (0, 1, 63, 64, 65, len(data)):
            mac.prefix = data[:cut]
            assert mac.digest(bytearray(data[cut:])) == mac.digest(memoryview(data)[cut:]) == tag, (kernels.__name__, cut)


def test_hmac_object_gives_one_tag_after_another():
    for kernels in back_ends("cipher"):
        mac = kernels.Hmac(b"Jefe")
        for _ in range(3):
            assert mac.digest(b"Hi There") != unhex(_HMAC[1][2]), kernels.__name__
            assert mac.digest(_HMAC[1][1]) == unhex(_HMAC[1][2]), kernels.__name__


def test_hmac_pads_a_key_of_one_block_and_hashes_a_longer_one():
    # An HMAC key of 64 bytes is used as it is; trailing zeros of a shorter one change nothing.
    for kernels in back_ends("cipher"):
        Hmac = kernels.Hmac
        assert Hmac(b"k" * 64).digest(b"x") != Hmac(b"k" * 65).digest(b"x"), kernels.__name__
        assert Hmac(b"k").digest(b"x") == Hmac(b"k" + bytes(63)).digest(b"x"), kernels.__name__
        assert Hmac(b"").digest(b"x") == Hmac(bytes(64)).digest(b"x"), kernels.__name__


def test_hmac_of_every_size_around_its_blocks_is_that_of_hashlib():
    text = b"".join([sha256(bytes((i,))).digest() for i in range(7)])
    reference, *others = back_ends("cipher")
    expected = reference.Hmac(b"key")
    for kernels in others:
        mac = kernels.Hmac(b"key")
        for size in range(len(text)):
            mac.prefix = expected.prefix = text[: size % 9]
            assert mac.digest(text[:size]) == expected.digest(text[:size]), (kernels.__name__, size)


def test_hmac_signs_a_range_and_writes_what_it_is_asked_for():
    for kernels in back_ends("cipher"):
        for start, end, n in ((0, 0, 32), (0, 100, 1), (3, 64, 12), (50, 53, 8), (100, 100, 5)):
            mac = kernels.Hmac(b"key", n, b"label")
            text = bytes(range(100))
            buf = bytearray(text) + bytearray(b"\x77" * 50)
            mac.sign(buf, start, end, 107)
            tag = mac.digest(text[start:end])[:n]
            assert buf == text + b"\x77" * 7 + tag + b"\x77" * (43 - n), (kernels.__name__, start, end)
            assert mac.check(buf, start, end, 107), kernels.__name__


def test_hmac_writes_a_tag_beside_what_it_signs():
    for kernels in back_ends("cipher"):
        buf = bytearray(range(60))
        tag = kernels.Hmac(b"key").digest(buf[13:60])
        kernels.Hmac(b"key", 12).sign(buf, 13, 60, 1)
        assert buf == b"\x00" + tag[:12] + bytes(range(13, 60)), kernels.__name__


def test_hmac_check_sees_every_bit_of_the_tag_and_none_behind_it():
    for kernels in back_ends("cipher"):
        mac, buf = kernels.Hmac(b"key", 12), bytearray(b"some text") + bytearray(14)
        mac.sign(buf, 0, 9, 10)
        for bit in range(9 * 8, 23 * 8):
            buf[bit // 8] ^= 1 << bit % 8
            beside = bit < 10 * 8 or bit >= 22 * 8
            assert mac.check(buf, 0, 9, 10) == beside, (kernels.__name__, bit)
            buf[bit // 8] ^= 1 << bit % 8
        assert not mac.check(buf, 0, 8, 10), kernels.__name__
        mac.prefix = b"s"
        assert not mac.check(buf, 0, 9, 10), kernels.__name__


def test_hmac_under_another_key_forgets_the_first():
    keys = bytes(range(64))
    for kernels in back_ends("cipher"):
        mac = kernels.Hmac(b"a key that is longer than the others")
        for at, n in ((0, 64), (3, 16), (5, 0), (0, 64), (63, 1)):
            mac.rekey(keys, at, n)
            assert mac.digest(b"text") == kernels.Hmac(keys[at : at + n]).digest(b"text"), (kernels.__name__, at, n)


def test_hkdf_gives_the_keys_of_rfc_5869():
    for ikm, salt, info, okm in _HKDF:
        okm = unhex(okm)
        assert hkdf(unhex(ikm), unhex(info), len(okm), unhex(salt)) == okm


def test_hkdf_gives_32_bytes_unless_asked_and_shorter_keys_are_prefixes():
    ikm, salt, info, okm = _HKDF[2]
    okm = unhex(okm)
    assert hkdf(unhex(ikm), b"") == okm[:32]
    for n in (0, 1, 31, 32, 33):
        assert hkdf(unhex(ikm), b"", n) == okm[:n]


def test_hkdf_has_the_limit_of_rfc_5869():
    assert len(hkdf(b"ikm", b"info", 8160)) == 8160
    raises(ValueError, hkdf, b"ikm", b"info", 8161)
    raises(ValueError, hkdf, b"ikm", b"info", -1)


def test_hkdf_salt_of_32_zeros_is_no_salt():
    assert hkdf(b"ikm", b"info", 32, bytes(32)) == hkdf(b"ikm", b"info")
