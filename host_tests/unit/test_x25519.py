"""X25519 by the vectors of RFC 7748 and by what it refuses, on each back end of this runtime."""

from support import LONG, back_ends, raises, unhex

RUNTIMES = ("cpython", "micropython", "qemu")

_BASE = b"\x09" + bytes(31)
_CASES = (  # private, u, result: RFC 7748 sections 5.2 and 6.1
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
    (
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ),
)
_ALICE = _CASES[2][0]
_ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
_ONCE = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
_THOUSAND_TIMES = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"

_SMALL_ORDER = (  # u of every point whose order divides 8, on the curve and its twist, and forms that are not reduced
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
)


def _run(job):
    while job.step():
        pass
    return job.result


def test_agreements_are_those_of_the_rfc():
    for kernels in back_ends("curve"):
        for private, u, result in _CASES:
            assert _run(kernels.X25519(unhex(private), unhex(u))) == unhex(result), kernels.__name__


def test_a_public_key_is_a_multiple_of_the_base_point():
    for kernels in back_ends("curve"):
        private = unhex(_ALICE)
        assert _run(kernels.X25519(private)) == unhex(_ALICE_PUBLIC), kernels.__name__
        assert _run(kernels.X25519(private, _BASE)) == unhex(_ALICE_PUBLIC), kernels.__name__


def test_iteration_is_that_of_the_rfc():
    for kernels in back_ends("curve"):
        k = u = _BASE
        for turn in range(1000 if LONG or kernels.__name__.endswith("host") else 1):
            k, u = _run(kernels.X25519(k, u)), k
            assert turn or k == unhex(_ONCE), kernels.__name__
        assert not turn or k == unhex(_THOUSAND_TIMES), kernels.__name__


def test_private_keys_are_clamped():
    for kernels in back_ends("curve"):
        private = bytearray(unhex(_ALICE))
        private[0] ^= 7
        private[31] ^= 0xC0
        assert _run(kernels.X25519(private)) == unhex(_ALICE_PUBLIC), kernels.__name__


def test_bit_255_of_a_point_is_not_read_and_points_are_reduced():
    for kernels in back_ends("curve"):
        private, u = unhex(_CASES[0][0]), bytearray(unhex(_CASES[0][1]))
        u[31] |= 128
        assert _run(kernels.X25519(private, u)) == unhex(_CASES[0][2]), kernels.__name__
        four, p_plus_four = b"\x04" + bytes(31), b"\xf1" + b"\xff" * 30 + b"\x7f"
        assert _run(kernels.X25519(private, four)) == _run(kernels.X25519(private, p_plus_four)), kernels.__name__


def test_agreements_with_points_of_small_order_are_refused():
    for kernels in back_ends("curve"):
        for u in _SMALL_ORDER:
            u = bytearray(unhex(u))
            assert _run(kernels.X25519(b"\x77" * 32, u)) is None, kernels.__name__
            u[31] |= 128
            assert _run(kernels.X25519(b"\x88" * 32, u)) is None, kernels.__name__


def test_keys_of_a_wrong_size_are_refused_before_a_pointer_is_used():
    for kernels in back_ends("curve"):
        for size in (0, 16, 31, 33, 64):
            raises(ValueError, kernels.X25519, bytes(size))
            raises(ValueError, kernels.X25519, bytes(size), _BASE)
            raises(ValueError, kernels.X25519, _BASE, bytes(size))
        raises(TypeError, kernels.X25519, 32)
        raises(TypeError, kernels.X25519, _BASE, 0x20000000)


def test_jobs_stepped_in_turns_do_not_disturb_each_other():
    for kernels in back_ends("curve"):
        jobs = [kernels.X25519(unhex(private), memoryview(bytearray(unhex(u)))) for private, u, _ in _CASES]
        jobs.append(kernels.X25519(unhex(_ALICE)))
        going = list(jobs)
        while going:
            going = [job for job in going if job.step()]
        results = [unhex(result) for _, _, result in _CASES] + [unhex(_ALICE_PUBLIC)]
        assert [job.result for job in jobs] == results, kernels.__name__
        assert not any([job.step() for job in jobs]) and [job.result for job in jobs] == results, kernels.__name__


def test_keys_may_lie_at_odd_addresses():
    for kernels in back_ends("curve"):
        private, u, result = [unhex(part) for part in _CASES[0]]
        for start in (1, 2, 3):
            job = kernels.X25519(memoryview(bytes(start) + private)[start:], memoryview(bytes(start) + u)[start:])
            assert _run(job) == result, kernels.__name__
