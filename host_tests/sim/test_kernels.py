"""What the nodes of one process need not work out twice is what each of them would have worked out."""

from random import Random

from picoswarm import kernels_host
from picoswarm.crypto import X25519, run
from picoswarm.membership import NetworkKey
from picoswarm_tools.sim import kernels

KEY = bytes(range(32))


def test_both_ends_of_a_pair_have_the_secret_that_each_works_out_alone():
    kernels.remember(NetworkKey(KEY, 0))
    alone = kernels_host.KeyAgreements(4)
    draws = Random(1)
    privates = [draws.randbytes(32) for _ in range(6)]
    publics = [run(X25519(private)) for private in privates]
    for _ in range(2):
        for private in privates:
            for public in (*publics, draws.randbytes(32)):
                assert run(X25519(private, public)) == alone.exchange(private, public)


def test_a_secret_of_zeros_is_refused_however_often_it_is_asked_for():
    kernels.remember(NetworkKey(KEY, 0))
    assert [run(X25519(KEY, bytes(32))) for _ in range(3)] == [None] * 3


def test_a_tag_that_was_seen_is_right_for_its_own_text_only():
    plain, shared = NetworkKey(KEY, 0), kernels.remember(NetworkKey(KEY, 0))
    buf = bytearray(b"\x10" + bytes(12) + b"a word of a member")
    shared.mac.sign(buf, 13, len(buf), 1)
    assert plain.mac.check(buf, 13, len(buf), 1) and shared.mac.check(buf, 13, len(buf), 1)
    buf[20] ^= 1
    assert not shared.mac.check(buf, 13, len(buf), 1)
    buf[20] ^= 1
    buf[3] ^= 1
    assert not shared.mac.check(buf, 13, len(buf), 1)


def test_memory_of_tags_is_bounded():
    key = kernels.remember(NetworkKey(KEY, 0))
    for number in range(3 * kernels.TAGS):
        buf = bytearray(12) + number.to_bytes(4)
        key.mac.sign(buf, 12, 16, 0)
    assert len(key.mac._known) == kernels.TAGS
