"""What goes when: priorities, the flush throttle, control between data (docs/protocol.md 5)."""

from muxing import BULK, CHANNELS, SLOW, URGENT, WIDE, End, Pair, frame, frames, keep_full
from picoswarm.channel import Channel
from picoswarm.profile import Profile

RUNTIMES = ("cpython", "micropython", "board")


def drain(pair, records, *channels):
    """Carry so many records of `a` while the queues of `channels` stay full. Returns the bytes of each of them."""
    pair.b.forgets = True
    before = {channel: 0 for channel in channels}
    for _ in range(records):
        for channel in channels:
            keep_full(pair.a, channel, 97)
        record = pair.a.record(pair.now)
        assert pair.b.hear(record, pair.now) == 0
        for channel, flags, payload in frames(record):
            if channel in before:
                before[channel] += len(payload) + 3
        pair.carry(pair.b, pair.a)
        pair.pass_ms(2)
        pair.a.mux.tick(pair.now)
    return [before[channel] for channel in channels]


def test_priorities_ten_to_one_are_shares_ten_to_one():
    pair = Pair(WIDE)
    bulk, urgent = drain(pair, 300, BULK, URGENT)
    assert 9 < urgent / bulk < 11, (urgent, bulk)


def test_shares_of_more_channels_are_as_their_priorities():
    channels = (Channel(BULK, 2, 16, 2048, 1000), Channel(SLOW, 6, 16, 2048, 1000), Channel(URGENT, 12, 16, 2048, 1000))
    sent = drain(Pair(channels), 300, BULK, SLOW, URGENT)
    assert 2.7 < sent[1] / sent[0] < 3.3 and 1.8 < sent[2] / sent[1] < 2.2, sent


def test_an_urgent_message_overtakes_bulk():
    pair = Pair((Channel(BULK, 1, 16, 4096, 1000), Channel(URGENT, 10, 8, 2048, 1024)))
    drain(pair, 20, BULK)
    assert pair.a.mux.try_send(URGENT, bytes(1024))
    record = pair.a.record(pair.now)
    assert frames(record)[0][0] == URGENT or frames(record)[1][0] == URGENT


def test_a_channel_without_credit_does_not_hold_up_the_others():
    pair = Pair()
    sent = 0
    for _ in range(100):  # nothing comes back
        pair.a.mux.try_send(BULK, bytes(380))
        sent += len(frames(pair.a.record(pair.now)))
        pair.pass_ms(20)
    assert sent == 32768 // 383
    assert pair.a.mux.try_send(SLOW, b"free")
    assert frames(pair.a.record(pair.now)) == [(SLOW, 1, b"free")]


def test_small_messages_wait_for_company_and_urgent_ones_do_not():
    pair = Pair()
    pair.pass_ms(100)
    assert pair.a.mux.due(pair.now) == -1
    pair.a.mux.try_send(BULK, b"1")
    assert pair.a.mux.due(pair.now) == 0  # none went for a while
    assert pair.carry(pair.a, pair.b)
    pair.pass_ms(5)
    pair.a.mux.try_send(BULK, b"2")
    assert pair.a.mux.due(pair.now) == 15 and pair.a.record(pair.now) == b""
    pair.pass_ms(10)
    assert pair.a.mux.due(pair.now) == 5
    pair.pass_ms(5)
    assert pair.carry(pair.a, pair.b)
    pair.a.mux.try_send(BULK, b"3")
    pair.a.mux.try_send(URGENT, b"!")
    assert pair.a.mux.due(pair.now) == 0
    assert len(frames(pair.a.record(pair.now))) == 2
    pair.a.mux.try_send(BULK, b"4")
    assert pair.a.mux.due(pair.now) == 20
    pair.a.mux.flush()
    assert frames(pair.a.record(pair.now)) == [(BULK, 1, b"4")]


def test_a_full_record_does_not_wait():
    pair = Pair()
    pair.pass_ms(20)
    pair.a.mux.try_send(BULK, b"1")
    assert pair.carry(pair.a, pair.b)
    for _ in range(2):
        pair.a.mux.try_send(BULK, bytes(380))
    assert pair.a.mux.due(pair.now) == 20
    pair.a.mux.try_send(SLOW, bytes(8))
    assert pair.a.mux.due(pair.now) == 0


def test_control_goes_before_data_in_every_second_record_at_most():
    pair = Pair(WIDE)
    keep_full(pair.a, BULK, 97)
    seen = []
    for _ in range(4):
        assert pair.a.hear(frame(0, b"\x01"), pair.now) == 0
        seen.append(frames(pair.a.record(pair.now))[0][0])
    assert seen == [BULK, 0, BULK, 0]  # the record before them gave credit


def test_many_pings_draw_one_pong():
    pair = Pair()
    assert pair.a.hear(frame(0, b"\x01") * 50, pair.now) == 0
    assert pair.a.record(pair.now) == frame(0, b"\x02")
    assert pair.a.record(pair.now) == b""


def test_a_record_keeps_to_the_lower_limit():
    end = End(Profile(), CHANNELS, True, 0)
    end.mux.start(b"\x20\x21\x22", 100, 0)
    assert end.hear(frame(0, b"\x03\x20\x03\x00"), 0) == 0
    for i in range(6):
        end.mux.try_send(BULK, bytes(50 + i))
    sizes = [len(end.record(now)) for now in range(0, 200, 20)]
    assert max(sizes) <= 100 and sum(sizes) == 3 * 7 + sum(range(53, 59))


def test_scores_are_of_lately_though_nobody_looked_at_the_session_meanwhile():
    pair = Pair(WIDE)
    drain(pair, 40, URGENT)
    while pair.a.record(pair.now):
        pair.pass_ms(100)
    pair.pass_ms(9000)
    bulk, _ = drain(pair, 12, BULK, URGENT)
    assert bulk == 1900  # as with looks meanwhile; 2,300 if what was sent nine seconds ago counted in full


def test_a_fresh_urgent_message_goes_before_bulk_that_is_as_fresh():
    bulk = tuple([Channel(40 + i, 1, 4, 2048, 760) for i in range(5)])
    for used in (False, True):
        pair = Pair(bulk + (Channel(URGENT, 10, 4, 2048, 760),))
        if used:
            assert pair.a.mux.try_send(URGENT, bytes(400))
            pair.settle()
            for _ in range(60):
                pair.pass_ms(2000)
                pair.a.mux.tick(pair.now)
        for channel in bulk:
            assert pair.a.mux.try_send(channel.id, bytes(750))
        assert pair.a.mux.try_send(URGENT, b"stop")
        sent = [each for each in frames(pair.a.record(pair.now)) if each[0]]
        assert sent[0] == (URGENT, 1, b"stop"), used
