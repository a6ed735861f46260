"""Two ends of a session under random sends, records and clocks: each channel's messages arrive whole, in order and once,
streams as the bytes that were written, and all credit comes back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from muxing import Pair
from picoswarm.channel import Channel

IDS = (1, 2, 3, 40)
CHANNELS = (Channel(1, 1, 8, 4096, 400), Channel(2, 10, 8, 2048, 100))
CHANNELS += (Channel(3, 4, 4, 4096, 2000), Channel(40, 6, 2, 900, 900))
LONGEST = {channel.id: min(channel.message, channel.queue_bytes) for channel in CHANNELS}

sends = st.tuples(st.just("send"), st.sampled_from("ab"), st.sampled_from(IDS), st.floats(0, 1))
carries = st.tuples(st.just("carry"), st.sampled_from("ab"))
waits = st.tuples(st.just("wait"), st.sampled_from((1, 19, 20, 2000)))
writes = st.tuples(st.just("write"), st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 300))
reads = st.tuples(st.just("read"), st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 200))
steps = st.lists(st.one_of(sends, sends, carries, carries, waits, writes, reads), max_size=150)


class World:
    """A pair with four streams, and what each side has to get."""

    def __init__(self, record):
        self.pair = Pair(CHANNELS, record=record)
        self.ends = {"a": self.pair.a, "b": self.pair.b}
        opened = [self.pair.a.mux.open(b"/1", 1), self.pair.a.mux.open(b"/2", 9)]
        self.streams = [*opened, self.pair.b.mux.open(b"/3", 5), self.pair.b.mux.open(b"/4", 16)]
        self.finish()
        self.sent = {"a": {i: [] for i in IDS}, "b": {i: [] for i in IDS}}
        self.written = {side: {i: b"" for i in self.streams} for side in "ab"}
        self.got = {side: {i: b"" for i in self.streams} for side in "ab"}
        self.count = 0
        self.credit = self.credits()

    def credits(self):
        """Of each end and row in use: what may be sent, and what the other end could give back."""
        rows = {}
        for side, other in ("ab", "ba"):
            mux, peer = self.ends[side].mux, self.ends[other].mux
            for channel in (*IDS, *self.streams):
                i, j = mux._row(channel), peer._row(channel)
                rows[side, channel] = mux._rows[i + 1], peer._plan.halves[j // 9] - peer._rows[j + 5] - peer._rows[j + 4]
        return rows

    def data(self, n):
        self.count += 1
        return (b"%d:" % self.count * (n + 1))[:n]

    def do(self, step):
        kind, *rest = step
        if kind == "wait":
            self.pair.pass_ms(rest[0])
            for end in self.ends.values():
                assert end.mux.tick(self.pair.now) in (0, 10)
            return
        side, end = rest[0], self.ends[rest[0]]
        if kind == "carry":
            self.pair.carry(end, self.ends["ba"["ab".index(side)]])
        elif kind == "send":
            message = self.data(int(LONGEST[rest[1]] * rest[2]))
            could = end.mux.can_send(rest[1])
            if end.mux.try_send(rest[1], message):
                self.sent[side][rest[1]].append(message)
            else:
                assert not could
        elif kind == "write":
            text = self.data(rest[2])
            if end.mux.try_send(self.streams[rest[1]], text):
                self.written[side][self.streams[rest[1]]] += text
        else:
            self.got[side][self.streams[rest[1]]] += end.read(self.streams[rest[1]], rest[2])

    def finish(self):
        self.pair.settle()
        for end in self.ends.values():
            end.events()

    def read_all(self):
        for _ in range(100):
            before = str(self.got)
            self.finish()
            for side, end in self.ends.items():
                for stream in self.streams:
                    self.got[side][stream] += end.read(stream)
            if before == str(self.got):
                return
        raise AssertionError("streams never run dry")


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from((768, 300, 64)))
def test_what_is_sent_arrives_once_and_in_order(steps, record):
    world = World(record)
    for step in steps:
        world.do(step)
    world.read_all()
    for side, other in ("ab", "ba"):
        for channel in IDS:
            assert world.ends[other].sent_on(channel) == world.sent[side][channel]
        assert world.got[other] == world.written[side]
    for (side, channel), (may, owed) in world.credits().items():
        before = sum(world.credit[side, channel])
        assert may + owed == before, (side, channel)
        assert may > before // 2, "half a window may wait, and no more"


def test_the_largest_records_have_frames_of_twelve_bits():
    pair = Pair((Channel(40, 1, 4, 4200, 4200),), record=4200, streams=0)
    pair.b.forgets = True
    lengths: list[int] = []
    pair.b.mux.on_message = lambda channel, view: lengths.append(len(view))
    for n in (4095, 4096):
        assert pair.a.mux.try_send(40, bytes(n))
        pair.settle()
    assert lengths == [4095, 4096]
