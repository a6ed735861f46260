"""The vectors of sessions once more, on every runtime (they are in host_tests/vectors, as JSON)."""

from picoswarm.handshake import Reception
from picoswarm.hello import decode
from picoswarm.membership import Membership
from picoswarm.sealed import Sealed
from session_vectors import (
    CHALLENGE,
    EPHEMERAL_B,
    EPHEMERALS_A,
    EPOCH,
    HELLOS,
    ID_A,
    ID_B,
    NETWORK_KEY,
    PRIVATE_A,
    PRIVATE_B,
    RECORDS,
    REFUSED_HELLOS,
    SET_UPS,
)
from sessions import KEY, A, B, Draws, answer, initiator, responder, said
from support import unhex

RUNTIMES = ("cpython", "micropython", "qemu")


def test_the_hellos_of_the_vectors_are_read_and_written():
    for text in HELLOS[:-1]:  # the last has fields of a later version
        data = unhex(text)
        assert decode(data, 0, len(data)).encode() == data
    for text in REFUSED_HELLOS:
        data = unhex(text)
        assert len(data) > 64 or decode(data, 0, len(data)) is None, text


def test_set_ups_pass_over_the_wire_as_written():
    assert unhex(ID_A) == A.id and unhex(ID_B) == B.id
    assert unhex(PRIVATE_A) == A.static_private and unhex(PRIVATE_B) == B.static_private
    assert unhex(NETWORK_KEY) == KEY.key and EPOCH == KEY.epoch
    ephemeral = unhex(EPHEMERAL_B)
    for hello_a, hello_b, wire, key_a, key_b in SET_UPS:
        reception = Reception()
        draws = [ephemeral]
        if len(wire) > 3:
            reception.unfinished.extend([0, 0])
            draws += [unhex(CHALLENGE), ephemeral]
        a = initiator(hello=unhex(hello_a), rng=Draws(0, [unhex(text) for text in EPHEMERALS_A]))
        b = responder(hello=unhex(hello_b), rng=Draws(0, draws), keys=Membership(KEY), reception=reception)
        a.purpose = wire[0][2:6] == "0031"
        data = said(a)
        for turn in range(len(wire)):
            assert data == unhex(wire[turn]), turn
            data = answer((b, a)[turn & 1], data)
        assert b.purpose == a.purpose
        assert a.send_key == b.receive_key == unhex(key_a) and b.send_key == a.receive_key == unhex(key_b)


def test_records_are_sealed_and_opened_as_written():
    for number, text, record in RECORDS:
        text, record = unhex(text), unhex(record)
        for at in (0, 2):
            ends = [Sealed(unhex(SET_UPS[0][3])) for _ in range(2)]
            for end in ends:
                if number:
                    end._nonce[4:8] = (number - 1).to_bytes(4, "little")
                    end._count()
            buf = bytearray(at + 2) + text + bytes(16)
            assert ends[0].seal(buf, at, at + 2 + len(text)) == at + len(record)
            assert buf[at:] == record
            assert ends[1].open(buf, at, len(buf)) == at + 2 + len(text) and buf[at + 2 : at + 2 + len(text)] == text
