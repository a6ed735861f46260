"""Mutated plaintexts of every message, sealed and pair-tagged with the right keys, into a live engine.

The invariant: `receive` never raises, counts every datagram, and nothing but the proven peer enters the table. The same
file runs on CPython and on MicroPython: `run(count, seed)` gives the engine's statistics.
"""

from forms import seal, start
from link import PORT, Link, Puppet, Random, small
from picoswarm.compat import ticks_add

OTHER = b"\x0a\x00\x00\x63"


def _seeds(token, rid):
    """A well-formed plaintext of each type, without the pair tag: (type byte, body)."""
    ping = b"\x12\x34\x00\x02\x00\x00"
    pong = b"\x0a\x00\x00\x01\x0f\xa0" + bytes(8) + b"\x12\x34"
    records = b""
    for i in range(4):
        records += b"\0" + bytes((i + 1,)) * 31 + b"\x01" + OTHER + b"\x0f\xa0\x12\x34"
    return (
        (0x41, ping + bytes(10)),
        (0x51, ping + token),
        (0xC1, ping),
        (0x81, ping + bytes(18)),
        (0x42, pong),
        (0xC2, pong),
        (0x02, pong),
        (0x43, token + bytes(8)),
        (0xC3, token + bytes(8) + b"\x00\x10\x00"),
        (0x44, b"\x01" + records),
        (0x44, b"\x12" + records),
        (0x85, bytes(14)),
    )


def _mutate(kind, body, draw):
    """One to three changes: a bit, a byte, a cut, a repeat, random bytes, the type."""
    body = bytearray(body)
    for _ in range(1 + draw(1)[0] % 3):
        what = draw(1)[0] % 8
        at = (draw(1)[0] << 8 | draw(1)[0]) % max(1, len(body))
        if what == 0 and body:
            body[at] ^= 1 << draw(1)[0] % 8
        elif what == 1 and body:
            body[at] = draw(1)[0]
        elif what == 2:
            body = body[:at]
        elif what == 3:
            body = body + body[at:]
        elif what == 4:
            body = body[:at] + draw(draw(1)[0] % 48) + body[at:]
        elif what == 5:
            kind ^= 1 << draw(1)[0] % 8
        elif what == 6 and body:
            body[0] = draw(1)[0]
    return kind, bytes(body[:450])


def run(count, seed=1):
    """Send `count` mutated datagrams. Returns (statistics, datagrams that the engine sent). Raises whatever it raises."""
    draw = Random(seed)
    link = Link()
    node = link.add(0, small(proven_per_second=1000, stranger_per_second=1000, inbound_keys=2))
    link.pass_ms(100)
    puppet = Puppet(link, 1)
    pair = puppet.pair(node)
    token = puppet.befriend(node, pair)
    allowed = (puppet.id,)
    looking = None
    rid = bytes(4)
    begun = node.stats()["received"]
    for i in range(count):
        if looking is None or not looking.is_running:
            looking = node.find(puppet.id[:31] + b"\x01", link.now, True)
        seeds = _seeds(token, rid)
        kind, body = seeds[i % len(seeds)]
        kind, body = _mutate(kind, body, draw)
        fresh = rid if kind & 15 in (2, 4) and draw(1)[0] & 1 else draw(4)
        at = start(puppet.codec, puppet.out, kind & 0xFF, fresh)
        puppet.out[at : at + len(body)] = body
        n = seal(puppet.codec, puppet.out, at + len(body), puppet.key, 0, pair if kind & 0x40 else None)
        ip = puppet.ip if draw(1)[0] % 8 else OTHER
        link.sent = link.sent[-1:]
        for data in puppet.say(n, node, ip=ip):
            assert len(data) <= 512
            if puppet.hear(data) == 0 and puppet.codec.type in (1, 3):
                rid = bytes(puppet.buf[14:18])
        if not i % 8:
            link.now = ticks_add(link.now, 37)
            node.tick(link.now)
            link.settle()
        for id32 in node.nodes():
            assert id32 in allowed, i
    stats = node.stats()
    assert stats["received"] - begun == count
    return stats, stats["sent"]


def raw(count, seed=1):
    """`count` datagrams of random bytes: none is answered, none leaves anything."""
    draw = Random(seed)
    link = Link()
    node = link.add(0)
    link.pass_ms(100)
    for i in range(count):
        data = bytearray(draw(42 + (draw(1)[0] << 1) % 470))
        if i & 1:
            data[0] = 0x11
        link.deliver(bytes(data), OTHER, node.site.ip, port=PORT)
        link.settle()
    assert not link.sent and node.table.entries == 0
    return node.stats()


if __name__ == "__main__":
    import sys

    print("FUZZED", run(int(sys.argv[1]), int(sys.argv[2]))[0]["received"])
