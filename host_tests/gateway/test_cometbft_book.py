"""The address book of the family `cometbft`, and its exchange of addresses, in virtual time."""

from __future__ import annotations

from hashlib import sha256

import pytest
from picoswarm_gateway.families.cometbft import messages
from picoswarm_gateway.families.cometbft.book import NEW, SHARED_LEAST, SHARED_MOST, TRIED, Book
from picoswarm_gateway.families.cometbft.messages import NodeInfo
from picoswarm_gateway.families.cometbft.pex import CRAWLED_S, REQUESTS_S, SEED_PEER_S, Pex, port_of

OWN = "0f" * 20
TELLER = ("ee" * 20, "8.8.8.8")
HOUR_S = 3600.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def node(n: int) -> str:
    return sha256(b"%d" % n).hexdigest()[:40]


def ip(n: int) -> str:
    """Each in a network of its own."""
    return f"{5 + n // 200}.{1 + n % 200}.7.7"


def full(clock, count: int, *, book: Book | None = None) -> Book:
    """With so many addresses, each told by somebody else."""
    book = book or Book(OWN, (), clock)
    for n in range(count):
        book.add(node(n), ip(n), 26656, node(5000 + n), ip(4000 + n))
    return book


def lived(book: Book, n: int) -> None:
    """It was dialed, answered, and was of use."""
    book.connected(node(n), ip(n), 26656)
    book.good(node(n))


def test_one_source_fills_no_more_than_its_buckets(clock):
    book = Book(OWN, (), clock)
    for n in range(600):
        book.add(node(n), ip(n), 26656, *TELLER)
    assert len(book) <= NEW // 4
    assert len(full(clock, 600)) > NEW // 2


def test_who_was_of_use_is_not_pushed_out_and_is_not_moved_by_hearsay(clock):
    book = full(clock, 1)
    lived(book, 0)
    assert book.tried == 1
    assert not book.add(node(0), "9.9.9.9", 26656, *TELLER)
    full(clock, 1200, book=book)
    assert (node(0), ip(0), 26656) in list(book)
    assert book.tried == 1


def test_the_more_connections_there_are_the_more_new_ones_are_drawn(clock):
    book = full(clock, 60)
    for n in range(30):
        lived(book, n)
    tried = {node(n) for n in range(30)}

    def new_of(outbound: int) -> int:
        return sum(each[0] not in tried for _ in range(40) for each in book.draw(outbound))

    assert new_of(8) > 2 * new_of(0)


def test_who_fails_is_drawn_less_and_less(clock):
    book = full(clock, 2)
    for _ in range(6):
        book.failed(node(0))
    drawn = [each[0] for _ in range(100) for each in book.draw(8)[:1]]
    assert drawn.count(node(0)) < drawn.count(node(1)) / 2


def test_who_is_banned_is_not_drawn_or_told_and_is_new_again_once_its_time_is_over(clock):
    book = full(clock, 3)
    book.ban(node(1), HOUR_S)
    assert book.is_banned(node(1)) and node(1) not in [each[0] for each in book.selection("8.8.4.4")]
    assert not book.add(node(1), ip(1), 26656, *TELLER)
    clock.now += HOUR_S - 1
    book.lift()
    assert len(book) == 2
    clock.now += 2
    book.lift()
    assert not book.is_banned(node(1)) and (node(1), ip(1), 26656) in list(book)


def test_a_book_is_the_same_after_a_restart(clock):
    book = full(clock, 200)
    for n in range(20):
        lived(book, n)
    for _ in range(3):
        book.failed(node(150))
    again = Book(OWN, (), clock)
    again.load(book.saved())
    assert again.saved() == book.saved() and again.tried == book.tried > 10
    assert set(book) - set(again) == {(node(150), ip(150), 26656)}
    assert again.saved()[1].startswith("t+")


@pytest.mark.parametrize(
    "line",
    ["", "secret 12", "t+ 12@1.2.3.4:5", f"9 {node(1)}@1.2.3.4:5000", f"0 {node(1)}@nowhere:5000", f"t {OWN}@8.8.8.8:5000"],
)
def test_a_damaged_line_is_passed_over(clock, line):
    book = Book(OWN, (), clock)
    book.load([line, f"3 {node(7)}@8.8.8.8:65536", f"{node(8)}@8.8.8.8:26656"])
    assert [each[0] for each in book] == [node(8)]


def test_a_peer_is_told_a_part_and_no_local_address_where_it_is_on_the_internet(clock):
    book = full(clock, 40)
    assert len(book.selection("8.8.4.4")) == SHARED_LEAST
    for n in range(40, 700):
        book.add(node(n), ip(n), 26656, node(5000 + n), ip(4000 + n))
    assert SHARED_LEAST < len(book.selection("8.8.4.4")) <= SHARED_MOST < NEW + TRIED
    local = Book(OWN, (), clock)
    local.add(node(1), "192.168.1.5", 26656, node(2), "192.168.1.9")
    assert not local.selection("8.8.4.4") and local.selection("192.168.1.7")


def test_of_a_private_node_nobody_is_told(clock):
    book = Book(OWN, (node(1),), clock)
    assert not book.add(node(1), ip(1), 26656, *TELLER) and not book.add(OWN, ip(2), 26656, *TELLER)
    book.connected(node(1), ip(1), 26656)
    assert not len(book)


class Other:
    """A peer as the exchange sees it."""

    def __init__(self, n: int, is_outbound: bool, clock: Clock, listen: str = "tcp://0.0.0.0:26656") -> None:
        self.id, self.ip, self.is_outbound = node(n), ip(n), is_outbound
        self.info = NodeInfo(self.id, "chain", "other", listen)
        self.asked_pex, self.pex_requests, self.pex_at, self.since = False, 0, 0.0, clock.now
        self.sent: list[list | None] = []
        self.ended = ""

    def send(self, channel: int, text: bytes) -> bool:
        assert channel == messages.PEX
        self.sent.append(messages.pex(text))
        return True

    def finish(self, why: str) -> None:
        self.ended = why


def exchange(clock, *, seed: bool = False, kept: tuple[str, ...] = ()) -> Pex:
    return Pex(full(clock, 10), seed, lambda peer: peer.id in kept, clock)


ANSWER = messages.addresses([(node(77), ip(77), 26656), ("no id", ip(78), 26656), (node(79), "nowhere", 1)])


def test_two_questions_are_free_and_later_ones_have_their_time(clock):
    pex, peer = exchange(clock), Other(100, False, clock)
    assert [pex.receive(peer, messages.PEX_REQUEST) for _ in range(2)] == ["", ""]
    assert [len(each) for each in peer.sent] == [10, 10]
    clock.now += REQUESTS_S
    assert not pex.receive(peer, messages.PEX_REQUEST)
    clock.now += REQUESTS_S - 1
    assert "too often" in pex.receive(peer, messages.PEX_REQUEST)


def test_only_who_was_asked_may_answer_and_what_cannot_be_is_left_out(clock):
    pex, peer = exchange(clock), Other(100, True, clock)
    assert "nobody asked" in pex.receive(peer, ANSWER)
    pex.greet(peer)
    pex.ask(peer)
    assert peer.sent == [None]  # one question at a time
    assert not pex.receive(peer, ANSWER) and not peer.ended
    assert node(77) in [each[0] for each in pex.book] and len(pex.book) == 11
    assert "nobody asked" in pex.receive(peer, ANSWER)


def test_who_comes_is_known_at_its_own_address_with_the_port_that_it_tells(clock):
    pex = exchange(clock)
    pex.greet(Other(100, False, clock))
    pex.greet(Other(101, False, clock, listen="tcp://0.0.0.0:0"))
    assert (node(100), ip(100), 26656) in list(pex.book) and len(pex.book) == 11
    assert port_of("tcp://[::1]:99") == 99 and port_of("tcp://a:b") == 0


def test_a_seed_answers_once_and_lets_go_but_keeps_those_of_the_configuration(clock):
    pex, peer, own = exchange(clock, seed=True, kept=(node(101),)), Other(100, False, clock), Other(101, False, clock)
    for each in (peer, peer, own, own):
        assert not pex.receive(each, messages.PEX_REQUEST)
    assert len(peer.sent) == 1 and peer.ended
    assert len(own.sent) == 2 and not own.ended


def test_a_seed_asks_whom_it_dials_lets_it_go_and_comes_back_after_two_minutes(clock):
    pex, peer = exchange(clock, seed=True), Other(3, True, clock)
    assert pex.is_due(node(3))
    pex.greet(peer)
    assert peer.sent == [None]
    pex.receive(peer, ANSWER)
    assert peer.ended and pex.counts["crawled"] == 1 and not pex.is_due(node(3)) and pex.is_due(node(4))
    clock.now += CRAWLED_S
    assert pex.is_due(node(3))


def test_a_seed_waits_for_nobody_for_ever(clock):
    pex = exchange(clock, seed=True)
    silent, quiet = Other(3, True, clock), Other(100, False, clock)
    clock.now += 60
    pex.cut([silent, quiet])
    assert silent.ended and not quiet.ended
    clock.now += SEED_PEER_S
    pex.cut([quiet])
    assert quiet.ended
