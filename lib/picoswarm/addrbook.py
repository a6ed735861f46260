"""The address book: nodes to dial, known from others or from own sessions (docs/protocol.md 6; rows B11-B21, T31, T35-T39).
Pure.

Two parts of one pool: *new* nodes, of whom others told, in 8 buckets, and *tried* ones, whose sessions were of use, in 4.
The bucket follows from the own secret and from the networks of the node and of who named it: one source reaches 2 buckets
of the new, one network 1 of the tried, and nobody can tell which. A node stands in the book once.

    add(flags, id, ip, udp, tcp, source id, source ip)  hearsay: True when it was taken. It moves nobody who is proven
    attempt(id, uptime)             a dial begins; `failed(id)` when it failed and was not refused
    connected(flags, id, ip, udp, tcp)  a session is proven: this is the address, whatever was heard; UDP 0: unknown
    good(id, uptime)                it was useful for a while: new -> tried
    bad(id)                         forget it
    pick(percent, uptime)           (id, ip, tcp) at random, with that chance of the new ones, rather one that did not fail
                                    and was not tried lately; or None
    share(id, ip)                   what a peer may be told: up to 8 records, bytes, drawn at random of those that had a
                                    session and did not fail since
    count, private                  nodes in the book; ids kept out of it and of answers, the own one first (row T38)

A shared record is one of NEIGHBORS: flags 1 (1 IPv6, 2 gateway, 4 leaf, 8 relay) | id 32 | IP 4 or 16 | UDP port 2 | TCP
port 2. bookfile.py saves the book. In the pool:

    0  1  state: failures in a row (0-15), 0x10 proven, 0x20 attempted since the start, 0x80 in use
    1  2  last attempt, in 64 s of uptime
    3  1  flags
    4  32 id
    36    IP 4, or 16 with IPv6
    ..  4 UDP port, TCP port
"""

from .address import group, is_open_port, may_name, scope
from .compat import const, sha256
from .identity import is_valid_id
from .wire import copy, put_u16, same, u16

_LOOPBACK = const(1)  # see address.scope

_NEW_BUCKETS = const(8)
_TRIED_BUCKETS = const(4)
_SHARED = const(8)

_FAILURES = const(0x0F)
_PROVEN = const(0x10)
_ATTEMPTED = const(0x20)
_USED = const(0x80)

_WHEN = const(1)
_FLAGS = const(3)
_ID = const(4)
_IP = const(36)

_BAD_NEW = const(3)  # failures of one that never had a session (row B17)
_BAD = const(10)
_RECENT = const(10)  # x 64 s since the last attempt
_CHANCES = b"\xff\xaa\x71\x4c\x32\x22\x16\x0f"  # by failures: each time a third less (row B15)


def is_bad(state):
    """Whether a node, by its state byte, fails too often to be kept."""
    return state & _FAILURES >= (_BAD if state & _PROVEN else _BAD_NEW)


class AddressBook:
    """See the module. `secret8` is saved with the book: who knows it can aim at buckets."""

    def __init__(self, profile, secret8, rng, private):
        self.secret = secret8
        self._rng = rng
        self.new = profile.book_new
        self._n = profile.book_new + profile.book_tried
        self._ip_n = 16 if profile.ipv6 else 4
        self.step = _IP + 4 + self._ip_n
        self.pool = bytearray(self.step * self._n)
        self.private = private
        self.count = 0

    def _digest(self, *parts):
        return sha256(self.secret + b"".join(parts)).digest()[0]

    @staticmethod
    def _network(id32, ip):
        """What is limited together: on loopback each node for itself."""
        return id32 if scope(ip) == _LOOPBACK else group(ip)

    def _new_bucket(self, id32, ip, source_id, source_ip):
        source = self._network(source_id, source_ip)
        turn = self._digest(self._network(id32, ip), source) & 1
        return self._digest(source, bytes((turn,))) % _NEW_BUCKETS

    def find(self, id32):
        for at in range(0, len(self.pool), self.step):
            if self.pool[at] and same(self.pool, at + _ID, id32, 0, 32):
                return at
        return -1

    def _random(self, n):
        random = self._rng(2)
        return (random[0] << 8 | random[1]) % n

    def place(self, bucket):
        """A record of a new bucket for a newcomer, or -1. Whoever had it is gone: one that fails, or any unproven one."""
        n = self.new // _NEW_BUCKETS
        best = -1
        most = 0
        turn = self._random(n)
        for i in range(n):
            at = (bucket * n + (i + turn) % n) * self.step
            state = self.pool[at]
            rank = 3 if not state else 2 if is_bad(state) else not state & _PROVEN
            if rank > most:
                best = at
                most = rank
        return best

    def tried_place(self, id32, ip, uptime):
        """The record of the tried bucket of this node that is free, or longest untried."""
        n = (self._n - self.new) // _TRIED_BUCKETS
        best = (self.new + n * (self._digest(self._network(id32, ip)) % _TRIED_BUCKETS)) * self.step
        for at in range(best, best + n * self.step, self.step):
            if self._age(at, uptime) > self._age(best, uptime):
                best = at
        return best

    def is_credible(self, id32, ip, tcp):
        return (
            is_valid_id(id32)
            and id32 not in self.private
            and (len(ip) == 4 or self._ip_n == 16)
            and scope(ip)
            and is_open_port(tcp)
        )

    def write(self, at, state, flags, id32, ip, udp, tcp):
        pool = self.pool
        self.count += not pool[at]
        pool[at] = state | _USED
        pool[at + _FLAGS] = flags & 0x0E | len(ip) >> 4
        copy(pool, at + _ID, id32, 0, 32)
        copy(pool, at + _IP, ip, 0, len(ip))
        put_u16(pool, at + self.step - 4, udp)
        put_u16(pool, at + self.step - 2, tcp)

    def _ip(self, at):
        return bytes(self.pool[at + _IP : at + _IP + (16 if self.pool[at + _FLAGS] & 1 else 4)])

    def add(self, flags, id32, ip, udp, tcp, source_id, source_ip):
        """See the module."""
        if not (self.is_credible(id32, ip, tcp) and may_name(scope(source_ip), scope(ip))):
            return False
        at = self.find(id32)
        state = 0
        if at >= 0:
            state = self.pool[at]
            if state & _PROVEN or not state & _FAILURES:
                return False
            self.bad(id32)
        at = self.place(self._new_bucket(id32, ip, source_id, source_ip))
        if at < 0:
            return False
        self.write(at, state, flags, id32, ip, udp, tcp)
        return True

    def attempt(self, id32, uptime):
        """See the module."""
        at = self.find(id32)
        if at >= 0:
            self.pool[at] |= _ATTEMPTED
            put_u16(self.pool, at + _WHEN, uptime >> 6 & 0xFFFF)

    def failed(self, id32):
        """See the module."""
        at = self.find(id32)
        if at >= 0 and self.pool[at] & _FAILURES < _FAILURES:
            self.pool[at] += 1

    def connected(self, flags, id32, ip, udp, tcp):
        """See the module. One that came by itself is its own source."""
        at = self.find(id32)
        if at >= 0 and self._ip(at) != ip:
            self.bad(id32)
            at = -1
        if at < 0:
            if not self.add(flags, id32, ip, udp, tcp, id32, ip):
                return
            at = self.find(id32)
        if is_open_port(tcp):
            state = (self.pool[at] | _PROVEN) & ~_FAILURES
            self.write(at, state, flags, id32, ip, udp or u16(self.pool, at + self.step - 4), tcp)

    def bad(self, id32):
        """See the module."""
        at = self.find(id32)
        if at >= 0:
            self.pool[at] = 0
            self.count -= 1

    def _age(self, at, uptime):
        """In 64 s, since the last attempt; most for a free record, then for one without attempt since the start."""
        state = self.pool[at]
        if state & _ATTEMPTED:
            return (uptime >> 6) - u16(self.pool, at + _WHEN) & 0xFFFF
        return 0x10000 if state else 0x10001

    def good(self, id32, uptime):
        """See the module. In a full bucket it changes places with the one longest untried."""
        at = self.find(id32)
        if 0 <= at < self.new * self.step:
            pool = self.pool
            best = self.tried_place(id32, self._ip(at), uptime)
            record = pool[best : best + self.step]
            copy(pool, best, pool, at, self.step)
            copy(pool, at, record, 0, self.step)

    def pick(self, percent, uptime):
        """See the module."""
        pool = self.pool
        new = []
        tried = []
        end = self.new * self.step
        for at in range(0, len(pool), self.step):
            if pool[at]:
                (new if at < end else tried).append(at)
        if not (new or tried):
            return None
        if not tried or (new and self._random(100) < percent):
            tried = new
        factor = 0x100
        while True:
            at = tried[self._random(len(tried))]
            chance = _CHANCES[min(7, pool[at] & _FAILURES)]
            if self._age(at, uptime) < _RECENT:
                chance = max(1, chance // 100)
            if self._random(0x10000) < chance * factor:
                return bytes(pool[at + _ID : at + _IP]), self._ip(at), u16(pool, at + self.step - 2)
            factor += factor // 5

    def record(self, at):
        """A record as it is shared and saved."""
        end = at + self.step
        return bytes(self.pool[at + _FLAGS : at + _IP]) + self._ip(at) + bytes(self.pool[end - 4 : end])

    def share(self, id32, ip):
        """See the module."""
        kind = scope(ip)
        chosen = []
        seen = 0
        for at in range(0, len(self.pool), self.step):
            if self.may_share(at, id32, kind):
                seen += 1
                if len(chosen) < _SHARED:
                    chosen.append(self.record(at))
                else:
                    i = self._random(seen)
                    if i < _SHARED:
                        chosen[i] = self.record(at)
        return b"".join(chosen)

    def may_share(self, at, id32, kind):
        """Whether the peer `id32`, at an address of that scope, may be told of a record."""
        pool = self.pool
        if pool[at] & (_PROVEN | _FAILURES) != _PROVEN or same(pool, at + _ID, id32, 0, 32):
            return False
        return may_name(kind, scope(self._ip(at))) and bytes(pool[at + _ID : at + _IP]) not in self.private
