"""Discovery engines on a virtual link: each datagram can be looked at, lost, repeated or forged. For discovery tests."""

from forms import encode_ping
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.crypto import X25519, run, u_from_id
from picoswarm.datagram import Codec
from picoswarm.discovery import Discovery
from picoswarm.identity import pair_key
from picoswarm.membership import Membership, NetworkKey
from picoswarm.profile import Profile
from support import unhex

# Node keys: (static private key, node id).
_KEYS = (
    (
        "c8a3c662833d15873ff6542fec7e9be91560458ede4489ce1bc7b52ac8e7f46c",
        "d0bb199c263f132f36652769b34172caf2b99c5473d4555b9f0f0228fc37db53",
    ),
    (
        "709d12ae04719826c0ea1430827438d2ff6e21e1369164872d47bc0103410250",
        "855969fdce98b54abcd8174314f17521cf269223088debdce9743ac60d053c1d",
    ),
    (
        "50197a144f6321ca984e244b4f49409f439c52bd1c6b6af15bc7f8283b6b716b",
        "09940e4e33f6594715dd8a16f2a4ccee4f12cc68b3f886249643d5409b567748",
    ),
    (
        "783fdab60e6f417ad507b379d97f9c182f521ec9ad6645eaed4596957b6f977e",
        "271ff032e2e6b5d46d9f4cbf8a1d26eb5435430fb9090e8c5462916cfef1b46d",
    ),
)

PORT = 4000


class Named:
    """Node `i`: what an engine needs of an Identity."""

    def __init__(self, i):
        private, id32 = _KEYS[i]
        self.static_private = unhex(private)
        self.id = unhex(id32)


class Random:
    """A generator of bytes that repeats itself with its seed; not for keys."""

    def __init__(self, seed):
        self._state = seed * 7919 + 1

    def __call__(self, n):
        out = bytearray(n)
        for i in range(n):
            self._state = (self._state * 1103 + 12345) & 0xFFFFFF
            out[i] = self._state >> 12 & 0xFF
        return bytes(out)


def keys(epoch=1, seed=0):
    """The network key of the test mesh."""
    return NetworkKey(bytes(range(seed, seed + 32)), epoch)


def small(**changes):
    """A profile that leaves room for two engines in 64 KB."""
    numbers = dict(records=32, k=4, spares=8, lookup_candidates=12, pending=4, start_ms=1)
    numbers["beacon"] = 0
    numbers.update(changes)
    return Profile(**numbers)


class Link:
    """A network without delay: `settle` moves datagrams until nobody has any, `pass_ms` moves time."""

    def __init__(self, now=0x3FFFFF00):
        self.now = now  # just before the ticks wrap
        self.nodes = []
        self.sent = []  # (from ip, to ip, datagram), all of them
        self.is_lost = lambda source, to, data: False
        self._out = bytearray(512)

    def add(self, i, profile=None, membership=None, ip=None):
        """Engine of node `i` at 10.0.0.<i + 1>."""
        ip = ip or bytes((10, 0, 0, i + 1))
        node = Discovery(
            profile or small(), Named(i), membership or Membership(keys()), Random(i + 1), self.now, ip, PORT, 5000 + i
        )
        self.nodes.append(node)
        return node

    def settle(self):
        """Let everybody work, send and receive until nothing is left."""
        moving = True
        while moving:
            moving = False
            for node in self.nodes:
                while True:
                    n = node.to_send(self._out)
                    if not n:
                        if node.work():
                            continue
                        n = node.to_send(self._out)
                    if not n:
                        break
                    moving = True
                    data = bytes(self._out[:n])
                    self.sent.append((node.site.ip, node.to_ip, data))
                    if not self.is_lost(node.site.ip, node.to_ip, data):
                        self.deliver(data, node.site.ip, node.to_ip, node.to_port)

    def deliver(self, data, source, to, to_port=PORT, port=PORT):
        """Hand a datagram to whoever has the address `to`."""
        for node in self.nodes:
            if node.site.ip == to and node.port == to_port:
                node.receive(bytearray(data), len(data), source, port, self.now)

    def pass_ms(self, ms):
        """Move time on to every deadline on the way."""
        end = ticks_add(self.now, ms)
        self.settle()
        while True:
            due = end
            for node in self.nodes:
                t = node.next_time()
                if ticks_diff(t, due) < 0:
                    due = t
            if ticks_diff(due, self.now) > 0:
                self.now = due
            elif due != end:
                self.now = ticks_add(self.now, 1)
            for node in self.nodes:
                node.tick(self.now)
            self.settle()
            if ticks_diff(end, self.now) <= 0:
                return


class Puppet:
    """A member with the key of node `i` that says what a test wants, from any address."""

    def __init__(self, link, i, ip=None, membership=None):
        self.link = link
        self.identity = Named(i)
        self.id = self.identity.id
        self.ip = ip or bytes((10, 0, 0, i + 1))
        self.membership = membership or Membership(keys())
        self.key = self.membership.highest
        self.codec = Codec(self.membership, self.id, 8)
        self.out = bytearray(512)
        self.buf = bytearray(512)
        self.pings = 0

    def pair(self, node):
        """The pair key with an engine."""
        shared = run(X25519(self.identity.static_private, u_from_id(node.own_id)))
        return bytearray(pair_key(shared, self.id, node.own_id))

    def say(self, n, node, ip=None, port=PORT):
        """Deliver self.out[:n] to an engine; returns the datagrams that it sends in answer."""
        before = len(self.link.sent)
        self.link.deliver(self.out[:n], ip or self.ip, node.site.ip, node.port, port)
        self.link.settle()
        return [d for s, to, d in self.link.sent[before:] if s == node.site.ip]

    def hear(self, data):
        """Open a datagram for this puppet; the codec describes it, `buf` holds it. Returns the codec's verdict."""
        self.buf[: len(data)] = data
        self.codec.seen = bytearray(36)  # a puppet may hear a thing twice
        return self.codec.open(self.buf, len(data))

    def befriend(self, node, pair):
        """Ping an engine; returns its token for us."""
        self.pings += 1
        rid = b"pin" + bytes((self.pings,))
        n = encode_ping(self.codec, self.out, rid, self.key, pair, True, 0, 0, None, 50)
        answers = self.say(n, node)
        assert len(answers) == 1 and self.hear(answers[0]) == 0
        at = self.codec.body + len(self.ip) + 2
        return bytes(self.buf[at : at + 8])
