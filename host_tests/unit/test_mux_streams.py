"""Streams of a session: opened by name, half-closed, reset, and their ids used again (docs/protocol.md 5)."""

from muxing import BULK, ENDED, NAME, READABLE, RESET, STREAM, Pair, frame, frames, opened
from picoswarm.errors import LocalError
from support import raises

RUNTIMES = ("cpython", "micropython", "board")

FIRST, SECOND = 128, 130  # ids that the initiator gives
OF_B = 129


def rows_in_use(end):
    """Streams that an end has not forgotten."""
    return [i for i in range(end.mux._plan.first, len(end.mux._rows), 9) if end.mux._rows[i + 6]]


def assert_forgotten(pair):
    pair.settle()
    assert not rows_in_use(pair.a) and not rows_in_use(pair.b)
    assert not pair.a.events() and not pair.b.events()
    assert not pair.a.mux._ready and not pair.b.mux._ready


def test_a_stream_is_opened_by_its_name_and_carries_bytes_both_ways():
    pair = Pair()
    stream = pair.a.mux.open(NAME, 4)
    assert stream == FIRST
    assert pair.a.mux.try_send(stream, b"hello ") and pair.a.mux.try_send(stream, b"there")
    record = pair.a.record(pair.now)
    assert frames(record) == [(FIRST, 2, NAME), (FIRST, 1, b"hello "), (FIRST, 1, b"there")]
    assert pair.b.hear(record, pair.now) == 0
    assert pair.b.events() == [(STREAM, FIRST, NAME), (READABLE, FIRST, None)]
    assert pair.b.mux.readable(FIRST) == 11
    assert pair.b.read(FIRST, 4) == b"hell" and pair.b.read(FIRST) == b"o there" and pair.b.read(FIRST) == b""
    assert pair.b.mux.try_send(FIRST, b"hi")
    pair.settle()
    assert pair.a.events() == [(READABLE, FIRST, None)] and pair.a.read(FIRST) == b"hi"


def test_the_responder_gives_odd_ids():
    pair = Pair()
    assert pair.b.mux.open(NAME, 4) == OF_B
    assert pair.b.mux.open(NAME, 4) == OF_B + 2
    assert pair.a.mux.open(NAME, 4) == FIRST


def test_each_half_ends_by_itself():
    pair = Pair()
    stream = opened(pair)
    pair.a.mux.try_send(stream, b"question")
    pair.a.mux.close(stream)
    assert not pair.a.mux.try_send(stream, b"too late") and not pair.a.mux.can_send(stream)
    pair.settle()
    assert pair.b.events() == [(READABLE, stream, None), (ENDED, stream, None)]
    assert pair.b.read(stream) == b"question"
    assert pair.b.mux.try_send(stream, b"answer")
    pair.b.mux.close(stream)
    pair.settle()
    assert pair.a.events() == [(READABLE, stream, None), (ENDED, stream, None)]
    assert pair.a.read(stream) == b"answer"
    assert_forgotten(pair)


def test_the_end_comes_behind_what_is_queued():
    pair = Pair()
    stream = opened(pair)
    for _ in range(4):
        pair.a.mux.try_send(stream, bytes(125))
    pair.a.mux.close(stream)
    pair.settle()
    assert pair.b.events() == [(READABLE, stream, None)]  # the window is full
    got = 0
    while got < 500:
        got += len(pair.b.read(stream))
        pair.settle()
    assert (ENDED, stream, None) in pair.b.events()


def test_the_id_is_free_again_when_the_other_side_has_read_and_closed():
    pair = Pair()
    stream = opened(pair)
    pair.a.mux.try_send(stream, b"unread")
    pair.a.mux.close(stream)
    pair.b.mux.close(stream)
    pair.settle()
    assert pair.a.mux.open(NAME, 4) == SECOND
    pair.settle()
    pair.b.events()
    assert pair.b.read(stream) == b"unread"
    pair.settle()
    pair.a.events()
    assert pair.a.mux.open(NAME, 4) == FIRST


def test_what_the_peer_wrote_last_can_be_read_after_the_end():
    pair = Pair()
    stream = opened(pair)
    pair.a.mux.close(stream)
    pair.settle()
    pair.b.events()
    pair.b.mux.try_send(stream, b"last words")
    pair.b.mux.close(stream)
    pair.settle()
    assert pair.a.events() == [(READABLE, stream, None), (ENDED, stream, None)]
    assert pair.a.mux.open(NAME, 4) != stream
    pair.a.mux.reset(SECOND, 0)
    assert pair.a.read(stream) == b"last words"
    assert_forgotten(pair)


def test_the_opener_resets_and_waits_for_the_answer():
    pair = Pair()
    stream = opened(pair)
    pair.a.mux.try_send(stream, b"never mind")
    pair.b.mux.try_send(stream, b"on its way")
    late = pair.b.record(pair.now)
    pair.a.mux.reset(stream, 33)
    record = pair.a.record(pair.now)
    assert frames(record) == [(stream, 8, b"\x21")]
    assert pair.a.hear(late, pair.now) == 0
    assert not pair.a.events() and pair.a.read(stream) == b""
    assert pair.a.mux.open(NAME, 4) == SECOND  # the first id may not be used yet
    assert pair.b.hear(record, pair.now) == 0
    assert pair.b.record(pair.now) == b""  # the application has to hear of it first
    assert pair.b.events() == [(RESET, stream, 33)]
    answer = pair.b.record(pair.now)
    assert frames(answer) == [(stream, 8, b"\x00")]
    assert pair.a.hear(answer, pair.now) == 0
    pair.a.mux.reset(SECOND, 0)
    assert_forgotten(pair)
    assert pair.a.mux.open(NAME, 4) == FIRST


def test_the_other_side_resets_once_and_the_id_is_free():
    pair = Pair()
    stream = opened(pair)
    pair.a.mux.try_send(stream, b"unread")
    pair.settle()
    pair.b.mux.reset(stream, 44)
    pair.b.mux.reset(stream, 45)
    record = pair.b.record(pair.now)
    assert frames(record) == [(stream, 8, b"\x2c")]
    assert not rows_in_use(pair.b)
    pair.a.mux.try_send(stream, b"crosses it")
    crossing = pair.a.record(pair.now)
    assert pair.b.hear(crossing, pair.now) == 0  # dropped
    assert pair.a.hear(record, pair.now) == 0
    assert pair.a.events() == [(RESET, stream, 44)]
    assert not pair.a.mux.try_send(stream, b"gone")
    assert_forgotten(pair)


def test_resets_that_cross_are_one_each():
    pair = Pair()
    stream = opened(pair)
    pair.a.mux.reset(stream, 1)
    pair.b.mux.reset(stream, 2)
    of_a, of_b = pair.a.record(pair.now), pair.b.record(pair.now)
    assert pair.a.hear(of_b, pair.now) == 0 and pair.b.hear(of_a, pair.now) == 0
    assert_forgotten(pair)


def test_a_stream_that_was_never_told_of_is_forgotten_silently():
    pair = Pair()
    stream = pair.a.mux.open(NAME, 4)
    pair.a.mux.try_send(stream, b"x")
    pair.a.mux.reset(stream, 0)
    assert pair.a.mux.due(pair.now) == -1
    assert_forgotten(pair)


def test_reuse_of_an_id_crosses_nothing_over():
    """Frames of the stream before it, still on their way, must not reach the one that has its id now."""
    pair = Pair()
    for i in range(20):
        stream = opened(pair)
        assert stream == FIRST
        pair.a.mux.try_send(stream, b"old %d" % i)
        pair.b.mux.try_send(stream, b"old too")
        (pair.a if i & 1 else pair.b).mux.reset(stream, 9)
        pair.settle()
        pair.a.events()
        pair.b.events()
        assert_forgotten(pair)


def test_too_many_streams_are_refused_as_busy():
    pair = Pair()
    for _ in range(4):
        opened(pair)
    assert pair.a.mux.open(NAME, 4) == 0
    for channel in (200, 202, 254):
        assert pair.b.hear(frame(channel, NAME, 2) + frame(channel, b"data"), pair.now) == 0
    record = pair.b.record(pair.now)
    assert frames(record) == [(200, 8, b"\x01"), (202, 8, b"\x01"), (254, 8, b"\x01")]
    assert pair.b.record(pair.now) == b"" and not pair.b.events()


def test_a_refused_id_may_be_tried_again_after_the_refusal_only():
    pair = Pair(streams=0)
    assert pair.b.hear(frame(FIRST, NAME, 2), pair.now) == 0
    assert pair.b.hear(frame(FIRST, NAME, 2), pair.now) == 14
    assert pair.b.record(pair.now) == frame(FIRST, b"\x01", 8)
    assert pair.b.hear(frame(FIRST, NAME, 2), pair.now) == 0


def test_the_opener_hears_that_it_is_refused():
    pair = Pair()
    pair.b.mux.open(NAME, 4)
    for _ in range(3):
        pair.b.mux.open(NAME, 4)
    stream = pair.a.mux.open(NAME, 4)
    of_a, of_b = pair.a.record(pair.now), pair.b.record(pair.now)
    assert pair.a.hear(of_b, pair.now) == 0 and pair.b.hear(of_a, pair.now) == 0
    pair.settle()
    assert (RESET, stream, 1) in pair.a.events()
    pair.settle()
    resets = [event for event in pair.b.events() if event[0] == RESET]
    assert len(resets) == 1  # three of the four fit beside the one of `a`


def test_what_breaks_a_rule_of_streams_ends_the_session():
    def refused(record):
        pair = Pair()
        opened(pair)
        return pair.b.hear(record, pair.now)

    assert refused(frame(FIRST, NAME, 2)) == 14  # open already
    assert refused(frame(OF_B, NAME, 2)) == 14  # an id that the receiver gives
    assert refused(frame(SECOND, b"", 2)) == 11
    assert refused(frame(SECOND, bytes(61), 2)) == 15
    assert refused(frame(FIRST, b"x", 4)) == 11
    assert refused(frame(FIRST, b"", 8)) == 11
    assert refused(frame(FIRST, b"xx", 8)) == 11
    assert refused(frame(FIRST, b"x", 10)) == 11
    assert refused(frame(FIRST, b"", 0)) == 11
    assert refused(frame(FIRST, b"", 4) + frame(FIRST, b"x")) == 14  # behind its end
    assert refused(frame(FIRST, bytes(254))) == 12
    assert refused(frame(FIRST, bytes(253))) == 0
    assert refused(frame(FIRST, bytes(120)) + frame(FIRST, bytes(131))) == 12
    assert refused(frame(BULK, NAME, 2)) == 11


def test_frames_of_streams_that_are_not_open_are_dropped():
    pair = Pair()
    for channel in (SECOND, OF_B):
        for flags, payload in ((1, b"data"), (0, b"data"), (4, b""), (8, b"\x00")):
            assert pair.b.hear(frame(channel, payload, flags), pair.now) == 0
        assert pair.b.hear(frame(0, b"\x03" + bytes((channel, 0xFF, 0xFF))), pair.now) == 0
    assert not pair.b.events() and pair.b.record(pair.now) == b""


def test_a_stream_needs_a_name_and_a_priority():
    pair = Pair()
    for name, priority in ((b"", 4), (bytes(61), 4), (NAME, 0), (NAME, 17)):
        raises(LocalError, pair.a.mux.open, name, priority)


def test_opening_and_resetting_for_ever_takes_no_memory():
    pair = Pair()
    for _ in range(100):
        record = b"".join([frame(channel, NAME, 2) + frame(channel, b"\x00", 8) for channel in range(128, 168, 2)])
        assert pair.b.hear(record, pair.now) == 0
        assert len(rows_in_use(pair.b)) == 4
        assert len(pair.b.events()) == 8
        while pair.b.record(pair.now):
            pass
        assert not rows_in_use(pair.b)


def test_more_records_than_one_carry_what_control_has_to_say():
    pair = Pair(streams=0, record=64)
    for channel in range(128, 256, 2):
        assert pair.b.hear(frame(channel, NAME, 2), pair.now) == 0
    refused = []
    for _ in range(8):
        record = pair.b.record(pair.now)
        assert len(record) <= 64
        refused += [channel for channel, flags, payload in frames(record)]
    assert refused == list(range(128, 256, 2))


def test_after_the_end_nothing_is_told():
    pair = Pair()
    stream = opened(pair)
    pair.b.mux.try_send(stream, b"x")
    late = pair.b.record(pair.now)
    pair.a.mux.go_away(0)
    assert pair.a.record(pair.now)
    assert pair.a.hear(late, pair.now) == 0
    assert all(event[0] != 6 for event in pair.a.events())
    assert pair.a.record(pair.now) == b"" and pair.a.mux.due(pair.now) == -1


class _Full(list):
    """It has no memory to grow."""

    def append(self, item):
        raise MemoryError


def test_a_stream_that_memory_lacks_for_is_not_open():
    pair = Pair()
    ready = pair.a.mux._ready
    pair.a.mux._ready = _Full()
    for _ in range(20):
        raises(MemoryError, pair.a.mux.open, NAME, 4)
    pair.a.mux._ready = ready
    assert not rows_in_use(pair.a)
    assert opened(pair) == FIRST


def test_an_end_that_memory_lacks_for_can_be_said_later():
    pair = Pair()
    stream = opened(pair)
    ready = pair.a.mux._ready
    pair.a.mux._ready = _Full()
    raises(MemoryError, pair.a.mux.close, stream)
    pair.a.mux._ready = ready
    pair.a.mux.close(stream)
    pair.settle()
    assert pair.b.events() == [(ENDED, stream, None)]


def test_an_id_that_somebody_still_knows_is_not_given():
    pair = Pair()
    assert pair.a.mux.open(NAME, 4, (FIRST,)) == SECOND
