"""The log and the counters of a node, as another member reads them."""

from fake_peers import World
from picoswarm.compat import ticks_add
from picoswarm.logstats import LogStats
from support import raises

RUNTIMES = ("cpython", "micropython", "board")

LOG, STATS = 5, 6
COUNTS = [0, 1, 127, 128, 300, 16383, 16384, 0x3FFFFFFF]


class NoMemory:
    """A queue that finds none."""

    def __len__(self):
        raise MemoryError


class Readers(World):
    """Two nodes with a session: the first reads what the second tells."""

    def __init__(self, log_bytes=64, sources=(("a b", COUNTS), ("c", [7])), room=8):
        super().__init__()
        self.heard = []
        self.reader, self.teller = [self.add(LogStats(log_bytes, sources, self.now)) for _ in range(2)]
        self.connect(self.reader, self.teller, room)
        self.reader.reactors[0].on_answer = self._on_answer
        self.to_reader = self.teller.peers[0]
        # Only the first channel's limit is looked at by the world: the longer one stands for both.
        for node in self.nodes:
            for channel in node.reactors[0].channels:
                channel.message = max(each.message for each in node.reactors[0].channels)

    def _on_answer(self, peer, channel, view):
        self.heard.append((channel, bytes(view)))

    def write(self, line):
        self.teller.reactors[0].write(line, self.now)

    def ask(self, channel, question):
        """Send a question; returns the answer, or None."""
        self.reader.peers[1].try_send(channel, question)
        self.settle()
        return self.fetch(channel)

    def fetch(self, channel):
        """The answer that came, or None."""
        if self.heard:
            heard = self.heard.pop(0)
            assert heard[0] == channel
            return heard[1]

    def read(self, position, waits=False):
        """Read the log from a position; returns (position, bytes) or None."""
        return self.chunk(self.ask(LOG, bytes((waits,)) + position.to_bytes(4, "big")))

    def chunk(self, answer):
        if answer is not None:
            assert answer[0] == 2
            return int.from_bytes(answer[1:5], "big"), answer[5:]


def numbers(body):
    """The counters of an answer."""
    found = []
    value = shift = 0
    for byte in body:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    assert shift == 0
    return found


def test_the_log_is_read_from_a_position_to_its_end():
    world = Readers()
    assert world.read(0) == (0, b"")
    world.write("one")
    world.write("zwei")
    assert world.read(0) == (0, b"one\nzwei\n")
    assert world.read(4) == (4, b"zwei\n")
    assert world.read(9) == (9, b"")


def test_what_the_ring_has_lost_shows_as_a_gap():
    world = Readers()
    for i in range(30):
        world.write("line %02d" % i)
    position, text = world.read(0)
    assert position == 30 * 8 - 64 and text == b"".join([b"line %02d\n" % i for i in range(22, 30)])


def test_a_line_longer_than_the_ring_leaves_its_end():
    world = Readers(log_bytes=8)
    world.write("0123456789")
    assert world.read(0) == (3, b"3456789\n")
    assert world.read(11) == (11, b"")


def test_every_length_of_line_comes_out_as_it_went_in():
    world = Readers(log_bytes=50)
    position = 0
    for n in range(49):
        line = "".join([chr(48 + (n + i) % 70) for i in range(n)])
        world.write(line)
        at, text = world.read(position)
        assert at == position and text == line.encode() + b"\n"
        position = at + len(text)


def test_a_long_log_is_told_in_parts():
    world = Readers(log_bytes=600)
    for i in range(100):
        world.write("line %02d" % i)
    text = b""
    position, part = world.read(0)
    assert position == 200
    while part:
        assert len(part) <= 251
        text += part
        position, part = world.read(position + len(part))
    assert text == b"".join([b"line %02d\n" % i for i in range(25, 100)])


def test_who_waits_is_answered_when_there_is_a_line():
    world = Readers()
    assert world.read(0, True) is None
    world.pass_ms(5000)
    assert world.fetch(LOG) is None
    world.write("late")
    world.settle()
    assert world.chunk(world.fetch(LOG)) == (0, b"late\n")
    world.write("later")
    world.settle()
    assert world.fetch(LOG) is None  # it must ask again
    assert world.read(5, True) == (5, b"later\n")


def test_a_reader_whose_node_rebooted_meanwhile_begins_anew():
    world = Readers()
    world.write("hello")
    assert world.read(5000) == (0, b"hello\n")
    assert world.read(5000, True) == (0, b"hello\n")


def test_positions_wrap_with_thirty_bits():
    world = Readers()
    log = world.teller.reactors[0]
    log._end = 0x3FFFFFFF
    world.write("ab")
    assert world.read(0x3FFFFFFF) == (0x3FFFFFFF, b"ab\n")
    assert world.read(1) == (1, b"\n")
    assert world.read(0xC0000001) == (1, b"\n")


def test_a_full_queue_delays_the_answer():
    world = Readers(room=1)
    world.write("hello")
    world.to_reader.room = 0
    assert world.read(0) is None
    world.to_reader.room = 1
    world.pass_ms(250)
    assert world.chunk(world.fetch(LOG)) == (0, b"hello\n")


def test_who_waits_is_answered_later_where_memory_runs_out():
    world = Readers()
    peers = [world.to_reader, world.connect(world.add(), world.teller)[1]]
    for peer in peers:
        world.teller.hand_over(peer, LOG, b"\1\0\0\0\0", world.now)
        peer.is_slow = True
    world.write("hello")
    log = world.teller.reactors[0]
    due = log.next_time()
    for peer in peers:
        peer.queue = NoMemory()
        raises(MemoryError, log.tick, ticks_add(due, 1))
        peer.queue = []
    assert log.next_time() is not None
    log.tick(ticks_add(due, 1000))
    assert [len(peer.queue) for peer in peers] == [1, 1] and log.next_time() is None


def test_a_reader_that_goes_is_forgotten():
    world = Readers()
    world.read(0, True)
    world.cut(world.reader, world.teller)
    world.write("hello")
    world.settle()
    assert world.teller.reactors[0].next_time() is None and not world.to_reader.queue


def test_counters_are_told_by_section_and_their_names_when_asked_for():
    world = Readers()
    assert world.ask(STATS, b"\1\0") == b"\3\0a b"
    answer = world.ask(STATS, b"\0\0")
    assert answer[:2] == b"\2\0" and numbers(answer[2:]) == COUNTS
    assert world.ask(STATS, b"\0\1") == b"\2\1\7"
    assert world.ask(STATS, b"\1\1") == b"\3\1c"


def test_beyond_the_last_section_the_answer_is_empty():
    world = Readers()
    assert world.ask(STATS, b"\0\2") == b"\2\2" and world.ask(STATS, b"\1\xff") == b"\3\xff"


def test_either_part_may_be_left_out():
    assert [each.id for each in LogStats(64, (), 0).channels] == [LOG]
    without = LogStats(0, (("a", [1]),), 0)
    assert [each.id for each in without.channels] == [STATS]
    without.write("nobody reads this", 0)


def test_answers_to_a_node_that_asks_nothing_are_dropped():
    world = Readers()
    world.teller.hand_over(world.to_reader, LOG, b"\2\0\0\0\0junk", world.now)
    world.teller.hand_over(world.to_reader, STATS, b"\2\0junk", world.now)
    assert world.to_reader.reason is None and not world.to_reader.queue


def test_kinds_of_later_versions_are_ignored():
    world = Readers()
    world.teller.reactors[0].on_answer = world._on_answer
    world.teller.hand_over(world.to_reader, LOG, b"\4\0\0\0\0", world.now)
    world.teller.hand_over(world.to_reader, STATS, b"\5\0", world.now)
    assert world.to_reader.reason is None and not world.to_reader.queue and not world.heard


def test_short_questions_close_the_session():
    for channel, least in ((LOG, 5), (STATS, 2)):
        for n in range(least):
            world = Readers()
            world.teller.hand_over(world.to_reader, channel, bytes(n), world.now)
            assert world.to_reader.reason == 11, (channel, n)
        world = Readers()
        world.teller.hand_over(world.to_reader, channel, bytes(least), world.now)
        assert world.to_reader.reason is None
