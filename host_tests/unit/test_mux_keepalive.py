"""How a session finds that its peer is gone, and how it says goodbye itself (docs/protocol.md 5)."""

from muxing import BULK, GOAWAY, URGENT, WIDE, Pair, frame, frames, keep_full

RUNTIMES = ("cpython", "micropython", "board")


def test_silence_is_asked_about_and_then_ends_the_session():
    pair = Pair()
    a = pair.a
    pair.pass_ms(29_999)
    assert a.mux.tick(pair.now) == 0 and a.mux.due(pair.now) == -1
    pair.pass_ms(1)
    assert a.mux.tick(pair.now) == 0
    assert a.record(pair.now) == frame(0, b"\x01")
    for _ in range(19):
        pair.pass_ms(1000)
        assert a.mux.tick(pair.now) == 0 and a.record(pair.now) == b""
    pair.pass_ms(1000)
    assert a.mux.tick(pair.now) == 10


def test_any_traffic_is_life():
    pair = Pair()
    for _ in range(10):
        pair.pass_ms(30_000)
        assert pair.a.mux.tick(pair.now) == 0
        assert pair.carry(pair.a, pair.b)
        pair.pass_ms(10_000)
        assert pair.a.hear(frame(BULK, b""), pair.now) == 0
        assert pair.a.mux.tick(pair.now) == 0


def test_a_node_that_slept_asks_before_it_gives_up():
    pair = Pair()
    pair.pass_ms(3_600_000)
    assert pair.a.mux.tick(pair.now) == 0
    assert pair.a.record(pair.now) == frame(0, b"\x01")
    pair.pass_ms(19_000)
    assert pair.a.mux.tick(pair.now) == 0
    pair.pass_ms(1_000)
    assert pair.a.mux.tick(pair.now) == 10


def test_a_sign_of_life_can_be_asked_for():
    pair = Pair()
    pair.a.mux.ping()
    pair.a.mux.ping()
    assert pair.a.record(pair.now) == frame(0, b"\x01")


def test_the_last_frame_says_why_it_ends():
    pair = Pair()
    pair.a.mux.try_send(BULK, b"bye")
    pair.a.mux.go_away(7)
    record = pair.a.record(pair.now)
    assert frames(record) == [(BULK, 1, b"bye"), (0, 1, b"\x04\x07")]
    assert pair.b.hear(record + frame(99, b"after the end nothing counts"), pair.now) == 0
    assert pair.b.events() == [(GOAWAY, 0, 7)]
    assert pair.a.mux.due(pair.now) == -1 and pair.a.record(pair.now) == b""
    assert not pair.a.events() and not pair.b.events()


def test_a_goodbye_fits_behind_a_full_record():
    pair = Pair(WIDE)
    keep_full(pair.a, BULK, 381)  # two of these are a record
    pair.a.mux.go_away(7)
    record = pair.a.record(pair.now)
    assert len(record) <= 768 and frames(record)[-1] == (0, 1, b"\x04\x07")
    assert pair.a.record(pair.now) == b""


def test_a_goodbye_comes_behind_all_that_was_queued():
    """T14."""
    for size in (381, 100, 30):  # two, seven or many are a record
        pair = None
        pair = Pair()
        data = bytes(size)
        count = 0
        for channel in (BULK, URGENT):
            while pair.a.mux.try_send(channel, data):
                count += 1
        pair.a.mux.go_away(0)
        pair.b.forgets = True
        count += 1
        while pair.a.mux.due(pair.now) == 0:
            record = pair.a.record(pair.now)
            assert 0 < len(record) <= 768
            told = frames(record)
            count -= len(told)
            assert pair.b.hear(record, pair.now) == 0
        assert told[-1] == (0, 1, b"\x04\x00") and count == 0
        assert pair.b.events() == [(GOAWAY, 0, 0)]
        assert pair.a.record(pair.now) == b"" and pair.a.mux.due(pair.now) == -1


def test_a_goodbye_that_waited_long_enough_comes_at_once():
    pair = Pair()
    keep_full(pair.a, BULK, 381)
    assert not pair.a.mux.hush()  # of a session that goes on nothing is given up
    pair.a.mux.go_away(0)
    assert len(frames(pair.a.record(pair.now))) == 2
    assert pair.a.mux.hush() and pair.a.record(pair.now) == frame(0, b"\x04\x00")
    assert not pair.a.mux.hush() and pair.a.mux.due(pair.now) == -1


def test_a_goodbye_does_not_wait_for_credit():
    pair = Pair(WIDE)
    while pair.a.mux.try_send(BULK, bytes(700)):  # the other side takes nothing any more
        pair.pass_ms(20)
        pair.a.record(pair.now)
    pair.a.mux.try_send(URGENT, b"last words")
    pair.a.mux.go_away(0)
    record = pair.a.record(pair.now)
    assert frames(record)[-2:] == [(URGENT, 1, b"last words"), (0, 1, b"\x04\x00")]


def test_a_calm_session_needs_no_look_before_its_peer_is_asked():
    pair = Pair(keepalive_s=30)
    pair.a.mux.tick(pair.now)
    pair.pass_ms(4_000)
    assert pair.a.mux.calm_ms(pair.now) == 26_000
    pair.pass_ms(26_000)
    assert pair.a.mux.calm_ms(pair.now) == 0
    pair.a.mux.tick(pair.now)
    assert pair.a.mux.calm_ms(pair.now) == 0  # the question is to be sent
    assert pair.carry(pair.a, pair.b) and pair.a.mux.calm_ms(pair.now) == 0  # and to be answered
    assert pair.carry(pair.b, pair.a)
    pair.a.mux.tick(pair.now)
    assert pair.a.mux.calm_ms(pair.now) == 30_000


def test_a_session_that_holds_memory_of_what_went_is_looked_at():
    pair = Pair()
    pair.a.mux.try_send(BULK, b"once")
    pair.pass_ms(100)
    assert pair.carry(pair.a, pair.b) and pair.a.mux.calm_ms(pair.now) == pair.b.mux.calm_ms(pair.now) == 0
    for _ in range(2):
        pair.pass_ms(1000)
        pair.a.mux.tick(pair.now)
        pair.b.mux.tick(pair.now)
    assert pair.a.mux.calm_ms(pair.now) > 0 and pair.b.mux.calm_ms(pair.now) > 0
