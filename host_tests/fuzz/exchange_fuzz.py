"""Mutants of peer exchange's messages and of saved address books. Neither raises anything but Malformed; what comes into the
book could be dialed and stands where its source may put it. The same file runs on CPython and on MicroPython."""

from fuzz_draw import Random, mutate
from picoswarm.addrbook import AddressBook
from picoswarm.address import is_open_port, may_name, scope
from picoswarm.bookfile import decode_book, encode_book
from picoswarm.errors import Malformed
from picoswarm.identity import is_valid_id
from picoswarm.pex import PeerExchange
from picoswarm.profile import Profile

OWN = b"own id" + bytes(26)
SOURCE = b"\x29\1\1\1"


def record(i, ip=None, flags=0):
    return bytes((flags, i)) + b"id" + bytes(29) + (ip or bytes((42, i, 0, 1))) + b"\x0f\xa0\x13\x88"


_SIX = record(50, b"\x26" + bytes(15), 1)
MESSAGES = (
    b"\1",
    b"\2",
    b"\2" + record(1),
    b"\2" + b"".join([record(i) for i in range(8)]),
    b"\2" + b"".join([record(i) for i in range(9)]),
    b"\2" + record(1) + _SIX + record(2),
    b"\2" + record(1, b"\xc0\xa8\1\1") + record(2, b"\x7f\0\0\1"),
    b"\2" + b"\0" + OWN + b"\x2a\1\1\1\x0f\xa0\x13\x88",
)
PAYLOADS = (
    b"",
    b"secret00\0\0",
    b"secret00\0\1" + record(1),
    b"secret00\2\1" + record(1, flags=0x10) + record(2, flags=0x10) + record(3, flags=0xE0),
    b"secret00\1\2" + record(1, flags=0x12) + _SIX + record(2, flags=0x30),
    b"secret00\0\3" + record(1) + record(1) + record(2, bytes(4)),
)


class Peer:
    """The one that sends the mutants. Its queue is always free."""

    id = b"peer" + bytes(28)
    ip = SOURCE
    is_outbound = True

    def try_send(self, channel, data):
        assert channel == 1 and len(data) <= 425
        return True


def _check(book, is_heard):
    """Every record in use is one that `AddressBook.add` would take. Returns how many there are."""
    used = 0
    for at in range(0, len(book.pool), book.step):
        if book.pool[at]:
            used += 1
            shown = book.record(at)
            id32 = shown[1:33]
            ip = shown[33:-4]
            assert is_valid_id(id32) and id32 != OWN and len(ip) in (4, 16) and shown[0] < 16
            assert is_open_port(shown[-2] << 8 | shown[-1]) and scope(ip)
            assert not is_heard or may_name(scope(SOURCE), scope(ip))
            assert book.find(id32) == at
    assert used == book.count
    return used


def _live(book, draw):
    """Some nodes are met, and some fail."""
    chosen = book.pick(50, 0)
    if chosen and draw(1)[0] & 1:
        book.failed(chosen[0])
    elif chosen:
        book.connected(0, chosen[0], chosen[1], 4000, chosen[2])


def messages(count, seed=1):
    """Let a peer answer `count` times with mutants. Returns how many messages were in order, and how many were not."""
    draw = Random(seed)
    seen = [0, 0]
    peer = Peer()
    now = 0
    pex = None
    for i in range(count):
        if i % 256 == 0:
            book = AddressBook(Profile(ipv6=i >> 8 & 1), b"secret00", draw, (OWN,))
            pex = PeerExchange(book, draw, now)
            pex.score = lambda id32, ip, points: False
            pex.init_peer(peer)
        now = (now + 76000) & 0x3FFFFFFF
        pex.tick(now)
        message = memoryview(mutate(MESSAGES[i % len(MESSAGES)], draw))
        reason = pex.receive(peer, 1, message)
        assert reason in (0, 11)
        seen[reason > 0] += 1
        if i % 4 == 0:
            peer.is_outbound = False  # who dialed is answered
            for _ in range(3):  # unasked, and more often than it is answered
                assert pex.receive(peer, 1, message) in (0, 11)
            peer.is_outbound = True
            _live(book, draw)
        if i % 16 == 0:
            _check(book, True)
    return seen


def books(count, seed=1):
    """Read `count` mutants of saved books. Returns how many were read, and how many refused."""
    draw = Random(seed)
    seen = [0, 0]
    for i in range(count):
        payload = PAYLOADS[i % len(PAYLOADS)]
        book = AddressBook(Profile(book_new=8, book_tried=4, ipv6=i & 1), b"secret00", draw, (OWN,))
        try:
            decode_book(book, bytes(mutate(payload, draw) if payload else payload))
        except Malformed:
            assert book.count == 0
            seen[1] += 1
            continue
        seen[0] += 1
        assert _check(book, False) <= 12
        again = AddressBook(Profile(book_new=8, book_tried=4, ipv6=i & 1), b"other000", draw, (OWN,))
        decode_book(again, encode_book(book))
        assert again.count == book.count
    return seen
