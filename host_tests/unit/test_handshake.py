"""The set-up of a session as one side sees it: from bytes to keys, or to the reason why not."""

from keywork import KeyWork
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.handshake import Handshake, Reception
from picoswarm.hello import Hello
from picoswarm.membership import Membership, NetworkKey
from picoswarm.noise import Noise
from sessions import (
    DONE,
    FAILED,
    HELLO,
    KEY,
    OPENED,
    SEEN,
    WAITING,
    A,
    B,
    Draws,
    Node,
    answer,
    are_joined,
    hear,
    initiator,
    is_closed,
    responder,
    said,
    talk,
)
from support import unhex

RUNTIMES = ("cpython", "micropython")

_BUSY, _INCOMPATIBLE, _SELF, _WRONG_ID, _EPOCH, _MALFORMED, _TOO_LONG = 1, 2, 4, 7, 9, 11, 15
_FORGED, _REPLAYED = 21, 23
_MINUTE = 60000


def test_two_members_meet_in_257_bytes():
    a, b = initiator(dialed=B.id), responder()
    turns = talk(a, b)
    are_joined(a, b)
    assert [len(turn) for turn in turns] == [51, 119, 87]
    assert a.peer_id == B.id and b.peer_id == A.id and a.reason == b.reason == 0
    assert a.hello.port == b.hello.port == 4660 and a.hello.channels == b"\0\1\2"


def test_keys_are_new_each_time():
    keys = set()
    for _ in range(2):
        a, b = initiator(), responder()
        talk(a, b)
        keys |= {a.send_key, a.receive_key}
    assert len(keys) == 4


def _prepared(rng):
    """What a node has that had time for the key of its next set-up, and that key's public half."""
    reception = Reception()
    while reception.prepare(rng):
        pass
    assert not reception.prepare(rng)
    return reception, reception.ahead[1].result


def test_a_key_prepared_ahead_is_that_of_one_set_up_and_of_no_other():
    rng = Draws(91)
    reception, public = _prepared(rng)
    a = Handshake(A, KEY, rng, HELLO, True, reception, B.id, 0)
    first = said(a)
    assert first[3:35] == public and reception.ahead is None
    b = responder()
    answered = answer(b, first)
    hear(b, answer(a, answered))
    said(b)
    are_joined(a, b)
    again = Handshake(A, KEY, rng, HELLO, True, reception, B.id, 0)
    assert said(again)[3:35] != public


def test_who_answers_takes_the_key_prepared_ahead_once_message_1_has_opened():
    reception, public = _prepared(Draws(92))
    b = responder(reception=reception)
    assert answer(b, b"\x11\0\x30" + bytes(48)) == b"" and b.reason == _FORGED and reception.ahead
    a, b = initiator(dialed=B.id), responder(reception=reception)
    turns = talk(a, b)
    are_joined(a, b)
    assert turns[1][2:34] == public and reception.ahead is None


def test_a_challenged_set_up_has_another_key_than_the_one_before():
    reception, public = _prepared(Draws(93))
    a = Handshake(A, KEY, Draws(94), HELLO, True, reception, B.id, 0)
    assert said(a)[3:35] == public
    once_more = answer(a, b"\0\x10" + bytes(16))
    assert len(once_more) == 50 and once_more[2:34] != public


def test_messages_may_come_byte_by_byte():
    a, b = initiator(), responder()
    data = said(a)
    sides = (b, a)
    for turn in range(3):
        for i in range(len(data) - 1):
            assert answer(sides[turn & 1], data[i : i + 1]) == b""
        data = answer(sides[turn & 1], data[-1:])
    are_joined(a, b)


def test_what_follows_the_last_message_stays_in_the_buffer():
    a, b = initiator(), responder()
    last = answer(a, answer(b, said(a)))
    hear(b, last + b"a first record")
    while b.work():
        pass
    are_joined(a, b)
    assert b.buf[: b.fill] == b"a first record"


def test_longest_hellos_fit():
    hello = Hello(0, 1, bytes(18), bytes(range(47)), 768, 4, "sixteen letters.").encode()
    assert len(hello) == 64
    a, b = initiator(hello=hello), responder(hello=hello)
    assert [len(turn) for turn in talk(a, b)] == [51, 162, 130]
    are_joined(a, b)
    assert a.hello.name == b.hello.name == "sixteen letters."


def test_a_stranger_with_another_key_gets_not_a_byte():
    b = responder()
    hear(b, said(initiator(key=NetworkKey(b"another network's key of 32 bytes"[:32], 1))))
    assert said(b) == b""
    is_closed(b, _FORGED)


def test_a_stranger_with_random_bytes_gets_not_a_byte():
    draw = Draws(9)
    for byte0 in (0x11, 0x10, 0x21, 0xFF):
        b = responder()
        assert answer(b, bytes((byte0, 0, 48)) + draw(32) + draw(16)) == b""
        assert b.stage == FAILED


def test_a_message_1_with_anything_but_its_48_bytes_or_the_one_of_a_visit_is_refused_at_its_length():
    for size in (50, 160, 0xFFFF):
        b = responder()
        assert answer(b, b"\x11" + bytes((size >> 8, size & 0xFF))) == b""
        is_closed(b, _TOO_LONG)
    for size in (47, 49):
        b = responder()
        assert answer(b, bytes((0x11, 0, size)) + bytes(size)) == b""
        is_closed(b, _FORGED)


def test_messages_2_and_3_beyond_their_longest_are_refused_at_their_length():
    a = initiator()
    said(a)
    answer(a, b"\0\xa1")
    is_closed(a, _TOO_LONG)
    b = responder()
    answer(b, said(initiator()))
    answer(b, b"\0\x81")
    is_closed(b, _TOO_LONG)


def test_another_version_is_refused():
    b = responder()
    answer(b, b"\x21" + said(initiator())[1:])
    is_closed(b, _INCOMPATIBLE)


def test_an_epoch_that_is_not_held_is_refused():
    b = responder()
    answer(b, said(initiator(key=NetworkKey(bytes(range(32)), 2))))
    is_closed(b, _EPOCH)


def test_a_node_with_two_network_keys_answers_under_the_one_it_was_dialed_with():
    old, new = KEY, NetworkKey(bytes(range(1, 33)), 2)
    for key in (old, new):
        a, b = initiator(key=key), responder(keys=Membership(old, new))
        talk(a, b)
        are_joined(a, b)
        assert a.epoch == b.epoch == key.epoch


def test_byte_0_is_part_of_what_is_proven():
    # The same key under two epochs is nothing that a mesh does, but only so is byte 0 all that differs.
    b = responder(keys=Membership(KEY, NetworkKey(bytes(range(32)), 2)))
    data = said(initiator())
    answer(b, b"\x12" + data[1:])
    is_closed(b, _FORGED)


def test_every_flipped_byte_closes_without_an_answer():
    for turn in range(3):
        for i in range(1 if turn == 0 else 2, 200, 1 if turn == 0 else 3):
            a, b = initiator(), responder()
            data = said(a)
            sides = (b, a)
            for t in range(turn):
                data = answer(sides[t & 1], data)
            if i >= len(data):
                break
            bad = bytearray(data)
            bad[i] ^= 0x10
            reader = sides[turn & 1]
            assert answer(reader, bad) == b"", (turn, i)
            assert reader.stage != DONE and reader.send_key is None, (turn, i)
            assert reader.stage == FAILED or i < 3, (turn, i)


def test_a_member_posing_as_another_is_told_wrong_id():
    other = Node(b"\x42" * 32)
    a, b = initiator(dialed=B.id), responder(other)
    talk(a, b)
    are_joined(a, b)
    assert a.reason == _WRONG_ID and a.peer_id == other.id


def test_who_dials_itself_notices():
    a, b = initiator(dialed=B.id), responder(A)
    talk(a, b)
    are_joined(a, b)
    assert a.reason == b.reason == _SELF


def test_a_hello_of_other_versions_only_is_refused_with_a_reason():
    hello = bytearray(HELLO)
    hello[0] = 0x22
    a, b = initiator(hello=bytes(hello)), responder()
    talk(a, b)
    are_joined(a, b)
    assert b.reason == _INCOMPATIBLE and a.reason == 0


def test_a_hello_that_does_not_decode_is_refused_with_a_reason():
    a, b = initiator(), responder(hello=HELLO[:-1])
    talk(a, b)
    are_joined(a, b)
    assert a.reason == _MALFORMED and a.hello is None and b.reason == 0


def test_later_fields_of_a_hello_are_ignored():
    a, b = initiator(hello=HELLO + b"later"), responder(hello=HELLO + bytes(43))
    talk(a, b)
    are_joined(a, b)
    assert a.reason == b.reason == 0


def test_what_an_initiator_said_does_not_work_on_itself():
    a = initiator()
    assert answer(a, said(a)[1:]) == b""
    is_closed(a, _FORGED)


def test_what_a_responder_said_does_not_work_on_itself():
    b = responder()
    second = answer(b, said(initiator()))
    assert answer(b, second) == b""
    assert b.stage == FAILED


def test_opening_is_seen_before_the_first_key_agreement():
    def never(*args):
        raise AssertionError("public-key work")

    b = responder()
    hear(b, said(initiator()))
    slices = 1
    with KeyWork(never):
        while b.work() and b.stage == WAITING:
            slices += 1
    assert b.stage == OPENED and slices < 8 and b.to_send(bytearray(200)) == 0


def test_a_socket_has_2_s_for_message_1_and_a_handshake_5_s_for_each_that_follows():
    now = 0x3FFFFFFF
    a, b = initiator(now=now), responder(now=now)
    assert ticks_diff(b.deadline, now) == 2000 and ticks_diff(a.deadline, now) == 5000
    first = said(a)
    later = ticks_add(now, 700)
    answer(b, first[:40], later)
    assert ticks_diff(b.deadline, now) == 2000  # half a message moves nothing
    second = answer(b, first[40:], later)
    assert ticks_diff(b.deadline, later) == 5000
    answer(a, second, ticks_add(now, 3000))
    assert ticks_diff(a.deadline, now) == 8000


def test_a_handshake_that_is_given_up_works_no_further():
    b = responder()
    hear(b, said(initiator()))
    b.work()
    b.fail(20)
    is_closed(b, 20)


def test_a_peer_with_an_ephemeral_key_of_small_order_gets_no_keys():
    # A member can write any ephemeral key into a message 1 that opens.
    point = unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")

    class Fixed:
        def __init__(self, private, u=None):
            self.result = point

        def step(self):
            return False

    out = bytearray(48)
    noise = Noise(A, bytes(32), b"picoswarm/1\x11", KEY.psk, True)
    noise.job = Fixed(bytes(32))
    for _ in noise.message(out, 0, 0, b""):
        pass
    b = responder()
    assert answer(b, b"\x11\0\x30" + out) == b""
    is_closed(b, _FORGED)


def test_the_address_as_seen_arrives():
    a, b = initiator(), responder(hello=Hello(0, 0, SEEN, b"\0", 64, 0).encode())
    talk(a, b)
    assert a.hello.seen == SEEN and a.hello.record == 64 and a.hello.streams == 0
