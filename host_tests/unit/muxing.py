"""Two ends of a session without a network: what one fills, the other one receives, under a clock of their own."""

from picoswarm.channel import Channel
from picoswarm.compat import ticks_add
from picoswarm.mux import Mux
from picoswarm.profile import Profile

STREAM, READABLE, WRITABLE, ENDED, RESET, GOAWAY = 1, 2, 3, 4, 5, 6
NAME = b"/echo/1.0.0"  # of a stream
BULK, URGENT, SLOW, BIG = 32, 33, 34, 35  # channel ids
CHANNELS = (Channel(BULK, 1, 64, 8192, 400), Channel(URGENT, 10, 8, 2048, 400), Channel(SLOW, 2, 8, 1024, 400))
WIDE = (Channel(BULK, 1, 16, 4096, 1000), Channel(URGENT, 10, 16, 4096, 1000))
LARGE = CHANNELS + (Channel(BIG, 1, 4, 4096, 2000),)


class End:
    """A Mux, its owner and its buffers."""

    def __init__(self, profile, channels, is_initiator, now):
        self.profile = profile
        self.mux = Mux(profile, channels, is_initiator, now)
        self.mux.on_message = self._on_message
        self.messages = []  # (channel, bytes)
        self.forgets = False  # what comes in is not kept
        self.out = bytearray(profile.record + 8)
        self.buf = bytearray(profile.record + 8)

    def _on_message(self, channel, view):
        if not self.forgets:
            self.messages.append((channel, bytes(view)))

    def record(self, now):
        """The record that is due now, b"" for none."""
        n = self.mux.fill(self.out, 2, len(self.out), now)
        return bytes(self.out[2:n])

    def hear(self, record, now, at=2):
        """What `receive` says of a record, which stands there in the buffer."""
        n = len(record)
        self.buf[at : at + n] = record
        return self.mux.receive(self.buf, at, at + n, now)

    def events(self):
        """All events that wait."""
        found = []
        event = self.mux.next_event()
        while event is not None:
            found.append(event)
            event = self.mux.next_event()
        return found

    def read(self, stream, n=256):
        """Bytes of a stream."""
        out = bytearray(n)
        return bytes(out[: self.mux.read(stream, out, 0, n)])

    def sent_on(self, channel):
        """What came in as messages of a channel."""
        return [data for each, data in self.messages if each == channel]


class Pair:
    """The initiator `a` and the responder `b`, started; what they say first has been said. `of_b`: the profile of `b` when
    it is another one."""

    def __init__(self, channels=CHANNELS, listed=None, of_b=None, **numbers):
        self.now = 0x3FFFFF00  # the clock is about to wrap
        profile = Profile(**numbers)
        self.a = End(profile, channels, True, self.now)
        self.b = End(of_b or profile, channels, False, self.now)
        ids = bytes([channel.id for channel in channels]) if listed is None else listed
        self.a.mux.start(ids, profile.record, self.now)
        self.b.mux.start(ids, profile.record, self.now)
        self.settle()

    def pass_ms(self, ms):
        self.now = ticks_add(self.now, ms)

    def carry(self, sender, receiver):
        """Carry one record. Returns its size; it has to be fine."""
        record = sender.record(self.now)
        if record:
            reason = receiver.hear(record, self.now)
            assert reason == 0, reason
        return len(record)

    def settle(self):
        """Let both say all that they have to say, however long that takes."""
        for _ in range(10000):
            n = self.carry(self.a, self.b) + self.carry(self.b, self.a)
            if not n:
                waits = [wait for wait in (self.a.mux.due(self.now), self.b.mux.due(self.now)) if wait > 0]
                if not waits:
                    return
                self.pass_ms(min(waits))
        raise AssertionError("they talk for ever")


def opened(pair):
    """Open a stream from `a`, and let `b` hear of it. Returns its id."""
    stream = pair.a.mux.open(NAME, 4)
    pair.settle()
    assert pair.b.events() == [(STREAM, stream, NAME)]
    return stream


def keep_full(end, channel, size):
    """Queue messages of that size until there is no room."""
    data = bytes(size)
    while end.mux.try_send(channel, data):
        pass


def frame(channel, payload=b"", flags=1):
    """A frame as bytes; flags: 1 end, 2 open, 4 close, 8 reset."""
    return bytes((channel, flags << 4 | len(payload) >> 8, len(payload) & 0xFF)) + payload


def frames(record):
    """[(channel, flags, payload)] of a record."""
    found = []
    at = 0
    while at < len(record):
        n = (record[at + 1] & 15) << 8 | record[at + 2]
        found.append((record[at], record[at + 1] >> 4, bytes(record[at + 3 : at + 3 + n])))
        at += 3 + n
    assert at == len(record)
    return found
