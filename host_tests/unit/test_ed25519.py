"""Ed25519 by the vectors of RFC 8032 section 7.1 and by what is refused, through the front and on each back end."""

from binascii import hexlify

from picoswarm import ed25519
from support import back_ends, raises, unhex

RUNTIMES = ("cpython", "micropython", "qemu")

_CASES = (  # seed, public key, message, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
)
_L = 2**252 + 27742317777372353535851937790883648493
_P = 2**255 - 19
_SMALL_ORDER = (  # y of the points whose order divides 8
    0,
    1,
    _P - 1,
    int("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16),
    int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16),
)


def _run(job):
    while job.step():
        pass
    return job.result


def _bytes(number):
    return number.to_bytes(32, "little")


def _case(i):
    return [unhex(part) for part in _CASES[i]]


def test_keys_and_signatures_are_those_of_the_rfc():
    for kernels in [ed25519] + back_ends("ed25519"):
        for i in range(len(_CASES)):
            seed, public, message, signature = _case(i)
            assert _run(kernels.PublicKey(seed)) == public, kernels.__name__
            assert _run(kernels.Sign(seed, public, message)) == signature, kernels.__name__
            assert _run(kernels.Verify(public, signature, message)) is True, kernels.__name__


def test_a_bit_turned_anywhere_is_found():
    for kernels in [ed25519] + back_ends("ed25519"):
        _, public, message, signature = _case(2)
        for part, bits in ((public, (0, 130)), (signature, (3, 200, 256, 400)), (message, (0, 15))):
            for bit in bits:
                turned = bytearray(part)
                turned[bit >> 3] ^= 1 << (bit & 7)
                arguments = [bytes(turned) if each is part else each for each in (public, signature, message)]
                assert _run(kernels.Verify(*arguments)) is False, (kernels.__name__, bit, hexlify(part))


def test_s_of_l_and_above_is_refused():
    # S + L makes a second signature of the same message.
    _, public, message, signature = _case(1)
    s = int.from_bytes(signature[32:], "little")
    for more in (s + _L, _L, _L + 1, 2**256 - 1):
        assert _run(ed25519.Verify(public, signature[:32] + _bytes(more), message)) is False
    assert _run(ed25519.Verify(public, signature[:32] + _bytes(_L - 1), message)) is False


def test_keys_of_small_order_are_refused():
    # With such a key R = S * B satisfies the equation for about one message in eight: any message, if the order is 1.
    base = b"\x58" + b"\x66" * 31
    forged = base + _bytes(1)  # R = B, S = 1
    for y in _SMALL_ORDER:
        for sign in (0, 2**255):
            public = _bytes(y + sign)
            for message in range(12):
                assert _run(ed25519.Verify(public, forged, bytes((message,)))) is False


def test_points_that_are_not_canonical_are_refused():
    _, public, message, signature = _case(1)
    for offset in range(19):
        for sign in (0, 2**255):
            other = _bytes(_P + offset + sign)
            assert _run(ed25519.Verify(other, signature, message)) is False
            assert _run(ed25519.Verify(public, other + signature[32:], message)) is False


def test_keys_off_the_curve_are_refused():
    _, _, message, signature = _case(1)
    for kernels in [ed25519] + back_ends("ed25519"):
        for y in (2, 7, 8, 11, 12, 13):  # (y * y - 1) / (d * y * y + 1) has no root
            assert _run(kernels.Verify(_bytes(y), signature, message)) is False, kernels.__name__


def test_arguments_of_a_wrong_size_are_refused_before_a_pointer_is_used():
    seed, public, message, signature = _case(0)
    for size in (0, 31, 33, 64):
        raises(ValueError, ed25519.PublicKey, bytes(size))
        raises(ValueError, ed25519.Sign, bytes(size), public, message)
        raises(ValueError, ed25519.Sign, seed, bytes(size), message)
        raises(ValueError, ed25519.Verify, bytes(size), signature, message)
    for size in (0, 32, 63, 65):
        raises(ValueError, ed25519.Verify, public, bytes(size), message)


def test_jobs_stepped_in_turns_do_not_disturb_each_other():
    for kernels in back_ends("ed25519"):
        seed, public, message, signature = _case(0)
        jobs = [kernels.Verify(public, signature, message)]
        seed, public, message, signature = _case(1)
        jobs.append(kernels.Sign(seed, public, message))
        results = [True, signature]
        going = list(jobs)
        while going:
            going = [job for job in going if job.step()]
        assert [job.result for job in jobs] == results, kernels.__name__


def test_messages_may_be_any_buffer():
    seed, public, message, signature = _case(3)
    for form in (bytearray(message), memoryview(message), memoryview(b"x" + message)[1:]):
        assert _run(ed25519.Sign(seed, public, form)) == signature
        assert _run(ed25519.Verify(memoryview(public), bytearray(signature), form)) is True
