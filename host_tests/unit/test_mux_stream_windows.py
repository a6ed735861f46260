"""How much the streams of a session take and carry (docs/protocol.md 5)."""

from muxing import BULK, NAME, WRITABLE, Pair, opened
from picoswarm.errors import LocalError
from picoswarm.profile import Profile
from support import raises

RUNTIMES = ("cpython", "micropython", "board")


def test_a_long_text_passes_through_a_small_window():
    pair = Pair()
    stream = opened(pair)
    text = bytes(range(256)) * 8
    got = b""
    at = 0
    while len(got) < len(text):
        while at < len(text) and pair.a.mux.try_send(stream, text[at : at + 100]):
            at += 100
        pair.settle()
        got += pair.b.read(stream)
    assert got == text


def test_a_stream_whose_reader_stops_does_not_slow_the_others():
    pair = Pair()
    stalled = opened(pair)
    other = pair.a.mux.open(NAME, 4)
    for _ in range(4):
        pair.a.mux.try_send(stalled, bytes(128))
    pair.settle()
    assert pair.b.mux.readable(stalled) == 256 - 3 * 2  # 128 and what the window leaves
    for _ in range(50):
        assert pair.a.mux.try_send(other, b"x" * 200)
        assert pair.a.mux.try_send(BULK, b"y" * 40)
        pair.settle()
        assert pair.b.read(other) == b"x" * 200
    assert len(pair.b.sent_on(BULK)) == 50
    rest = b""
    for _ in range(10):
        rest += pair.b.read(stalled)
        pair.settle()
    assert rest == bytes(512)


def test_what_a_stream_takes_is_bounded():
    pair = Pair()
    stream = opened(pair)
    for _ in range(4):
        assert pair.a.mux.try_send(stream, bytes(100))
    assert not pair.a.mux.try_send(stream, b"a fifth part")
    pair.settle()
    pair.b.read(stream)
    pair.settle()
    assert pair.a.events() == [(WRITABLE, stream, None)]
    raises(LocalError, pair.a.mux.try_send, stream, bytes(513))
    assert not pair.a.mux.try_send(200, b"nobody has opened this one")


def test_one_byte_at_a_time_does_not_starve_a_stream():
    """Headers cost credit too: it comes back when they are received."""
    pair = Pair()
    stream = opened(pair)
    got = b""
    for i in range(600):
        assert pair.a.mux.try_send(stream, bytes((i & 0xFF,)))
        pair.settle()
        if i % 50 == 49:
            got += pair.b.read(stream)
    assert got == bytes([i & 0xFF for i in range(600)])


def test_a_node_with_memory_gives_streams_larger_windows():
    """Every stream begins with 256 bytes each way; what a side has beyond is given as credit, after the stream is open."""
    pair = Pair(stream_window=1000, stream_queue=2000)
    for end, other in ((pair.a, pair.b), (pair.b, pair.a)):
        stream = end.mux.open(NAME, 4)
        end.mux.try_send(stream, bytes(2000))
        pair.settle()
        other.events()
        assert other.mux.readable(stream) > 980
        got = 0
        while got < 2000:
            n = len(other.read(stream))
            assert n
            got += n
            pair.settle()
        other.mux.try_send(stream, bytes(2000))
        pair.settle()
        assert end.mux.readable(stream) > 980


def test_an_end_that_gives_little_serves_one_that_could_take_more():
    pair = Pair(of_b=Profile(stream_window=1000, stream_queue=2000))
    stream = pair.a.mux.open(NAME, 4)
    pair.settle()
    pair.b.events()
    pair.a.mux.try_send(stream, bytes(500))
    pair.b.mux.try_send(stream, bytes(1500))
    pair.settle()
    assert pair.b.mux.readable(stream) == 500
    assert 240 < pair.a.mux.readable(stream) <= 256
    got = 0
    while got < 1500:
        got += len(pair.a.read(stream))
        pair.settle()
