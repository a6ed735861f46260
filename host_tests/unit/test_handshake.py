"""The set-up of a session as one side sees it: from bytes to keys, or to the reason why not."""

from keywork import KeyWork
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.handshake import Reception
from picoswarm.hello import Hello
from picoswarm.membership import Membership, NetworkKey
from picoswarm.noise import Noise
from sessions import HELLO, KEY, SEEN, A, B, Draws, Node, answer, hear, initiator, responder, said, talk
from support import unhex

RUNTIMES = ("cpython", "micropython")

_WAITING, _OPENED, _DONE, _FAILED = range(4)
_BUSY, _INCOMPATIBLE, _SELF, _WRONG_ID, _EPOCH, _MALFORMED, _TOO_LONG = 1, 2, 4, 7, 9, 11, 15
_FORGED, _REPLAYED = 21, 23
_MINUTE = 60000


def _are_joined(a, b):
    assert a.stage == b.stage == _DONE, (a.stage, a.reason, b.stage, b.reason)
    assert a.send_key == b.receive_key and a.receive_key == b.send_key and a.send_key != a.receive_key
    assert a.epoch == b.epoch
    assert not a.work() and not b.work()


def _is_closed(side, reason):
    """It failed for that reason and leaves without a byte."""
    assert side.stage == _FAILED and side.reason == reason, (side.stage, side.reason)
    assert side.receive(0, 0) == reason
    assert not side.work() and side.to_send(bytearray(200)) == 0


def test_two_members_meet_in_257_bytes():
    a, b = initiator(dialed=B.id), responder()
    turns = talk(a, b)
    _are_joined(a, b)
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


def test_messages_may_come_byte_by_byte():
    a, b = initiator(), responder()
    data = said(a)
    sides = (b, a)
    for turn in range(3):
        for i in range(len(data) - 1):
            assert answer(sides[turn & 1], data[i : i + 1]) == b""
        data = answer(sides[turn & 1], data[-1:])
    _are_joined(a, b)


def test_what_follows_the_last_message_stays_in_the_buffer():
    a, b = initiator(), responder()
    last = answer(a, answer(b, said(a)))
    hear(b, last + b"a first record")
    while b.work():
        pass
    _are_joined(a, b)
    assert b.buf[: b.fill] == b"a first record"


def test_longest_hellos_fit():
    hello = Hello(0, 1, bytes(18), bytes(range(47)), 768, 4, "sixteen letters.").encode()
    assert len(hello) == 64
    a, b = initiator(hello=hello), responder(hello=hello)
    assert [len(turn) for turn in talk(a, b)] == [51, 162, 130]
    _are_joined(a, b)
    assert a.hello.name == b.hello.name == "sixteen letters."


def test_a_stranger_with_another_key_gets_not_a_byte():
    b = responder()
    hear(b, said(initiator(key=NetworkKey(b"another network's key of 32 bytes"[:32], 1))))
    assert said(b) == b""
    _is_closed(b, _FORGED)


def test_a_stranger_with_random_bytes_gets_not_a_byte():
    draw = Draws(9)
    for byte0 in (0x11, 0x10, 0x21, 0xFF):
        b = responder()
        assert answer(b, bytes((byte0, 0, 48)) + draw(32) + draw(16)) == b""
        assert b.stage == _FAILED


def test_a_message_1_with_anything_but_its_48_bytes_or_the_one_of_a_visit_is_refused_at_its_length():
    for size in (50, 160, 0xFFFF):
        b = responder()
        assert answer(b, b"\x11" + bytes((size >> 8, size & 0xFF))) == b""
        _is_closed(b, _TOO_LONG)
    for size in (47, 49):
        b = responder()
        assert answer(b, bytes((0x11, 0, size)) + bytes(size)) == b""
        _is_closed(b, _FORGED)


def test_messages_2_and_3_beyond_their_longest_are_refused_at_their_length():
    a = initiator()
    said(a)
    answer(a, b"\0\xa1")
    _is_closed(a, _TOO_LONG)
    b = responder()
    answer(b, said(initiator()))
    answer(b, b"\0\x81")
    _is_closed(b, _TOO_LONG)


def test_another_version_is_refused():
    b = responder()
    answer(b, b"\x21" + said(initiator())[1:])
    _is_closed(b, _INCOMPATIBLE)


def test_an_epoch_that_is_not_held_is_refused():
    b = responder()
    answer(b, said(initiator(key=NetworkKey(bytes(range(32)), 2))))
    _is_closed(b, _EPOCH)


def test_a_node_with_two_network_keys_answers_under_the_one_it_was_dialed_with():
    old, new = KEY, NetworkKey(bytes(range(1, 33)), 2)
    for key in (old, new):
        a, b = initiator(key=key), responder(keys=Membership(old, new))
        talk(a, b)
        _are_joined(a, b)
        assert a.epoch == b.epoch == key.epoch


def test_byte_0_is_part_of_what_is_proven():
    # The same key under two epochs is nothing that a mesh does, but only so is byte 0 all that differs.
    b = responder(keys=Membership(KEY, NetworkKey(bytes(range(32)), 2)))
    data = said(initiator())
    answer(b, b"\x12" + data[1:])
    _is_closed(b, _FORGED)


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
            assert reader.stage != _DONE and reader.send_key is None, (turn, i)
            assert reader.stage == _FAILED or i < 3, (turn, i)


def test_a_member_posing_as_another_is_told_wrong_id():
    other = Node(b"\x42" * 32)
    a, b = initiator(dialed=B.id), responder(other)
    talk(a, b)
    _are_joined(a, b)
    assert a.reason == _WRONG_ID and a.peer_id == other.id


def test_who_dials_itself_notices():
    a, b = initiator(dialed=B.id), responder(A)
    talk(a, b)
    _are_joined(a, b)
    assert a.reason == b.reason == _SELF


def test_a_hello_of_other_versions_only_is_refused_with_a_reason():
    hello = bytearray(HELLO)
    hello[0] = 0x22
    a, b = initiator(hello=bytes(hello)), responder()
    talk(a, b)
    _are_joined(a, b)
    assert b.reason == _INCOMPATIBLE and a.reason == 0


def test_a_hello_that_does_not_decode_is_refused_with_a_reason():
    a, b = initiator(), responder(hello=HELLO[:-1])
    talk(a, b)
    _are_joined(a, b)
    assert a.reason == _MALFORMED and a.hello is None and b.reason == 0


def test_later_fields_of_a_hello_are_ignored():
    a, b = initiator(hello=HELLO + b"later"), responder(hello=HELLO + bytes(43))
    talk(a, b)
    _are_joined(a, b)
    assert a.reason == b.reason == 0


def test_what_an_initiator_said_does_not_work_on_itself():
    a = initiator()
    assert answer(a, said(a)[1:]) == b""
    _is_closed(a, _FORGED)


def test_what_a_responder_said_does_not_work_on_itself():
    b = responder()
    second = answer(b, said(initiator()))
    assert answer(b, second) == b""
    assert b.stage == _FAILED


def test_a_recorded_first_message_buys_no_answer_of_a_node_that_opened_it_lately():
    reception = Reception()
    recorded = []
    for i in range(17):
        recorded.append(said(initiator()))
        hear(responder(reception=reception), recorded[-1], i)
        b = responder(reception=reception, now=i * _MINUTE)
        answer(b, recorded[-1], i * _MINUTE)
        if i < 16:
            again = responder(reception=reception)
            assert answer(again, recorded[0], i * _MINUTE) == b""
            _is_closed(again, _REPLAYED)
    again = responder(reception=reception)
    assert answer(again, recorded[1], 17 * _MINUTE) == b""
    _is_closed(again, _REPLAYED)


def _left_open(reception, now):
    """Somebody's message 1 opens, and nothing follows."""
    b = responder(reception=reception, now=now)
    assert len(answer(b, said(initiator()), now)) == 119 and b.stage == _OPENED


def _suspicious(now=0):
    reception = Reception()
    _left_open(reception, now)
    _left_open(reception, now)
    return reception


def test_after_two_handshakes_without_an_end_newcomers_are_challenged_and_members_pass():
    reception = _suspicious()
    for _ in range(3):  # it stays so for a minute, whoever passes meanwhile
        a, b = initiator(), responder(reception=reception)
        turns = talk(a, b, 1000)
        _are_joined(a, b)
        assert [len(turn) for turn in turns] == [51, 18, 50, 119, 87]
        assert turns[0][3:35] != turns[2][2:34]


def test_challenged_recordings_buy_no_key_agreement():
    recorded = said(initiator())
    b = responder(reception=_suspicious())
    assert len(answer(b, recorded)) == 18 and b.stage == _WAITING
    assert answer(b, recorded[1:]) == b""
    _is_closed(b, _FORGED)


def test_an_answer_to_another_challenge_does_not_open():
    a, first = initiator(), responder(reception=_suspicious())
    second = answer(a, answer(first, said(a)))
    other = responder(reception=_suspicious())
    answer(other, said(initiator()))
    assert answer(other, second) == b""
    _is_closed(other, _FORGED)


def test_an_initiator_takes_one_challenge_and_no_other():
    a = initiator()
    first = said(a)
    second = answer(a, b"\0\x10" + bytes(16))
    assert len(second) == 50 and second[2:34] != first[3:35]
    assert answer(a, b"\0\x10" + bytes(16)) == b""
    _is_closed(a, _FORGED)


def test_challenges_end_a_minute_after_the_handshakes_that_did_not():
    reception = _suspicious()
    assert len(answer(responder(reception=reception), said(initiator()), _MINUTE - 1)) == 18
    assert len(answer(responder(reception=reception), said(initiator()), _MINUTE)) == 119


def test_handshakes_that_come_to_their_end_cause_no_challenge():
    reception = Reception()
    for _ in range(5):
        a, b = initiator(), responder(reception=reception)
        assert len(talk(a, b)) == 3
    _left_open(reception, 0)
    assert len(talk(initiator(), responder(reception=reception))) == 3


def test_members_who_never_finish_are_remembered_in_bounded_memory():
    reception = _suspicious()
    for _ in range(20):
        a, b = initiator(), responder(reception=reception)
        answer(b, answer(a, answer(b, said(a))))
        assert b.stage == _OPENED
    assert len(reception.unfinished) <= 8


def test_strangers_cause_no_challenge():
    reception = Reception()
    key = NetworkKey(bytes(range(1, 33)), 1)
    for _ in range(5):
        answer(responder(reception=reception), said(initiator(key=key)))
    assert len(talk(initiator(), responder(reception=reception))) == 3


def test_a_full_node_closes_after_message_1_and_works_no_further():
    reception = Reception()
    reception.is_full = True
    for _ in range(3):
        b = responder(reception=reception)
        assert answer(b, said(initiator())) == b""
        _is_closed(b, _BUSY)
    reception.is_full = False
    assert len(talk(initiator(), responder(reception=reception))) == 3  # and nobody is suspected of silence


def test_who_is_waited_for_says_so_and_is_let_in_where_only_a_visit_is():
    for is_full, is_visit in ((0, False), (0, True), (1, False), (1, True), (2, True)):
        reception = Reception()
        reception.is_full = is_full
        a, b = initiator(), responder(reception=reception)
        a.is_visit = is_visit
        first = said(a)
        assert len(first) == 51 + is_visit
        second = answer(b, first)
        assert b.is_visit == is_visit
        if is_full <= is_visit:
            answer(b, answer(a, second))
            assert a.stage == b.stage == 2
        else:
            assert second == b""
            _is_closed(b, _BUSY)


def test_opening_is_seen_before_the_first_key_agreement():
    def never(*args):
        raise AssertionError("public-key work")

    b = responder()
    hear(b, said(initiator()))
    slices = 1
    with KeyWork(never):
        while b.work() and b.stage == _WAITING:
            slices += 1
    assert b.stage == _OPENED and slices < 8 and b.to_send(bytearray(200)) == 0


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


def test_who_is_challenged_has_2_s_more():
    b = responder(reception=_suspicious(), now=0)
    answer(b, said(initiator()), 1500)
    assert b.stage == _WAITING and b.deadline == 3500


def test_a_handshake_that_is_given_up_works_no_further():
    b = responder()
    hear(b, said(initiator()))
    b.work()
    b.fail(20)
    _is_closed(b, 20)


def test_a_peer_with_an_ephemeral_key_of_small_order_gets_no_keys():
    # A member can write any ephemeral key into a message 1 that opens.
    point = unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
    class Fixed:
        def __init__(self, private, u=None):
            self.result = point

        def step(self):
            return False

    out = bytearray(48)
    with KeyWork(Fixed):
        for _ in Noise(A, bytes(32), b"picoswarm/1\x11", KEY.psk, True).message(out, 0, 0, b""):
            pass
    b = responder()
    assert answer(b, b"\x11\0\x30" + out) == b""
    _is_closed(b, _FORGED)


def test_the_address_as_seen_arrives():
    a, b = initiator(), responder(hello=Hello(0, 0, SEEN, b"\0", 64, 0).encode())
    talk(a, b)
    assert a.hello.seen == SEEN and a.hello.record == 64 and a.hello.streams == 0
