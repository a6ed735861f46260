"""All that the measurements know of the discovery engine's inside: an engine with a full table, peers that talk to it, and
the kernel calls of one served PING. When the engine changes, this file follows. Runs on 32-bit MicroPython, emulated or not.
"""

import gc

from picoswarm.crypto import ChaCha20, Hmac
from picoswarm.datagram import Codec, encode_find_node, encode_ping
from picoswarm.discovery import Discovery
from picoswarm.membership import Membership, NetworkKey
from picoswarm.profile import Profile

OWN_IP = b"\x0a\x00\x00\x01"
PORT = 20742
LONGEST = 512
RECORDS = Profile.records
BUCKETS = 16
FOUND = 8
PONG = 2
NEIGHBORS = 4

_KEY = NetworkKey(bytes(range(32)), 0)


class Random:
    """Bytes that look random; the same each time."""

    def __init__(self, seed):
        self.state = seed * 7919 + 1

    def __call__(self, n):
        out = bytearray(n)
        for i in range(n):
            self.state = (self.state * 1103 + 12345) & 0xFFFFFF
            out[i] = self.state >> 12 & 0xFF
        return bytes(out)


class Key:
    """What an engine needs of an Identity."""

    def __init__(self, static_private, id32):
        self.static_private = static_private
        self.id = id32


def make_engine(static_private, id32, **numbers):
    """An engine of the default profile that asks nobody anything by itself."""
    profile = Profile(beacon=0, revalidate_s=9999, **numbers)
    return Discovery(profile, Key(static_private, id32), Membership(_KEY), Random(1), 0, OWN_IP, PORT)


def fill(engine, coming):
    """Fill each k-bucket with live entries of made-up ids, but for the places of the ids that are `coming`, and one place in
    the farthest bucket: who looks for a target there has to look through all the others."""
    table = engine.table
    room = [Profile.k] * BUCKETS
    room[-1] -= 1
    for id32 in coming:
        room[table.bucket_of(id32, 0)] -= 1
    rng = Random(2)
    for bucket in range(BUCKETS):
        for i in range(room[bucket]):
            id32 = bytearray(rng(32))
            differ = 1 << bucket | (id32[30] << 8 | id32[31]) & (1 << bucket) - 1
            id32[0] = engine.own_id[0] ^ differ >> 8
            id32[1] = engine.own_id[1] ^ differ & 0xFF
            record = table.keep(id32, 0, bytes(16), 0, 0)
            engine.codec.ip = bytes((10, 0, 1 + bucket, 1 + i))  # where it is said to come from
            engine.codec.port = 4000
            table.admit(record, engine.codec, 0)
            table.credit(record, 0)


def closest(engine, target, found):
    """The FOUND closest live entries."""
    return engine.table.closest(target, found, FOUND)


class Peer:
    """A member that knows its pair key with the engine, and an exchange with it (see datagram.py). `buf[:n]` is what it
    says."""

    def __init__(self, engine, id32, pair, last):
        self.engine = engine
        self.id = id32
        self.pair = pair
        self.peer = bytearray(32) + bytearray(pair) + bytearray(12)
        self.key = _KEY
        self.has_pair = self.is_full = True
        self.port = PORT
        self.ip = bytes((10, 0, 0, last))
        self.codec = Codec(Membership(_KEY), id32, 8)
        self.buf = bytearray(LONGEST)
        self.rng = Random(last)

    def ping(self):
        """Write a PING: the first one with the whole id and without a token. Returns its size."""
        self.peer[56:60] = self.rng(4)
        return encode_ping(self.codec, self.buf, self, not self.is_full)

    def find_node(self):
        """Write a FIND_NODE for a random target. Returns its size."""
        self.peer[56:60] = self.rng(4)
        return encode_find_node(self.codec, self.buf, self, self.rng(8), 0, 50)

    def meet(self, out):
        """Two PINGs: the second one carries the token, and proves the peer."""
        for _ in range(2):
            serve(self.engine, self.buf, self.ping(), self.ip, out)
            if self.hears(out) != PONG:  # -O3 drops an assert
                raise RuntimeError("no PONG")
            at = self.codec.token
            self.peer[48:56] = out[at : at + 8]
            self.is_full = False
            later(self.engine)

    def hears(self, out):
        """The type of the answer that stands in `out`, decrypting it in place; 0: it is not for this peer."""
        n = self.engine.answer_n
        if not n or self.codec.open(out, n) or not self.codec.is_paired(self.pair):
            return 0
        return self.codec.type


def later(engine):
    """Let a second pass: a peer is answered twice in each."""
    engine.tick(engine.now + 1000)
    while engine.has_steps:  # what time brings is no part of what a datagram takes
        engine.work()


def serve(engine, buf, n, ip, out):
    """All that an engine does for one datagram, up to its answer in `out`, whose size is then in `answer_n`."""
    engine.receive(buf, n, ip, PORT, engine.now)
    while engine.work() and not engine.responder.kind:
        pass
    engine.answer_n = engine.to_send(out)


def counted(engine, buf, n, ip, out):
    """Instructions that an engine takes for one datagram from a peer whose key it has: `receive`, `work` and `to_send`,
    without what looks them up and counts."""
    from instructions import start, stop

    receive, work, to_send = engine.receive, engine.work, engine.to_send
    now = engine.now
    gc.collect()
    start()
    receive(buf, n, ip, PORT, now)
    work()
    engine.answer_n = to_send(out)
    return stop()


class PingKernels:
    """The kernel calls of a served PING, on the same buffers: decrypt, envelope tag, pair key, pair tag, token; then for the
    PONG pair tag, envelope tag, encrypt."""

    def __init__(self, peer, n):
        self.buf = peer.buf
        self.n = n
        self.pair = bytearray(peer.pair)
        self.mac = Hmac(self.pair, 8, _KEY.label)
        self.secret = Hmac(bytes(32), 8)
        self.place = bytearray(46)

    def __call__(self):
        """Their instructions."""
        from instructions import start, stop

        buf = self.buf
        n = self.n
        gc.collect()
        start()
        _KEY.stream.xor(buf, 1, 0, buf, 13, n)
        _KEY.mac.check(buf, 13, n, 1)
        self.mac.rekey(self.pair, 0, 16)
        self.mac.check(buf, 13, n - 8, n - 8)
        self.secret.check(self.place, 0, 38, 38)
        self.mac.sign(buf, 13, n - 8, n - 8)
        _KEY.mac.sign(buf, 13, n, 1)
        _KEY.stream.xor(buf, 1, 0, buf, 13, n)
        return stop()


CALLS = {"rekey": 1, "check": 3, "sign": 2, "xor": 2}  # what PingKernels does


def count_calls(function, *args):
    """How often a call reaches the kernels, by what it calls."""
    calls = {"rekey": 0, "check": 0, "sign": 0, "xor": 0}
    rekey, check, sign, xor = Hmac.rekey, Hmac.check, Hmac.sign, ChaCha20.xor

    def counted(name, method):
        def call(self, *args):
            calls[name] += 1
            return method(self, *args)

        return call

    Hmac.rekey = counted("rekey", rekey)
    Hmac.check = counted("check", check)
    Hmac.sign = counted("sign", sign)
    ChaCha20.xor = counted("xor", xor)
    function(*args)
    Hmac.rekey = rekey
    Hmac.check = check
    Hmac.sign = sign
    ChaCha20.xor = xor
    return calls
