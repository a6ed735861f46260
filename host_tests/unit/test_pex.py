"""Peer exchange (rows B28, T28-T30, T33, T38, A17, A18)."""

import gc

from linking import OWN, Dice, id_of, lan, world
from picoswarm.addrbook import AddressBook
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.pex import PeerExchange
from picoswarm.profile import Profile

RUNTIMES = ("cpython", "micropython", "board")

MALFORMED = 11
REQUEST = b"\x01"
MINUTE = 60000


class Peer:
    """One end of a session."""

    def __init__(self, i, is_outbound=True, ip=None):
        self.id = id_of(i)
        self.ip = ip or world(i)
        self.is_outbound = is_outbound
        self.sent = []
        self.is_full = False

    def try_send(self, channel, data):
        assert channel == 1
        if not self.is_full:
            self.sent.append(data)
        return not self.is_full

    def taken(self):
        """What was sent since the last look."""
        sent, self.sent = self.sent, []
        return sent


class Exchange:
    """A node's peer exchange with its book, and the clock."""

    def __init__(self, *peers, now=0, private=(OWN,)):
        self.now = now
        gc.collect()  # a book is a piece of 2 KB
        self.book = AddressBook(Profile(), b"secret00", Dice(3), private)
        self.scores = []
        self.bans = set()
        self.pex = PeerExchange(self.book, Dice(4), now)
        self.pex.score = self._score
        for peer in peers:
            self.pex.init_peer(peer)
            self.pex.add_peer(peer)
        self.pex.tick(now)

    def _score(self, id32, ip, points):
        self.scores.append((id32, points))
        return id32 in self.bans

    def hear(self, peer, message):
        return self.pex.receive(peer, 1, memoryview(bytearray(message)))

    def run(self, ms):
        """Let time pass, as the driver does."""
        end = ticks_add(self.now, ms)
        while self.pex.next_time() is not None and ticks_diff(self.pex.next_time(), end) <= 0:
            assert ticks_diff(self.pex.next_time(), self.now) > 0, "the driver would spin"
            self.now = self.pex.next_time()
            self.pex.tick(self.now)
        self.now = end

    def know(self, *numbers):
        for i in numbers:
            self.book.connected(0, id_of(i), world(i), 4000, 5000)


def record(i, ip=None, id32=None, port=5000, flags=0):
    return bytes((flags,)) + (id32 or id_of(i)) + (ip or world(i)) + b"\x0f\xa0" + bytes((port >> 8, port & 0xFF))


def answer(*records):
    return b"\x02" + b"".join(records)


def test_many_peers_are_looked_at_once_a_second_and_each_is_asked():
    peers = [Peer(i) for i in range(20)]
    x = Exchange(peers[0])
    looks = []
    look = x.pex.tick
    x.pex.tick = lambda now: (looks.append(now), look(now))
    for peer in peers[1:]:
        x.pex.init_peer(peer)
        x.run(50)
    x.run(1000)
    assert [peer.taken() for peer in peers] == [[REQUEST]] * 20
    for peer in peers:
        assert x.hear(peer, answer()) == 0
    x.run(100_000)
    assert all(peer.taken() for peer in peers)
    assert all(ticks_diff(looks[i + 1], looks[i]) >= 1000 for i in range(len(looks) - 1))


def test_an_outbound_peer_is_asked_when_it_comes():
    """T33."""
    out, into = Peer(1), Peer(2, is_outbound=False)
    Exchange(out, into)
    assert out.taken() == [REQUEST] and into.taken() == []


def test_a_new_peer_is_asked_at_the_next_tick_which_is_due_at_once():
    x = Exchange()
    assert x.pex.next_time() is None
    x.now = 5000
    x.pex.tick(5000)
    peer = Peer(1)
    x.pex.init_peer(peer)
    assert ticks_diff(x.pex.next_time(), 5000) <= 0
    x.pex.tick(5001)
    assert peer.taken() == [REQUEST]


def test_a_peer_is_asked_again_each_minute_more_or_less_while_nodes_are_needed():
    """T28, T29."""
    peer = Peer(1)
    x = Exchange(peer)
    times = []
    for _ in range(20):
        assert peer.taken() == [REQUEST]
        x.hear(peer, answer())
        before = x.now
        while not peer.sent:
            x.run(500)
        times.append(x.now - before)
    assert min(times) >= 45000 and max(times) <= 75500 and max(times) - min(times) > 10000


def test_with_enough_nodes_nobody_is_asked():
    """B20."""
    peer = Peer(1)
    x = Exchange(peer)
    peer.taken()
    x.hear(peer, answer())
    for i in range(200):
        x.book.add(0, id_of(i), world(i), 4000, 5000, id_of(1000 + i), world(1000 + i))
    assert x.book.count >= 24
    x.run(10 * MINUTE)
    assert peer.taken() == []


def test_one_request_waits_at_a_time_and_silence_costs_a_turn():
    peer = Peer(1)
    x = Exchange(peer)
    peer.taken()
    x.run(76000)
    assert peer.taken() == []
    x.run(75000)
    assert peer.taken() == [REQUEST]


def test_a_full_queue_is_no_request():
    peer = Peer(1)
    peer.is_full = True
    x = Exchange(peer)
    peer.is_full = False
    assert x.hear(peer, answer(record(5))) == 0
    assert x.scores == [(peer.id, 50)] and x.book.count == 0


def test_what_was_answered_comes_into_the_book_with_the_peer_as_its_source():
    """T33, A2: two of eight buckets for one source."""
    peer = Peer(1)
    x = Exchange(peer)
    assert x.hear(peer, answer(record(5), record(6))) == 0
    assert x.book.find(id_of(5)) >= 0 and x.book.find(id_of(6)) >= 0
    for turn in range(40):
        x.run(76000)
        x.hear(peer, answer(*[record(turn * 8 + i) for i in range(8)]))
    assert x.book.count <= 8


def test_an_answer_nobody_asked_for_is_an_offence():
    """T29, A17: 50 points, and the session ends when that makes a ban."""
    peer = Peer(1, is_outbound=False)
    x = Exchange(peer)
    assert x.hear(peer, answer(record(5))) == 0
    assert x.scores == [(peer.id, 50)] and x.book.count == 0
    x.bans.add(peer.id)
    assert x.hear(peer, answer(record(5))) == MALFORMED


def test_a_second_answer_to_one_request_is_one_nobody_asked_for():
    peer = Peer(1)
    x = Exchange(peer)
    assert x.hear(peer, answer()) == 0 and x.scores == []
    x.hear(peer, answer(record(5)))
    assert x.scores == [(peer.id, 50)] and x.book.count == 0


def test_an_empty_answer_is_fine_and_a_longer_one_than_eight_records_is_not():
    peer = Peer(1)
    x = Exchange(peer)
    assert x.hear(peer, answer(*[record(i) for i in range(8)])) == 0
    x.run(76000)
    assert x.hear(peer, answer(*[record(i) for i in range(9)])) == MALFORMED
    x = None  # two books at once do not fit
    x = Exchange(peer)
    assert x.hear(peer, answer()) == 0


def test_what_is_no_message_ends_the_session():
    peer = Peer(1)
    for message in (b"", b"\0", b"\3", b"\x01\x01", answer(record(5))[:-1], answer(record(5)) + b"\0", b"\x02\x01"):
        x = Exchange(peer)
        assert x.hear(peer, message) == MALFORMED, message
        x = None


def test_own_and_private_ids_and_addresses_of_nowhere_are_not_taken():
    """T38, D17: and they do not void the others."""
    peer = Peer(1)
    x = Exchange(peer, private=(OWN, id_of(7)))
    records = (
        record(0, id32=OWN),
        record(7),
        record(8, ip=lan(8)),
        record(9, port=80),
        record(10, ip=b"\xff\xff\xff\xff"),
        record(11, id32=b"\xff" * 32),
        record(12),
    )
    assert x.hear(peer, answer(*records)) == 0
    assert x.book.count == 1 and x.book.find(id_of(12)) >= 0


def test_ipv6_records_are_read_and_left_out_of_a_book_without():
    peer = Peer(1)
    x = Exchange(peer)
    six = record(5, ip=b"\x26" + bytes(15), flags=1)
    assert x.hear(peer, answer(six, record(6), six)) == 0
    assert x.book.count == 1


def test_who_dialed_us_is_answered_with_at_most_eight():
    peer = Peer(1, is_outbound=False)
    x = Exchange(peer)
    x.know(*range(20, 50))
    assert x.hear(peer, REQUEST) == 0
    (text,) = peer.taken()
    assert text[0] == 2 and len(text) == 1 + 8 * 41


def test_whom_we_dialed_learns_nothing_of_us():
    """B28, A18: it has no reason to ask."""
    peer = Peer(1)
    x = Exchange(peer)
    peer.taken()
    x.know(*range(20, 50))
    assert x.hear(peer, REQUEST) == 0 and peer.taken() == [] and x.scores == []


def test_the_asker_is_not_told_of_itself():
    peer = Peer(1, is_outbound=False)
    x = Exchange(peer)
    x.know(1, 2)
    x.hear(peer, REQUEST)
    assert peer.taken() == [answer(record(2))]


def test_answers_are_rationed():
    """T29, A18: two at once, then one a minute; more is ignored."""
    peer = Peer(1, is_outbound=False)
    x = Exchange(peer)
    x.know(2)
    for _ in range(30):
        assert x.hear(peer, REQUEST) == 0
    assert len(peer.taken()) == 2
    for _ in range(600):
        x.run(1000)
        x.hear(peer, REQUEST)
    assert 8 <= len(peer.taken()) <= 14
    assert x.scores == []


def test_who_asks_before_the_first_look_at_it_has_no_more_answers_than_others():
    peer = Peer(1, is_outbound=False)
    x = Exchange(Peer(2))
    x.know(3)
    x.pex.init_peer(peer)
    for ms in (0, 999, 1, 1000, 41000):  # the first look is after a second
        x.run(ms)
        for _ in range(3):
            x.hear(peer, REQUEST)
    assert len(peer.taken()) == 2
    x.run(2 * MINUTE)
    for _ in range(3):
        x.hear(peer, REQUEST)
    assert 1 <= len(peer.taken()) <= 2


def test_two_nodes_exchange_what_they_know():
    a, b = Peer(1, is_outbound=False), Peer(2)
    asker, answerer = Exchange(b), Exchange(a)
    answerer.know(*range(20, 30))
    (request,) = b.taken()
    assert answerer.hear(a, request) == 0
    assert asker.hear(b, a.taken()[0]) == 0
    assert 0 < asker.book.count <= 8 and asker.scores == []


def test_nothing_stays_of_a_peer_that_went():
    peer = Peer(1)
    x = Exchange(peer)
    x.pex.remove_peer(peer, 0)
    assert x.pex.next_time() is None
    x.pex.remove_peer(peer, 0)
