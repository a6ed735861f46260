"""The Noise engine: what it refuses, and that a refusal leaves no trace."""

from keywork import KeyWork
from picoswarm.crypto import X25519, run, u_from_id
from picoswarm.noise import Noise
from sessions import A, B
from support import unhex

RUNTIMES = ("cpython", "micropython")

_PSK = b"p" * 32
_P = 2**255 - 19
_SMALL_ORDER = (  # one of each order; test_x25519.py has them all
    bytes(32),
    b"\x01" + bytes(31),
    unhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
)


def _sides(psk=_PSK, prologue=b"", node=A):
    return (
        Noise(node, b"\x11" * 32, prologue, psk, True),
        Noise(B, b"\x22" * 32, prologue, psk, False),
    )


def _write(side, payload=b""):
    """The next message as bytes."""
    out = bytearray(96 + len(payload) + 3)
    for _ in side.message(out, 3, 0, payload):
        pass
    return None if side.end < 0 else bytes(out[3 : side.end])


def _read(side, message):
    """The payload of a message, None where it is refused."""
    buf = bytearray(b"??" + message + b"!!")
    for _ in side.message(buf, 2, 2 + len(message)):
        pass
    assert buf[:2] == b"??" and buf[-2:] == b"!!"
    return None if side.end < 0 else bytes(buf[side.at : side.end])


def _finished(sides):
    assert sides[0].keys == sides[1].keys and len(sides[0].keys) == 64
    assert sides[0].peer_id == B.id and sides[1].peer_id == A.id


def test_payloads_of_every_size_arrive_with_a_psk_and_without():
    for psk in (None, _PSK):
        for sizes in ((0, 0, 0), (1, 64, 130), (100, 7, 21)):
            sides = _sides(psk, b"prologue")
            for turn in range(3):
                payload = bytes(range(sizes[turn]))
                assert _read(sides[turn & 1 ^ 1], _write(sides[turn & 1], payload)) == payload
            _finished(sides)


def test_every_flipped_byte_is_refused_and_the_right_message_is_read_afterwards():
    for psk in (None, _PSK):
        sides = _sides(psk)
        for turn in range(3):
            reader = sides[turn & 1 ^ 1]
            message = _write(sides[turn & 1], b"payload")
            # Without a key message 1 is in the clear: what was changed there is noticed with message 2.
            for i in range(len(message)) if turn or psk else ():
                bad = bytearray(message)
                bad[i] ^= 1 << (i & 7)
                if turn and i == 31:
                    bad[i] = message[i] ^ 0x80  # the bit that X25519 does not read is hashed all the same
                assert _read(reader, bad) is None, (psk, turn, i)
            assert reader.keys is None
            assert _read(reader, message) == b"payload"
        _finished(sides)


def test_every_cut_is_refused_and_the_whole_message_is_read_afterwards():
    sides = _sides()
    for turn in range(3):
        reader = sides[turn & 1 ^ 1]
        message = _write(sides[turn & 1])
        for n in range(len(message)):
            assert _read(reader, message[:n]) is None, (turn, n)
        assert _read(reader, message + b"\0") is None
        assert _read(reader, message) == b""
    _finished(sides)


def test_another_psk_or_another_prologue_opens_nothing():
    message = _write(_sides()[0])
    assert _read(_sides(b"q" * 32)[1], message) is None
    assert _read(_sides(_PSK, b"p")[1], message) is None
    assert _read(_sides()[1], message) == b""


def test_without_a_psk_another_prologue_is_noticed_with_message_2():
    a, b = _sides(None, b"1")[0], _sides(None, b"2")[1]
    assert _read(b, _write(a)) == b""
    assert _read(a, _write(b)) is None


def test_an_ephemeral_key_of_small_order_is_refused_by_whoever_agrees_with_it():
    for point in _SMALL_ORDER:
        a, b = _sides(None)
        assert _read(b, point) == b""
        assert _write(b) is None
        _write(a)
        assert _read(a, point + bytes(64)) is None


def _with_static(u):
    """(reader, message 3) of an initiator whose static key reads `u`: all the rest of the message is right."""
    sides = _sides()
    _read(sides[1], _write(sides[0]))
    _read(sides[0], _write(sides[1]))
    own, A.static_public = A.static_public, u
    try:
        return sides[1], _write(sides[0])
    finally:
        A.static_public = own


def test_a_static_key_with_bit_255_or_beyond_p_is_refused():
    good = u_from_id(A.id)
    assert _read(*_with_static(good)) == b""
    high = bytearray(good)
    high[31] |= 0x80  # X25519 would read the same key, and the peer would have a second name
    assert _read(*_with_static(bytes(high))) is None
    for u in (_P, _P + 9, 2**255 - 1, _P - 1, 0, 1):
        assert _read(*_with_static(u.to_bytes(32, "little"))) is None, u


def test_whoever_does_not_hold_the_static_key_it_names_is_refused():
    assert _read(*_with_static(run(X25519(b"\x33" * 32)))) is None


def test_each_key_agreement_of_a_message_ends_with_a_slice_and_so_does_a_static_key():
    sides = _sides()
    message = bytearray(_write(sides[0]))
    for _ in sides[1].message(message, 0, len(message)):
        pass
    slices = 0
    for _ in sides[1].message(bytearray(112), 0, 0, b""):
        slices += 1
    assert slices >= 4  # e, ee, s, es


def test_opening_message_1_takes_no_key_agreement():
    def never(*args):
        raise AssertionError("public-key work")

    sides = _sides()
    message = _write(sides[0])
    with KeyWork(never, never):
        assert _read(sides[1], message) == b""
        assert _read(_sides(b"q" * 32)[1], message) is None
