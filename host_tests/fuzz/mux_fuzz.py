"""Records of a peer that does what it likes, into a live mux whose owner goes on using it: frames of every kind, mutated,
and random bytes. The invariant: `receive` never raises; what it returns is 0 or one of its reasons; rows, pool and queues
stay as large as they were; what is to be sent can be read by a well-behaved peer. Runs on CPython and on MicroPython."""

from fuzz_draw import Random, mutate
from muxing import BIG, BULK, End, frame, frames
from picoswarm.channel import Channel
from picoswarm.compat import ticks_add
from picoswarm.profile import Profile

REASONS = (0, 11, 12, 13, 14, 15)
RENEW = 200  # records of one session at most: then a new one, so that credit never ends for good
NAME = b"/echo/1.0.0"
# The last one is not listed.
CHANNELS = (Channel(BULK, 1, 8, 2000, 100), Channel(BIG, 4, 4, 2000, 600), Channel(99, 9, 1, 20, 20))

IDS = (BULK, BULK, BULK, BIG, BIG, 128, 130, 132, 129, 131, 133, 135)


def some_frame(draw):
    """A frame that may well be right."""
    what, channel, size = draw(3)
    channel = 99 if channel == 255 else IDS[channel % len(IDS)]
    if what < 120:
        if what < 40:
            channel = 128 | channel & 15
        size = size if what & 7 == 0 else size & 0x5F if what & 8 else 40
        return frame(channel, bytes(size), what & 1 if size < 80 else 1)
    if what < 150:
        return frame(128 | size & 6, NAME, 2)
    if what < 165:
        return frame(128 | size & 7, b"", 4)
    if what < 185:
        return frame(128 | size & 7, bytes((size,)), 8)
    if what < 220:
        return frame(0, b"\x03" + bytes((channel, 0xFF if size == 1 else size & 1, size)))
    return frame(0, b"\x01" if what < 240 else b"\x02" if what < 255 else b"\x04\x07")


class Victim(End):
    """An end that answers, reads and opens by chance."""

    def __init__(self, draw):
        End.__init__(self, Profile(record=300), CHANNELS, False, 0)
        self.draw = draw
        self.forgets = True
        self.now = 0
        self.heard = 0
        self.mux.start(bytes((BULK, BIG)), 300, 0)
        self.most = len(self.mux._plan.lanes) * 9, len(self.mux._pool)  # rows of streams come with the streams

    def act(self):
        """What an owner does in a turn."""
        mux = self.mux
        what, which = self.draw(2)
        stream = 128 + which % 8
        if what & 1:
            for event in self.events():
                assert event[0] in range(1, 7), event
        if what & 2:
            mux.read(stream, self.out, 0, 200)
        if what & 4:
            mux.try_send(stream, bytes(which))
            mux.try_send(BIG, bytes(which * 2))
        if what & 0x18 == 0x18:
            mux.close(stream)
        if what & 0x38 == 0x28:
            mux.reset(stream, which)
        if what & 0xC0:
            mux.open(NAME, 5)
        self.now = ticks_add(self.now, which)
        mux.tick(self.now)
        if what & 0x44 == 4:
            record = self.record(self.now)
            assert len(record) <= 300
            frames(record)
        assert len(mux._rows) <= self.most[0] and len(mux._pool) == self.most[1]
        assert len(mux._ready) <= len(mux._rows) // 9 and len(set(mux._ready)) == len(mux._ready)


def run(what, count, seed=1):
    """`count` records, "frames" or "raw". Returns how often each reason was given, by REASONS."""
    draw = Random(seed)
    given = [0] * len(REASONS)
    victim = None
    for _ in range(count):
        if victim is None or victim.heard == RENEW:
            victim = Victim(draw)
        if what == "raw":
            record = draw(draw(1)[0])
        else:
            record = b"".join([some_frame(draw) for _ in range(1 + draw(1)[0] % 3)])
            if not draw(1)[0] % 4:
                record = bytes(mutate(record, draw))
        record = record[:300]
        reason = victim.hear(record, victim.now)
        given[REASONS.index(reason)] += 1
        victim.heard += 1
        if reason or victim.mux._marks & 128:
            victim = None
        else:
            victim.act()
    return given
