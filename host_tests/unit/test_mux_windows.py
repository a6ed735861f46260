"""Credit and windows of the fixed channels of a session, and messages longer than a record (docs/protocol.md 5)."""

from muxing import BIG, BULK, CHANNELS, LARGE, End, Pair, frame, frames
from picoswarm.channel import Channel
from picoswarm.profile import Profile

RUNTIMES = ("cpython", "micropython", "board")


def test_a_message_longer_than_a_record_arrives_whole():
    pair = Pair(LARGE)
    message = bytes(range(250)) * 8
    for _ in range(5):
        pair.a.mux.try_send(BULK, b"before")
        assert pair.a.mux.try_send(BIG, message)
        pair.settle()
        assert pair.b.sent_on(BIG) == [message]
        pair.b.messages.clear()


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


def test_a_window_holds_32_kb():
    a = End(Profile(), CHANNELS, True, 0)
    a.mux.start(b"\x20", 768, 0)
    assert a.record(0) == frame(0, b"\x03\x20\x80\x00")


def test_a_window_holds_twice_the_longest_message_if_that_is_more():
    channels = (Channel(BULK, 1, 4, 16000, 16000),)
    a = End(Profile(streams=0), channels, True, 0)
    a.mux.start(b"\x20", 768, 0)
    assert a.record(0) == frame(0, b"\x03\x20" + (2 * (16000 + 1000 + 8)).to_bytes(2, "big"))


def test_credit_comes_back_and_all_of_it():
    pair = Pair()
    before = pair.a.mux._rows[10]
    assert before == 32768
    pair.b.forgets = True
    for i in range(500):
        assert pair.a.mux.try_send(BULK, bytes(i % 400))
        pair.settle()
    lost = before - pair.a.mux._rows[10]
    assert 0 <= lost < 16384  # what is not given back yet stays below half a window


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
    reasons = [pair.b.hear(frame(BULK, bytes(397)), pair.now) for _ in range(82)]
    assert reasons == [0] * 81 + [12]  # 82 times 400 bytes, and nothing was given back


def test_headers_of_an_unfinished_message_are_given_back():
    """Otherwise many small frames of one message would leave it without credit for its end."""
    pair = Pair(LARGE)
    for _ in range(1999):
        assert pair.b.hear(frame(BIG, b"x", 0), pair.now) == 0
        pair.b.record(pair.now)
    assert pair.b.hear(frame(BIG, b"y"), pair.now) == 0
    assert pair.b.messages == [(BIG, b"x" * 1999 + b"y")]
