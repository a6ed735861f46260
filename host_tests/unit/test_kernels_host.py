"""The back end of CPython: which keys it keeps loaded for its key agreements."""

from picoswarm import kernels_host
from picoswarm.crypto import X25519, run
from picoswarm.noise import Noise
from sessions import A, B

RUNTIMES = ("cpython",)


def test_ephemeral_keys_are_forgotten_with_the_handshake_and_the_nodes_own_stay():
    agreements = kernels_host.agreements = kernels_host.KeyAgreements(4, 32)
    ephemerals = b"\x11" * 32, b"\x22" * 32
    sides = Noise(A, ephemerals[0], b"", None, True), Noise(B, ephemerals[1], b"", None, False)
    buf = bytearray(200)
    for turn in range(3):
        for _ in sides[turn & 1].message(buf, 0, 0, b""):
            pass
        for _ in sides[turn & 1 ^ 1].message(buf, 0, sides[turn & 1].end):
            pass
    assert sides[0].keys == sides[1].keys and sides[0].peer_id == B.id
    assert not agreements._begun and set(agreements._own) == {A.static_private, B.static_private}


def test_handshakes_that_do_not_end_leave_a_bounded_number_of_keys():
    agreements = kernels_host.agreements = kernels_host.KeyAgreements(4, 32)
    for i in range(100):
        run(X25519(bytes((i,)) * 32))
        run(X25519(bytes((i,)) * 32, A.static_public))
        run(X25519(bytes((100 + i,)) * 32, A.static_public))
    assert len(agreements._begun) == 32 and len(agreements._own) == 4
