"""Yamux: streams, windows, and what becomes of peers that break its rules."""

from struct import pack

from picoswarm.yamux import LOST, PROTOCOL, SLOW, WINDOW, Yamux

RUNTIMES = ("cpython", "micropython")

_DATA, _UPDATE, _PING, _AWAY = range(4)
_SYN, _ACK, _FIN, _RST = 1, 2, 4, 8


def _frame(kind, flags, number, length, data=b""):
    return pack(">BBHII", 0, kind, flags, number, length) + data


class _Side(Yamux):
    """One that keeps what the peer opens."""

    def __init__(self, is_initiator):
        Yamux.__init__(self, is_initiator, 0)
        self.taken = []

    def opened(self, stream):
        self.taken.append(stream)

    def drain(self):
        out = b"".join([bytes(each) for each in self.out])
        self.out.clear()
        self.sent += self.queued
        self.queued = 0
        return out


def _pair():
    return _Side(True), _Side(False)


def _give(side, data):
    side.receive(data, 0, len(data))


def _exchange(a, b):
    for _ in range(8):
        _give(b, a.drain())
        _give(a, b.drain())


def test_bytes_go_both_ways_and_halves_close_one_after_the_other():
    a, b = _pair()
    stream = a.open()
    assert stream.number == 1 and stream.write(b"hello") == 5
    assert a.drain() == _frame(_DATA, _SYN, 1, 5, b"hello")
    _give(b, _frame(_DATA, _SYN, 1, 5, b"hello"))
    other = b.taken[0]
    assert other.read(3) == b"hel" and other.read(9) == b"lo"
    assert other.write(b"you") == 3
    assert b.drain() == _frame(_DATA, _ACK, 1, 3, b"you")
    _give(a, _frame(_DATA, _ACK, 1, 3, b"you"))
    stream.close()
    _exchange(a, b)
    assert other.is_ended and not other.is_closed and stream.write(b"x") == 0
    assert other.write(b"last") == 4
    other.close()
    _exchange(a, b)
    assert stream.read(99) == b"youlast" and stream.is_ended
    assert not a.streams and not b.streams and a.held == b.held == b.inbound == 0


def test_frames_may_come_in_any_pieces():
    for size in (1, 5, 11, 13):
        b = _Side(False)
        data = _frame(_DATA, _SYN, 1, 5, b"hello") + _frame(_UPDATE, 0, 1, 7) + _frame(_DATA, _FIN, 1, 2, b"!!")
        for at in range(0, len(data), size):
            _give(b, data[at : at + size])
        stream = b.taken[0]
        assert stream.read(9) == b"hello!!" and stream.is_ended and stream.credit == WINDOW + 7


def test_no_more_is_sent_than_the_peer_allows_and_reading_gives_it_back():
    a, b = _pair()
    a.queue_most = 10 * WINDOW
    stream = a.open()
    data = bytes(4096)
    sent = 0
    while True:
        n = stream.write(data)
        if not n:
            break
        sent += n
        _give(b, a.drain())
        b.taken[0].data = bytearray()  # read, as far as memory goes
        b.held = 0
    assert sent == WINDOW and stream.credit == 0
    b.taken[0].ate(WINDOW >> 1)
    _exchange(a, b)
    assert stream.credit == WINDOW >> 1 and stream.write(data) == 4096


def test_a_peer_that_ignores_the_window_is_sent_away():
    b = _Side(False)
    _give(b, _frame(_DATA, _SYN, 1, WINDOW + 1))
    assert b.reason == PROTOCOL and b.drain()[-12:] == _frame(_AWAY, 0, 0, 1)


def test_broken_rules_end_the_connection_with_a_protocol_error():
    for data in (
        b"\1" + bytes(11),
        _frame(4, 0, 1, 0),
        _frame(_DATA, _SYN, 0, 0),
        _frame(_PING, _SYN, 1, 0),
        _frame(_DATA, _SYN, 2, 0),  # our own parity
        _frame(_UPDATE, _SYN, 1, 0) + _frame(_UPDATE, _SYN, 1, 0),  # twice the same
        _frame(_DATA, _SYN | _FIN, 1, 0) + _frame(_DATA, 0, 1, 1, b"x"),  # behind its own end
        _frame(_DATA, 0, 9, 0x2000000),  # more than any window
    ):
        b = _Side(False)
        _give(b, data)
        assert b.reason == PROTOCOL, data
        assert b.drain()[-12:] == _frame(_AWAY, 0, 0, 1)
        _give(b, _frame(_DATA, _SYN, 5, 0))  # what comes behind is not looked at
        assert not b.out


def test_resets_end_both_ways_and_late_data_is_passed_over():
    a, b = _pair()
    stream = a.open()
    stream.write(b"x")
    _exchange(a, b)
    b.taken[0].reset()
    _give(a, b.drain())
    assert stream.is_reset and not a.streams and stream.write(b"y") == 0
    _give(a, _frame(_DATA, 0, 1, 3, b"abc") + _frame(_PING, _SYN, 0, 7))
    assert a.reason is None and a.drain() == _frame(_PING, _ACK, 0, 7)


def test_more_streams_than_allowed_are_reset_and_a_flood_of_them_ends_it():
    b = _Side(False)
    b.streams_most = 4
    for i in range(5):
        _give(b, _frame(_UPDATE, _SYN, 1 + 2 * i, 0))
    assert len(b.streams) == 4 and b.drain()[-12:] == _frame(_UPDATE, _ACK | _RST, 9, 0)
    i = 5
    while b.reason is None and i < 10000:
        _give(b, _frame(_UPDATE, _SYN, 1 + 2 * i, 0))
        b.drain() if b.reason is None else None
        i += 1
    assert b.reason == PROTOCOL and i < 300
    assert b.drain()[-12:] == _frame(_AWAY, 0, 0, 1)


def test_a_thousand_streams_leave_nothing_behind():
    a, b = _pair()
    for _ in range(1000):
        stream = a.open()
        stream.write(b"x")
        stream.close()
        _give(b, a.drain())
        b.taken.pop().close()
        _give(a, b.drain())
    assert not a.streams and not b.streams and b.inbound == 0


def test_a_goodbye_lets_no_stream_begin_and_an_error_ends_it():
    a, b = _pair()
    _give(a, _frame(_AWAY, 0, 0, 0))
    assert a.open() is None and a.reason is None
    _give(b, _frame(_AWAY, 0, 0, 1))
    assert b.reason == LOST and not b.out


def test_silence_is_asked_about_and_no_answer_ends_it():
    a, b = _pair()
    a.tick(31000)
    assert a.drain() == _frame(_PING, _SYN, 0, 1)
    _give(a, _frame(_PING, _ACK, 0, 1))
    a.tick(60000)
    assert a.reason is None and not a.out
    a.tick(62000)
    a.drain()
    a.tick(83000)
    assert a.reason == SLOW


def test_a_peer_that_never_reads_is_given_up_and_holds_no_memory():
    a, b = _pair()
    a.queue_most = 600
    a.tick(1000)
    stream = a.open()
    while stream.write(bytes(500)):
        pass
    assert a.queued < 4096 and not a.can_write()
    pings = 0
    while not a.is_full():
        _give(a, _frame(_PING, _SYN, 0, 1))
        pings += 1
    assert pings < 1000  # then nothing is read from it any more
    a.tick(2000)
    a.tick(33000)
    assert a.reason == SLOW
