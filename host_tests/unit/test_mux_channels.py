"""Fixed channels of a session: whole messages, credit, limits (docs/protocol.md 5)."""

from muxing import BIG, BULK, CHANNELS, SLOW, URGENT, WRITABLE, End, Pair, frame, frames
from picoswarm.channel import Channel
from picoswarm.errors import LocalError
from picoswarm.mux import Mux
from picoswarm.profile import Profile
from support import raises

RUNTIMES = ("cpython", "micropython", "qemu")

LARGE = CHANNELS + (Channel(BIG, 1, 4, 4096, 2000),)


def test_messages_of_a_channel_arrive_whole_and_in_order():
    pair = Pair()
    sent = [bytes((i,)) * (i * 40) for i in range(10)]
    for message in sent:
        assert pair.a.mux.try_send(BULK, message)
    pair.settle()
    assert pair.b.sent_on(BULK) == sent
    assert not pair.a.messages


def test_a_message_longer_than_a_record_arrives_whole():
    pair = Pair(LARGE)
    message = bytes(range(250)) * 8
    for _ in range(5):
        pair.a.mux.try_send(BULK, b"before")
        assert pair.a.mux.try_send(BIG, message)
        pair.settle()
        assert pair.b.sent_on(BIG) == [message]
        pair.b.messages.clear()


def test_a_message_that_fits_in_a_record_is_never_cut():
    pair = Pair()
    for _ in range(5):
        pair.a.mux.try_send(BULK, bytes(400))
    record = pair.a.record(pair.now)
    assert frames(record) == [(BULK, 1, bytes(400))]


def test_channels_begin_without_credit():
    now = 0
    profile = Profile()
    a = End(profile, CHANNELS, True, now)
    a.mux.start(b"\x20\x21", 768, now)
    first = a.record(now)
    assert [channel for channel, flags, payload in frames(first)] == [0, 0]  # two CREDITs
    assert a.mux.try_send(BULK, b"x")
    now = 20
    assert a.record(now) == b""
    assert a.hear(frame(0, b"\x03\x20\x00\x04"), now) == 0
    assert frames(a.record(now)) == [(BULK, 1, b"x")]
    assert a.mux.try_send(BULK, b"")
    assert a.record(100) == b""


def test_a_window_holds_twice_the_longest_message():
    a = End(Profile(), CHANNELS, True, 0)
    a.mux.start(b"\x20", 768, 0)
    assert a.record(0) == frame(0, b"\x03\x20\x40\x00")  # or 16 KB
    channels = (Channel(BULK, 1, 4, 16000, 16000),)
    a = End(Profile(), channels, True, 0)
    a.mux.start(b"\x20", 768, 0)
    assert a.record(0) == frame(0, b"\x03\x20" + (2 * (16000 + 1000 + 8)).to_bytes(2, "big"))


def test_credit_comes_back_and_all_of_it():
    pair = Pair()
    before = pair.a.mux._rows[10]
    assert before == 16384
    pair.b.forgets = True
    for i in range(300):
        assert pair.a.mux.try_send(BULK, bytes(i))
        pair.settle()
    lost = before - pair.a.mux._rows[10]
    assert 0 <= lost < 8192  # what is not given back yet stays below half a window


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


def test_a_peer_that_sends_beyond_its_credit_is_closed():
    now = 0
    b = End(Profile(), CHANNELS, False, now)
    b.mux.start(b"\x20", 768, now)
    assert b.hear(frame(BULK, b"x"), now) == 12  # before any was given
    pair = Pair(LARGE)
    reasons = [pair.b.hear(frame(BIG, bytes(300), 0), pair.now) for _ in range(8)]
    assert reasons == [0] * 6 + [15] * 2
    pair = Pair()
    pair.b.forgets = True
    reasons = [pair.b.hear(frame(BULK, bytes(397)), pair.now) for _ in range(41)]
    assert reasons == [0] * 40 + [12]  # 41 times 400 bytes, and nothing was given back


def test_headers_of_an_unfinished_message_are_given_back():
    """Otherwise many small frames of one message would leave it without credit for its end."""
    pair = Pair(LARGE)
    for _ in range(1999):
        assert pair.b.hear(frame(BIG, b"x", 0), pair.now) == 0
        pair.b.record(pair.now)
    assert pair.b.hear(frame(BIG, b"y"), pair.now) == 0
    assert pair.b.messages == [(BIG, b"x" * 1999 + b"y")]


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
