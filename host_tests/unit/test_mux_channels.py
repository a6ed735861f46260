"""Fixed channels of a session: whole messages, queues, limits (docs/protocol.md 5)."""

from muxing import BIG, BULK, CHANNELS, LARGE, SLOW, URGENT, WRITABLE, Pair, frame, frames
from picoswarm.channel import Channel
from picoswarm.errors import LocalError
from picoswarm.mux import Mux
from picoswarm.profile import Profile
from support import raises

RUNTIMES = ("cpython", "micropython", "board")


def test_messages_of_a_channel_arrive_whole_and_in_order():
    pair = Pair()
    sent = [bytes((i,)) * (i * 40) for i in range(10)]
    for message in sent:
        assert pair.a.mux.try_send(BULK, message)
    pair.settle()
    assert pair.b.sent_on(BULK) == sent
    assert not pair.a.messages


def test_a_message_that_fits_in_a_record_is_never_cut():
    pair = Pair()
    for _ in range(5):
        pair.a.mux.try_send(BULK, bytes(400))
    record = pair.a.record(pair.now)
    assert frames(record) == [(BULK, 1, bytes(400))]


def test_a_channel_that_the_peer_did_not_list_takes_nothing():
    pair = Pair(listed=bytes((BULK,)))
    raises(LocalError, pair.a.mux.try_send, URGENT, b"x")
    raises(LocalError, pair.a.mux.try_send, 99, b"x")
    assert not pair.a.mux.can_send(URGENT)
    assert pair.a.mux.can_send(BULK)


def test_a_message_beyond_the_limit_is_refused_here():
    pair = Pair()
    raises(LocalError, pair.a.mux.try_send, BULK, bytes(401))


def test_a_full_queue_says_so_and_tells_when_there_is_room():
    pair = Pair()
    taken = 0
    while pair.a.mux.can_send(SLOW):
        assert pair.a.mux.try_send(SLOW, bytes(200))
        taken += 1
    assert taken == 4  # then a message of 400 bytes would not fit in 1,024
    assert pair.a.mux.try_send(SLOW, bytes(200))
    assert not pair.a.mux.try_send(SLOW, bytes(200))
    assert not pair.a.events()
    pair.settle()
    assert pair.a.events() == [(WRITABLE, SLOW, None)]
    assert len(pair.b.messages) == 5


def test_a_queue_has_so_many_places():
    pair = Pair()
    for _ in range(8):
        assert pair.a.mux.try_send(SLOW, b"")
    assert not pair.a.mux.try_send(SLOW, b"")


def refused(record):
    """The reason for which a record ends a session."""
    pair = Pair(LARGE)
    return pair.b.hear(record, pair.now)


def test_what_breaks_a_rule_ends_the_session():
    assert refused(b"\x20") == 11
    assert refused(b"\x20\x10") == 11
    assert refused(b"\x20\x10\x05abc") == 11  # longer than its record
    assert refused(frame(BULK, b"", 0)) == 11  # says nothing
    assert refused(frame(BULK, b"x", 3)) == 11
    assert refused(frame(BULK, b"", 4)) == 11
    assert refused(frame(BULK, b"x", 0)) == 11  # cut, though any message fits in a record
    assert refused(frame(99, b"x")) == 13
    assert refused(frame(BULK, bytes(401))) == 15
    assert refused(frame(BIG, bytes(700), 0) * 1 + frame(BIG, bytes(700), 0) + frame(BIG, bytes(601))) == 15
    assert refused(frame(BULK, bytes(400)) * 2) == 0
    assert refused(frame(0, b"\x03\x63\x00\x01")) == 13
    assert refused(frame(0, b"\x03\x20\xff\xff")) == 12  # more than 65,535 in all
    for control in (b"", b"\x00", b"\x05", b"\x01\x00", b"\x02\x00", b"\x03\x20\x00", b"\x04", b"\x04\x00\x00"):
        assert refused(frame(0, control)) == 11
    assert refused(frame(0, b"\x01", 0)) == 11


def test_a_channel_that_cannot_be_served_is_refused_at_once():
    for wrong in (
        Channel(0, 1, 1, 1, 1),
        Channel(128, 1, 1, 1, 1),
        Channel(1, 0, 1, 1, 1),
        Channel(1, 17, 1, 1, 1),
        Channel(1, 1, 0, 1, 1),
        Channel(1, 1, 1, 0, 1),
        Channel(1, 1, 1, 1, 0),
        Channel(1, 1, 1, 1, 31000),
    ):
        raises(LocalError, Mux, Profile(), (wrong,), True, 0)
    raises(LocalError, Mux, Profile(), (CHANNELS[0], CHANNELS[0]), True, 0)


def test_small_records_carry_what_large_ones_do():
    pair = Pair(LARGE, record=64)
    message = bytes(range(200)) * 2
    for channel in (BULK, URGENT, SLOW, BIG):
        assert pair.a.mux.try_send(channel, message)
    pair.settle()
    assert sorted(pair.b.messages) == [(channel, message) for channel in (BULK, URGENT, SLOW, BIG)]


def test_messages_of_equal_length_are_handed_on_unharmed():
    """A view is used again, and messages move in their record to where it looks."""
    pair = Pair()
    sent = [bytes((65 + i,)) * 20 for i in range(12)]
    sent += [b"short", b"longer than that", b"short", b"", b"x" * 20]
    for message in sent:
        assert pair.a.mux.try_send(BULK, message)
    pair.settle()
    assert pair.b.sent_on(BULK) == sent


def test_a_message_may_stand_anywhere_in_the_buffer():
    """Several records are read at once: what moves to where the last message was must not harm its own header."""
    pair = Pair()
    for at in range(2, 60):
        message = bytes((at,)) * 40
        assert pair.b.hear(frame(URGENT, message), pair.now, at) == 0
        assert pair.b.messages.pop() == (URGENT, message)


class _Full(list):
    """It has no memory to grow."""

    def append(self, item):
        raise MemoryError


def test_a_message_that_memory_lacks_for_takes_no_room_from_later_ones():
    pair = Pair()
    mux = pair.a.mux
    ready = mux._ready
    mux._ready = _Full()
    for _ in range(20):
        raises(MemoryError, mux.try_send, SLOW, bytes(400))
    mux._ready = ready
    assert mux.try_send(SLOW, bytes(400)) and mux.try_send(SLOW, bytes(400))
    pair.settle()
    assert pair.b.sent_on(SLOW) == [bytes(400)] * 2
