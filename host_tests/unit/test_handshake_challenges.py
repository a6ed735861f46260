"""What somebody without a network key cannot make a node do: first messages that are repeated, challenges, full nodes."""

from picoswarm.handshake import Reception
from picoswarm.membership import NetworkKey
from sessions import OPENED, WAITING, answer, are_joined, hear, initiator, is_closed, responder, said, talk

RUNTIMES = ("cpython", "micropython")

_BUSY, _FORGED, _REPLAYED = 1, 21, 23
_MINUTE = 60000


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
            is_closed(again, _REPLAYED)
    again = responder(reception=reception)
    assert answer(again, recorded[1], 17 * _MINUTE) == b""
    is_closed(again, _REPLAYED)


def _left_open(reception, now):
    """Somebody's message 1 opens, and nothing follows."""
    b = responder(reception=reception, now=now)
    assert len(answer(b, said(initiator()), now)) == 119 and b.stage == OPENED


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
        are_joined(a, b)
        assert [len(turn) for turn in turns] == [51, 18, 50, 119, 87]
        assert turns[0][3:35] != turns[2][2:34]


def test_challenged_recordings_buy_no_key_agreement():
    recorded = said(initiator())
    b = responder(reception=_suspicious())
    assert len(answer(b, recorded)) == 18 and b.stage == WAITING
    assert answer(b, recorded[1:]) == b""
    is_closed(b, _FORGED)


def test_an_answer_to_another_challenge_does_not_open():
    a, first = initiator(), responder(reception=_suspicious())
    second = answer(a, answer(first, said(a)))
    other = responder(reception=_suspicious())
    answer(other, said(initiator()))
    assert answer(other, second) == b""
    is_closed(other, _FORGED)


def test_an_initiator_takes_one_challenge_and_no_other():
    a = initiator()
    first = said(a)
    second = answer(a, b"\0\x10" + bytes(16))
    assert len(second) == 50 and second[2:34] != first[3:35]
    assert answer(a, b"\0\x10" + bytes(16)) == b""
    is_closed(a, _FORGED)


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
        assert b.stage == OPENED
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
        is_closed(b, _BUSY)
    reception.is_full = False
    assert len(talk(initiator(), responder(reception=reception))) == 3  # and nobody is suspected of silence


def test_who_is_waited_for_or_looks_for_a_way_down_says_so_and_is_let_in_where_others_are_not():
    for is_full, purpose in ((0, 0), (0, 1), (1, 0), (1, 1), (3, 1), (3, 2), (5, 1), (7, 2), (0, 2), (0, 3), (1, 3)):
        reception = Reception()
        reception.is_full = is_full
        a, b = initiator(), responder(reception=reception)
        a.purpose = purpose
        first = said(a)
        assert len(first) == 51 + (purpose > 0)
        second = answer(b, first)
        assert b.purpose == purpose % 3  # there is no third one
        if not is_full >> purpose % 3 & 1:
            answer(b, answer(a, second))
            assert a.stage == b.stage == 2
        else:
            assert second == b""
            is_closed(b, _BUSY)


def test_who_is_challenged_has_2_s_more():
    b = responder(reception=_suspicious(), now=0)
    answer(b, said(initiator()), 1500)
    assert b.stage == WAITING and b.deadline == 3500
