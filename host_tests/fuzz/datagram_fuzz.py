"""Mutated plaintexts of every message, sealed and pair-tagged with the right keys, into a live engine; and raw bytes.

The invariant: `receive` never raises and counts every datagram; nothing but the proven peer enters the table, and that one
stays where it is. The same file runs on CPython and on MicroPython: `run("PONG", count, seed)` gives the engine's counters.
"""

from forms import seal
from fuzz_draw import Random, mutate
from link import PORT, Link, Puppet, small
from picoswarm.compat import ticks_add

OTHER = b"\x0a\x00\x00\x63"
ROUND_MS = 260  # a proven peer is answered twice a second: most datagrams come within that
MEET_EVERY = 16  # rounds; the peer then proves itself anew, so that there always is one

TYPES = ("PING", "PONG", "FIND_NODE", "NEIGHBORS", "BEACON")


def forms(kind, token, own_id, entry_id):
    """The well-formed messages of a type, without pair tag: (type byte, what follows the sender).
    `own_id`: of the engine."""
    ping = b"\x12\x34\x00\x02\x00\x00"
    pong = b"\x0a\x00\x00\x01\x0f\xa0" + bytes(8) + b"\x12\x34"
    if kind == "PING":
        return (0x41, ping + bytes(10)), (0x51, ping + token), (0xC1, ping), (0xD1, ping + token), (0x81, ping + bytes(18))
    if kind == "PONG":
        return (0x42, pong), (0xC2, pong), (0x02, pong), (0x62, bytes(10) + b"\xff\xff" + pong), (0x42, pong + bytes(30))
    if kind == "FIND_NODE":
        find = token + bytes(8)
        return (0x43, find), (0x43, find + b"\x00\x10\x00"), (0xC3, find), (0x43, find + bytes(300))
    if kind == "NEIGHBORS":
        records = [b"\0" + bytes((i + 1,)) * 31 + b"\x01" + OTHER + b"\x0f\xa0\x12\x34" for i in range(11)]
        ipv6 = b"\x01" + bytes((50,)) * 32 + b"\x20\x01" + bytes(13) + b"\x01\x0f\xa0\x12\x34"
        return (
            (0x44, b"\x01" + b"".join(records[:4])),
            (0x44, b"\x01"),
            (0x44, b"\x01" + b"".join(records)),
            (0x44, b"\x02" + records[0]),
            (0x44, b"\x12" + records[1]),
            (0x44, b"\x01" + records[0] + ipv6),
            (0x44, b"\x01" + b"\0" + own_id + OTHER + b"\x0f\xa0\x12\x34"),  # the asker itself
            (0x44, b"\x01" + b"\x0e" + entry_id + OTHER + b"\x0f\xa0\x12\x34"),  # an entry, at another address
        )
    return ((0x85, bytes(14)),)


class Mutants:
    """An engine, the member that it knows, and what that member makes of the right datagrams."""

    def __init__(self, kind, seed):
        self.kind = kind
        self.draw = Random(seed)
        self.link = link = Link()
        # One key agreement a minute of its own: what is fuzzed is not the arithmetic.
        numbers = dict(proven_per_second=1000, stranger_per_second=1000, inbound_keys=2, own_keys=2, own_key_ms=60000)
        numbers.update(lookups=4, pending=6)
        self.node = link.add(0, small(**numbers))
        link.pass_ms(100)
        self.puppet = Puppet(link, 1)
        self.pair = self.puppet.pair(self.node)
        self.token = bytes(8)
        self.rid = bytes(4)  # of the newest question of the engine
        self.unasked = 0  # rounds since then
        self.sent = 0  # by us, in all
        self.before = self.node.stats()["received"]

    def meet(self):
        """Let the peer prove itself, as a good node does: a PING for a token, and one with it."""
        self.pass_ms(1000)
        self._say(b"\xc1" + self.draw(4) + self.puppet.id + bytes(6), self.puppet.ip)
        self._say(b"\x51" + self.draw(4) + self.puppet.id[:8] + bytes(6) + self.token, self.puppet.ip)

    def pass_ms(self, ms):
        """Let time pass."""
        self.link.now = ticks_add(self.link.now, ms)
        self.node.tick(self.link.now)
        self._listen()
        while self.node.next_event():
            pass

    def provoke(self):
        """Have the engine ask the peer: a lookup of its id is a PING, one of a neighbour's id a FIND_NODE. An earlier
        question that is not answered yet may stand."""
        self.unasked += 1
        if self.unasked > 3:
            self.meet()  # the peer has missed too much to be asked
        wanted = self.puppet.id
        is_pong = self.kind == "PONG"
        self.node.find(wanted if is_pong else wanted[:31] + b"\x01", self.link.now, not is_pong)
        self._listen()

    def _listen(self):
        """Take the newest question and token from what the engine sends; a PING is answered as a good peer does, unless its
        answer is what we fuzz."""
        link = self.link
        puppet = self.puppet
        link.settle()
        while link.sent:
            _, to, data = link.sent.pop(0)
            assert len(data) <= 512
            if to != puppet.ip or puppet.hear(data):
                continue
            codec = puppet.codec
            if codec.type == 1 and self.kind != "PONG":
                seen = self.node.site.ip + bytes((PORT >> 8, PORT & 0xFF))
                self._put(b"\x42" + puppet.buf[14:18] + puppet.id[:8] + seen + bytes(10), 1, puppet.ip)
            elif codec.type in (1, 3):
                self.rid = bytes(puppet.buf[14:18])
                self.unasked = 0
            elif codec.type == 2 and codec.is_tagged:
                self.token = bytes(puppet.buf[codec.body + 6 : codec.body + 14])

    def _put(self, text, times, ip):
        """Seal a plaintext as the member that holds every key, and let it arrive."""
        puppet = self.puppet
        puppet.out[13 : 13 + len(text)] = text
        pair = self.pair if text[0] & 0x40 else None
        n = seal(puppet.codec, puppet.out, 13 + len(text), puppet.key, 0, pair)
        for _ in range(times):
            self.sent += 1
            self.link.deliver(puppet.out[:n], ip, self.node.site.ip)
        self.link.settle()

    def _say(self, text, ip):
        """Send a plaintext; now and then the network repeats it."""
        self._put(text, 1 if self.draw(1)[0] else 2, ip)
        self._listen()

    def round(self, i):
        """Send one mutant."""
        node = self.node
        kind = self.kind
        if not i % MEET_EVERY:
            self.meet()
        is_answer = kind in ("PONG", "NEIGHBORS")
        if is_answer:
            self.provoke()
        rid = self.rid if is_answer and self.draw(1)[0] % 16 else self.draw(4)
        each = forms(kind, self.token, node.own_id, self.puppet.id)
        first, body = each[i % len(each)]
        sender = self.puppet.id if i % 64 else node.own_id  # now and then somebody repeats our own word
        sender = sender if first & 0x80 else sender[:8]
        text = mutate(bytes((first,)) + rid + sender + body, self.draw)
        self._say(text, self.puppet.ip if self.draw(1)[0] % 16 else OTHER)
        for id32 in node.nodes():
            assert id32 == self.puppet.id, (kind, i)
            assert node.contact(id32)[:2] == (self.puppet.ip, PORT), (kind, i)
        self.pass_ms(ROUND_MS)


def run(kind, count, seed=1):
    """Send `count` mutants of the type named `kind` (one of TYPES). Returns the engine's counters. Raises whatever it
    raises."""
    mutants = Mutants(kind, seed)
    for i in range(count):
        mutants.round(i)
    stats = mutants.node.stats()
    assert stats["received"] - mutants.before == mutants.sent
    return stats


def raw_bytes(count, seed=1):
    """`count` datagrams of random bytes: none is answered, none leaves anything."""
    draw = Random(seed)
    link = Link()
    node = link.add(0)
    link.pass_ms(100)
    for i in range(count):
        data = bytearray(draw(30 + (draw(1)[0] << 1) % 500))
        if i & 1 and data:
            data[0] = 0x11
        link.deliver(bytes(data), OTHER, node.site.ip, port=PORT)
        link.settle()
    assert not link.sent and node.stats()["entries"] == 0
    return node.stats()
