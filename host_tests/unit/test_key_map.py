"""The map between node ids (Ed25519 public keys with sign bit 0) and X25519 keys; one way on each back end of this runtime,
the other by the one that it prefers."""

from picoswarm.keymap import id_from_u, is_id_of
from support import back_ends, raises, unhex

RUNTIMES = ("cpython", "micropython", "qemu")

# Public keys of RFC 8032 section 7.1 with a sign bit of 0, and the X25519 public keys of SHA-512(seed)[0:32].
_PAIRS = (
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "25c704c594b88afc00a76b69d1ed2b984d7e22550f3ed0802d04fbcd07d38d47",
    ),
    (
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        "a4ef005363c92681e98912fcef98cc6f873922c31ac1e084569389bb4601b763",
    ),
)
_BASE_ID = b"\x58" + b"\x66" * 31
_BASE_U = b"\x09" + bytes(31)
_P = 2**255 - 19


def _bytes(number):
    return number.to_bytes(32, "little")


def test_ids_map_to_the_agreement_keys_of_their_seeds_and_back():
    for kernels in back_ends("curve"):
        for node_id, u in _PAIRS:
            assert kernels.u_from_id(unhex(node_id)) == unhex(u), kernels.__name__
            assert id_from_u(unhex(u)) == unhex(node_id) and is_id_of(unhex(node_id), unhex(u)), kernels.__name__


def test_an_id_is_known_by_its_key_and_no_other():
    (one, u), (other, v) = _PAIRS[:2]
    assert not is_id_of(unhex(one), unhex(v)) and not is_id_of(unhex(other), unhex(u))
    signed = unhex(one)[:31] + bytes((unhex(one)[31] | 0x80,))
    assert not is_id_of(signed, unhex(u))
    # The forms that are not canonical are refused, as the other way refuses them.
    y = id_from_u(_bytes(5))
    assert is_id_of(y, _bytes(5)) and not is_id_of(y, _bytes(_P + 5))
    for kernels in back_ends("curve"):
        u = kernels.u_from_id(_bytes(2))
        assert is_id_of(_bytes(2), u) and not is_id_of(_bytes(_P + 2), u), kernels.__name__
    for y in (0, 1, 2, _P - 1):
        assert not is_id_of(_bytes(y), _bytes(_P - 1))


def test_the_base_points_map_to_each_other():
    for kernels in back_ends("curve"):
        assert kernels.u_from_id(_BASE_ID) == _BASE_U, kernels.__name__
        assert id_from_u(_BASE_U) == _BASE_ID, kernels.__name__


def test_the_map_is_one_to_one_at_the_edges():
    for kernels in back_ends("curve"):
        for y in (0, 2, 3, 4, 18, 19, 20, 608, _P - 1, _P - 2, _P - 19, _P // 2, _P // 2 + 1, 2**254, 2**247 - 1, 2**13):
            y = _bytes(y)
            assert id_from_u(kernels.u_from_id(y)) == y, kernels.__name__


def test_ids_that_are_not_canonical_are_refused():
    for kernels in back_ends("curve"):
        for offset in range(19):
            assert kernels.u_from_id(_bytes(_P + offset)) is None, kernels.__name__
            assert id_from_u(_bytes(_P + offset)) is None, kernels.__name__
        assert kernels.u_from_id(_bytes(_P - 2)) and id_from_u(_bytes(_P - 2)), kernels.__name__


def test_bit_255_is_refused():
    for kernels in back_ends("curve"):
        for low in (0, 5, _P - 1, 2**255 - 1):
            assert kernels.u_from_id(_bytes(low + 2**255)) is None, kernels.__name__
            assert id_from_u(_bytes(low + 2**255)) is None, kernels.__name__


def test_what_has_no_image_is_refused():
    for kernels in back_ends("curve"):
        assert kernels.u_from_id(_bytes(1)) is None, kernels.__name__
        assert id_from_u(_bytes(_P - 1)) is None, kernels.__name__


def test_strings_of_a_wrong_size_are_refused_before_a_pointer_is_used():
    for kernels in back_ends("curve"):
        for size in (0, 1, 31, 33):
            raises(ValueError, kernels.u_from_id, bytes(size))
            raises(ValueError, id_from_u, bytes(size))
