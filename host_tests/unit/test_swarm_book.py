"""What a swarm tells its address book (rows B18, T31, T37)."""

from booking import book
from linking import id_of
from picoswarm.compat import collect
from swarming import BUSY, CHANNEL, LOST, MINUTE, PORT, SECOND, UNLISTED, A, B, Puppet, World, frame

RUNTIMES = ("cpython", "small")


class Kept:
    """An address book that says what it was told."""

    def __init__(self):
        collect()
        self.book = book(private=())
        self.percents = []
        self.praised = []
        self._pick = self.book.pick
        self._good = self.book.good
        self.book.pick = self.pick
        self.book.good = self.good

    def pick(self, percent, uptime):
        self.percents.append(percent)
        return self._pick(percent, uptime)

    def good(self, id32, uptime):
        self.praised.append(id32)
        self._good(id32, uptime)

    def failures(self, id32):
        """How often in a row a node failed."""
        return self.book.pool[self.book.find(id32)] & 15

    def has_tried(self, id32):
        """Whether a node is one of the tried."""
        return self.book.find(id32) >= self.book.new * self.book.step


def _pair():
    """Two members, the first of which has a book, before they meet."""
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    kept = Kept()
    a.swarm.book = kept.book
    return world, a, b, kept


def test_a_peer_that_brought_sixteen_messages_is_tried():
    world, a, b, kept = _pair()
    world.join(a, b)
    for i in range(1, 20):
        assert b.session(a).try_send(CHANNEL, b"a reading")
        world.run(2 * SECOND)  # a gateway counts now and then
        assert kept.has_tried(B.id) == (i >= 16)
    assert kept.praised == [B.id]  # once


def test_a_session_of_ten_minutes_makes_a_peer_tried_while_it_lasts():
    world, a, b, kept = _pair()
    world.join(a, b)
    world.run(9 * MINUTE)
    assert not kept.has_tried(B.id)
    world.run(MINUTE + 10 * SECOND)
    assert kept.has_tried(B.id) and kept.praised == [B.id]
    b.session(a).close()
    world.run(SECOND)
    assert kept.praised == [B.id]


def test_a_permanent_peer_can_be_of_use_in_each_session():
    world, a, b, kept = _pair()
    a.needs(b)
    for times in (1, 2):
        world.run(20 * SECOND)
        for _ in range(16):
            assert b.session(a).try_send(CHANNEL, b"a reading")
            world.run(2 * SECOND)
        assert kept.praised == [B.id] * times
        b.session(a).close()
        world.run(SECOND)


def test_a_session_that_was_of_no_use_makes_nobody_tried():
    world, a, b, kept = _pair()
    world.join(a, b)
    world.run(MINUTE)
    b.session(a).close()
    world.run(SECOND)
    assert kept.book.count == 1 and not kept.praised


def test_who_is_banned_is_forgotten_and_named_to_nobody():
    world, a, b, kept = _pair()
    stranger = Puppet(world, a, B).join()
    stranger.say(frame(CHANNEL, b"hello"))
    assert kept.book.count == 1
    stranger.say(frame(99, b"on a channel that there is not"))
    assert a.ends(UNLISTED) == 1 and a.swarm.manager.is_banned(B.id, b.ip) and kept.book.count == 0


def test_untried_nodes_are_drawn_oftener_with_each_peer_that_was_dialed():
    world, a, b, kept = _pair()
    assert kept.book.add(0, id_of(1), b"\x0a\0\0\x63", 4000, PORT, B.id, b.ip)
    world.run(2 * MINUTE)
    assert set(kept.percents) == {10}
    kept.percents.clear()
    world.join(a, b)
    kept.percents.clear()
    world.run(20 * MINUTE)
    assert set(kept.percents) == {20}


def test_a_peer_that_gives_no_answer_fails_once_in_three_times():
    """A full node closes after message 1, again and again: it is none that nobody should dial any more."""
    world, a, b, kept = _pair()
    kept.book.connected(0, B.id, b.ip, 0, PORT)
    b.swarm.manager.may_enter = lambda ip, is_visit=False, now=0: False
    a.needs(b)
    for _ in range(90):
        world.run(SECOND)
        assert kept.failures(B.id) == a.ends(LOST)
    assert a.ends(LOST) and a.ends(BUSY) >= 2


def test_a_peer_that_cannot_be_reached_fails_each_time():
    world, a, b, kept = _pair()
    kept.book.connected(0, B.id, b.ip, 0, PORT)
    world.members.remove(b)
    a.needs(b)
    world.run(20 * SECOND)
    assert kept.failures(B.id) == a.ends(LOST) > 1
