"""What libp2p peers send, mutated: names and messages into their decoders, lines into multistream-select, frames into a live
connection whose owner goes on using it, and set-ups that somebody disturbs. Nothing raises; what is held is what waits to be
read, and ends with its streams. The same file runs on CPython and on MicroPython."""

from struct import pack

from fuzz_draw import Random, mutate
from picoswarm.identify import decode_identify, encode_identify
from picoswarm.multiaddr import address_text, decode_address, encode_address, parse_address, tcp_address
from picoswarm.multistream import Select, line
from picoswarm.p2plink import ID, PING, PUSH, P2pLink
from picoswarm.peerid import parse_peer, peer_text
from picoswarm.peerkey import decode_key, is_peer_id
from picoswarm.protobuf import decode_fields, varint

INLINE = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
HASHED = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
CID = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"
ADDRESSES = (
    "/ip4/10.0.0.7/tcp/4001/p2p/" + INLINE,
    "/dns4/example.com/tcp/443/ws",
    "/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" + HASHED,
    "/dns/a/tcp/1/p2p/" + CID,
)
ECHO = b"/echo/1.0.0"
HEADER = b"/multistream/1.0.0"
PEER = parse_peer(INLINE)
MESSAGE = PEER[2:]
RENEW = 100  # records of one connection at most
DATA, UPDATE, PINGING, AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def names(count, seed=1):
    """Decode `count` mutants of each form. Returns how many were taken and how many refused, of messages, of addresses as
    bytes and as texts, and of peer ids."""
    draw = Random(seed)
    addresses = [encode_address(parse_address(each)) for each in ADDRESSES]
    addresses += [b"\x29" + bytes(range(16)) + b"\6\x0f\xa1"]  # of IPv6, which a board reads in this form only
    identify = encode_identify(MESSAGE, addresses, ["/a", "/b"], addresses[1], "agent")
    seen = [[0, 0], [0, 0], [0, 0], [0, 0]]
    for i in range(count):
        data = bytes(mutate(identify, draw))
        found = decode_identify(data, PEER)
        seen[0][found is None] += 1
        assert found is None or found.public_key in (b"", MESSAGE)
        for number, value in decode_fields(data) or ():
            assert number >= 0 and isinstance(value, (int, bytes))
            if isinstance(value, bytes):
                decode_key(value)
        data = bytes(mutate(addresses[i % len(addresses)], draw))
        parts = decode_address(data)
        seen[1][parts is None] += 1
        if parts is not None:
            assert decode_address(encode_address(parts)) == parts
            tcp_address(parts)
            assert address_text(parts)
        for texts, which in ((ADDRESSES, 2), ((INLINE, HASHED, CID), 3)):
            text = "".join([chr(each) for each in mutate(texts[i % len(texts)].encode(), draw)])
            found = parse_address(text) if which == 2 else parse_peer(text)
            seen[which][found is None] += 1
            if which == 3 and found is not None:
                assert is_peer_id(found) and parse_peer(peer_text(found)) == found
            elif found is not None:
                assert decode_address(encode_address(found)) is not None
    return seen


def select(count, seed=1):
    """Give `count` choices mutated lines, in parts. Returns how many were agreed on, failed, and stayed open."""
    draw = Random(seed)
    forms = (
        line(HEADER) + line(ECHO),
        line(HEADER) + line(b"/nope") + line(ECHO) + b"rest",
        line(HEADER) + line(b"na") + line(ECHO),
        line(HEADER) + line(b"na") * 3,
        line(HEADER) + line(b"/nope") * 18,
    )
    seen = [0, 0, 0]
    for i in range(count):
        dials = draw(1)[0] & 1
        side = Select((b"/a", ECHO), None) if dials else Select((), lambda name: name == ECHO)
        data = bytes(mutate(forms[i % len(forms)], draw))
        step = 1 + draw(1)[0] % 40
        for at in range(0, len(data), step):
            if not side.receive(data[at : at + step]):
                break
        assert len(side.rest) <= len(data) and len(side.out) < 600
        assert side.name is None or side.name in (b"/a", ECHO) and not side.is_failed
        seen[0 if side.name else 1 if side.is_failed else 2] += 1
    return seen


class _Plain:
    """Records that are not encrypted, in the form of those that are."""

    def seal(self, buf, end):
        buf[0] = end - 2 + 16 >> 8
        buf[1] = end - 2 + 16 & 0xFF

    def open(self, buf, at, end):
        return -1 if buf[end - 1] else end - 16


class _SetUp:
    """What is left of one that is done."""

    is_initiator = False
    peer = PEER
    buf = rest = b""
    fill = 0

    def __init__(self):
        self.ciphers = (_Plain(), _Plain())


def frame(kind, flags, number, data=b"", length=None):
    return pack(">BBHII", 0, kind, flags, number, len(data) if length is None else length) + data


class Victim:
    """A connection, the owner who answers, reads and opens by chance, and the peer's side of what was opened."""

    def __init__(self, draw):
        self.draw = draw
        self.begun = []
        self.heard = 0
        self.next = 1
        self.link = P2pLink(_SetUp(), self, 0)
        self.link.streams_most = 8
        self.link.start()

    # What the link wants of its owner

    def serves(self, name):
        return name == ECHO

    def identity(self):
        return encode_identify(MESSAGE, [], ["/echo/1.0.0"], b"", "agent")

    def begin(self, stream):
        self.begun.append(stream)

    def news(self):
        self.heard += 1

    def act(self):
        """A turn of the owner."""
        what, which = self.draw(2)
        if what & 1:
            for stream in self.begun:
                stream.read(which)
            self.begun = [stream for stream in self.begun if not (stream.is_reset or stream.is_ended and not stream.data)]
        if what & 2 and self.begun:
            self.begun[which % len(self.begun)].write(bytes(which))
        if what & 12 == 12 and self.begun:
            stream = self.begun[which % len(self.begun)]
            stream.close() if what & 16 else stream.reset()
        if what > 200 and len(self.link.streams) < 12:
            stream = self.link.dial((b"/a", ECHO), self.begin) if what > 225 else self.link.identify()
            assert stream or self.link.reason is not None or self.link.theirs is not None
        if what > 250:
            self.link.push()

    def check(self):
        link = self.link
        assert link.reason is None or 0 <= link.reason <= 5
        waiting = {id(stream): len(stream.data) for stream in list(link.streams.values()) + self.begun}
        assert link.held == sum(waiting.values()), (link.held, waiting)
        assert link.inbound == len([number for number in link.streams if number & 1]) <= link.streams_most
        assert link.reason is None or not link.streams
        link.queued -= sum([len(each) for each in link.out])
        assert link.queued == 0
        link.out.clear()

    def some_frame(self):
        """One that may well be right."""
        draw = self.draw
        what, which, size = draw(3)
        mine = sorted(self.link.streams)
        number = mine[which % len(mine)] if mine and which & 3 else 2 * (which % 6) + 1
        if what < 70:
            self.next += 2
            name = (ECHO, PING, ID, PUSH, b"/nope", ECHO)[which % 6]
            text = line(HEADER) + line(name)
            if name == PUSH or not size & 7:
                message = self.identity()
                text += varint(len(message)) + message
            elif name in (ECHO, PING):
                text += bytes(size & 63)
            flags = SYN | (FIN if which & 64 else 0)
            return frame(DATA, flags, self.next, text) if size & 1 else frame(UPDATE, SYN, self.next, b"", size << 10)
        if what < 110:  # an answer to what the owner dialed
            text = line(HEADER) + (line(b"na") if size & 1 else b"") + line((b"/a", ECHO, ID)[size % 3])
            if size % 3 == 2:
                message = self.identity()
                text += varint(len(message)) + message
            return frame(DATA, ACK | (FIN if size & 4 else 0), number, text)
        if what < 150:
            return frame(DATA, 0, number, bytes(size if size < 250 else 1200))
        if what < 180:
            return frame(UPDATE, ACK if size & 1 else 0, number, b"", size << 8)
        if what < 210:
            return frame(DATA, FIN, number, bytes(size & 7))
        if what < 230:
            return frame(UPDATE, RST, number)
        if what < 254:
            return frame(PINGING, SYN if size & 1 else ACK, 0, b"", size)
        return frame(AWAY, 0, 0, b"", size & 1)


def link(count, seed=1):
    """`count` records of a peer that does what it likes, or of random bytes. Returns how many connections ended, streams had
    their protocol, identify messages were heard, and streams were refused."""
    draw = Random(seed)
    seen = [0, 0, 0, 0]
    victim = None
    for i in range(count):
        if victim is None or victim.link.reason is not None or i % RENEW == 0:
            victim = Victim(draw)
        link = victim.link
        text = b"".join([victim.some_frame() for _ in range(1 + draw(1)[0] % 3)])
        if draw(1)[0] % 4 == 0:
            text = bytes(mutate(text, draw))
        size = len(text) + 16
        record = bytearray(bytes((size >> 8, size & 0xFF)) + text + bytes(16))
        chance = draw(1)[0]
        if chance == 0:
            record = draw(40)
        elif chance == 1:
            record[-1] = 1
        before, heard, had = len(victim.begun), link.identified, len(link.streams)
        at = 0
        while at < len(record) and link.reason is None:
            n = min(link.room(), len(record) - at, 1 + draw(1)[0])
            link.buf[link.fill : link.fill + n] = record[at : at + n]
            link.received(n, i)
            at += n
        seen[1] += len(victim.begun) > before
        seen[2] += link.identified is not heard
        seen[3] += len(link.streams) < had
        victim.check()
        victim.act()
        if draw(1)[0] < 8:
            link.tick(i * 500)
        victim.check()
        seen[0] += link.reason is not None
    return seen


def set_up(count, seed=1):
    """`count` set-ups in which one message comes mutated. Returns how many were done all the same (the mutant was what was
    sent), and how many failed or wait for more."""
    from picoswarm.p2psetup import P2pSetup
    from test_libp2p_setup import A, B

    draw = Random(seed)
    seen = [0, 0]
    for _ in range(count):
        sides = [P2pSetup(A, draw, True, B.peer), P2pSetup(B, draw, False)]
        spoiled = draw(1)[0] % 5
        is_spoiled = False
        for turn in range(8):
            for side in sides:
                while side.work():
                    pass
            side, other = sides[turn & 1], sides[turn & 1 ^ 1]
            data = bytes(side.out)
            side.out = b""
            if turn == spoiled and data:
                mutant = bytes(mutate(data, draw))
                is_spoiled = mutant != data
                data = mutant
            for at in range(0, len(data), 100):
                part = data[at : at + min(100, other.room())]
                other.buf[other.fill : other.fill + len(part)] = part
                other.receive(len(part))
                while other.work():
                    pass
        done = sides[0].stage == 2 and sides[1].stage == 2
        assert done or is_spoiled
        seen[not done] += 1
        for side, wanted in ((sides[0], B.peer), (sides[1], A.peer)):
            assert side.stage != 2 or side.peer == wanted
    return seen


def run(what, count, seed=1):
    """Fuzz "names", "select", "link" or "set_up"; returns what the function of that name returns."""
    return {"names": names, "select": select, "link": link, "set_up": set_up}[what](count, seed)


if __name__ == "__main__":
    import sys

    for what in ("names", "select", "link"):
        print(what, run(what, int(sys.argv[1])))
    print("set_up", set_up(int(sys.argv[1]) // 50))
