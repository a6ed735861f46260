"""The node table: k-buckets, their replacements and the pair cache, over one pool of packed records (docs/protocol.md 3,
rows D2-D7, D22-D27). Pure.

Every record is an id that has proven its pair key. What it may be besides:

    cached -> entry         proven at an address while its bucket has room and no limit says no
           -> replacement   proven, and the bucket is full: one of them, taken at random, moves up when an entry goes
    entry  -> removed, when it does not answer: the record is free

Rules: a live entry is never given up for a new one; only live entries are handed out; what is learned from others or heard
from strangers never comes in here. A new record takes the place of the cached one longest unused, or of a replacement
where none is cached. The offset of a record in
the pool is its name as long as it is in use; -1 stands for none. No bucket is stored: records are few, and the two scans
that are frequent run in C or machine code.

    0  32 id             58 2 TCP port, 0 unknown           64 1 flags
    32 16 pair key       60 2 proven or heard of last,      65 1 budget (budget.spend)
    48 8  peer's token        in 4 s of uptime modulo 2**16 66 1 bucket
    56 2  UDP port       62 1 credit                        67   IP 4, or 16 with IPv6
                         63 1 kind (2 bits), misses (2), find failures (3)
"""

from .address import scope, unwrap
from .compat import const
from .wire import copy, find, nearest, put_u16, same, u16

# Flags of a record. The low ones are those of NEIGHBORS: 1 IPv6, 2 gateway, 4 leaf, 8 relay. Above them: 0x10 the token
# is held; 0x20 the node dropped our 8-byte id, for want of room for our key, and gets the whole id; 0x40 it speaks under
# the lower epoch.
_IPV6 = const(1)

_LOOPBACK = const(1)  # see address.scope
_GLOBAL = const(3)

_ENTRY = const(1)
_REPLACEMENT = const(2)
_CACHED = const(3)
_KIND = const(3)
_MISS = const(4)  # one miss in a row, in the state byte
_MISSES = const(0x0C)
_FAIL = const(0x10)  # one find failure in a row
_FAILS = const(0x70)
_FAILS_MAX = const(0x50)

_PAIR = const(32)
_UDP = const(56)
_USED = const(60)
_CREDIT = const(62)
_STATE = const(63)
_FLAGS = const(64)
_BUCKET = const(66)
_IP = const(67)

_FOUND = const(16)  # as many as anybody wants to know
_FIRST_CREDIT = const(27)  # what the first answer earns: four misses in a row undo it, as they undo 80
_CREDIT_MAX = const(80)


class Table:
    """See the module. `rng(n)` gives n random bytes; `pool`: memory that Profile.pool has given before."""

    def __init__(self, own_id, profile, rng, pool=None):
        self._own = own_id
        self._rng = rng
        # Copies: the profile goes when a node runs.
        self._k = profile.k
        self._buckets = profile.buckets
        self._records = profile.records
        self._replacements_per_bucket = profile.replacements_per_bucket
        self._subnet_per_bucket = profile.subnet_per_bucket
        self._subnet_per_table = profile.subnet_per_table
        self._ip_per_table = profile.ip_per_table
        self._proof = profile.proof_s >> 2
        self._ip_n = 16 if profile.ipv6 else 4
        self.step = _IP + self._ip_n
        self._n = profile.records + profile.spares
        self.pool = pool or profile.pool()
        from array import array  # here alone: no module keeps its name

        self.found = array("i", bytes(4 * _FOUND))  # for `closest`, whoever asks
        self._near = profile.near
        self.entries = 0

    # Finding

    def bucket_of(self, buf, at):
        """The bucket of the id buf[at:]: the bit length of its distance, all near ones together in bucket 0."""
        differ = (buf[at] ^ self._own[0]) << 8 | buf[at + 1] ^ self._own[1]
        bucket = self._buckets - 17
        while differ:
            differ >>= 1
            bucket += 1
        return max(0, bucket)

    def find(self, buf, at, n):
        """The record of the id buf[at:at+n], n = 8 or 32."""
        return find(self.pool, len(self.pool), self.step, buf, at, n)

    def closest(self, target, found, n, beyond=-1):
        """Put the records of the `n` live entries closest to the 8-byte prefix `target` in the array `found` ("i"), the
        closest first. With `beyond`, those whose distance has first 24 bits up to it are left out. Returns how many there
        are. Allocates nothing where machine code runs."""
        return nearest(self.pool, len(self.pool), self.step, target, beyond, found, n)

    # Coming and going

    def keep(self, buf, at, pair, pair_at, uptime):
        """The record of the id buf[at:at+32], which has just proven its pair key pair[pair_at:pair_at+16]; it is cached if
        it is new. None is its own."""
        pool = self.pool
        record = self.find(buf, at, 32)
        if record < 0:
            longest = -1
            for i in range(self._n):
                each = i * self.step
                if not pool[each + _STATE]:
                    record = each
                    break
                kind = pool[each + _STATE] & _KIND
                if kind != _ENTRY:
                    age = self.age(each, uptime) + (0x10000 if kind == _CACHED else 0)
                    if age > longest:
                        longest = age
                        record = each
            for i in range(_PAIR, self.step):
                pool[record + i] = 0
            copy(pool, record, buf, at, 32)
            copy(pool, record + _PAIR, pair, pair_at, 16)
            pool[record + _STATE] = _CACHED
            pool[record + _BUCKET] = self.bucket_of(buf, at)
        self.touch(record, uptime)
        return record

    def admit(self, record, d, uptime):
        """A record that is no entry has proven itself at the source of the datagram in hand `d`. It becomes an entry, a
        replacement where the bucket is full, or stays cached where a limit says so. True: it is an entry now, its credit
        still 0.

        The limits are one operator's share (row D6): few nodes of one /24 (/48) in a bucket and in the table; in a LAN,
        where all share one, few of one address; on loopback any number."""
        pool = self.pool
        ip = d.ip
        if len(ip) > self._ip_n:
            return False
        pool[record + _STATE] = _CACHED
        self.set_address(record, ip, d.port)
        self.touch(record, uptime)
        bucket = pool[record + _BUCKET]
        kind = scope(ip)
        start = self.step - len(ip)
        n = len(ip)
        if kind == _GLOBAL:
            n = 3 if n == 4 else 6
        entries = spares = in_bucket = in_table = 0
        stalest = -1
        for i in range(self._n):
            at = i * self.step
            state = pool[at + _STATE] & _KIND
            if not state or state == _CACHED:
                continue
            here = pool[at + _BUCKET] == bucket
            if same(pool, at + start, ip, 0, n):
                in_table += 1
                in_bucket += here
            if state == _ENTRY:
                entries += here
            elif here:
                spares += 1
                if stalest < 0 or self.age(at, uptime) > self.age(stalest, uptime):
                    stalest = at
        if kind == _GLOBAL:
            if in_table >= self._subnet_per_table or in_bucket >= self._subnet_per_bucket:
                return False
        elif kind != _LOOPBACK and in_table >= self._ip_per_table:
            return False
        room = self._k
        if room <= entries < 2 * room and self._is_near(record):
            room = 2 * room
        if entries < room and self.entries < self._records:
            self._enter(record)
            return True
        if spares >= self._replacements_per_bucket:
            if stalest < 0:
                return False
            pool[stalest + _STATE] = _CACHED  # the one heard of longest ago
        pool[record + _STATE] = _REPLACEMENT
        return False

    def _is_near(self, record):
        """Whether a record would be among the own nearest. In a small mesh these fill the far buckets unevenly, and a
        table that lacks one of them cannot tell others of it."""
        pool = self.pool
        n = self._near
        if self.closest(self._own, self.found, n) < n:
            return True
        last = self.found[n - 1]
        for i in range(8):
            x = pool[record + i] ^ self._own[i]
            y = pool[last + i] ^ self._own[i]
            if x != y:
                return x < y
        return False

    def remove(self, record):
        """Give up an entry, all but its pair key; a replacement of its bucket, taken at random, moves up. Returns that one,
        or -1. It has no credit: it is not handed out before it answered."""
        pool = self.pool
        pool[record + _STATE] = _CACHED  # who comes back, from behind another port of a router say, needs no key agreement
        self.entries -= 1
        spare = -1
        seen = 0
        for i in range(self._n):
            at = i * self.step
            if pool[at + _STATE] & _KIND == _REPLACEMENT and pool[at + _BUCKET] == pool[record + _BUCKET]:
                seen += 1
                if self._rng(1)[0] % seen == 0:
                    spare = at
        if spare >= 0:
            self._enter(spare)
        return spare

    def _enter(self, record):
        self.pool[record + _STATE] = _ENTRY
        self.pool[record + _CREDIT] = 0
        self.entries += 1

    # Liveness

    def touch(self, record, uptime):
        """Note that the record was of use: its endpoint or its key was proven."""
        put_u16(self.pool, record + _USED, uptime >> 2 & 0xFFFF)

    def credit(self, record, uptime, answers=1):
        """The node proved its endpoint anew, by `answers` (0 or 1) answers: credit +1 for one, at most 80; it is not
        missing."""
        pool = self.pool
        put_u16(pool, record + _USED, uptime >> 2 & 0xFFFF)
        record += _CREDIT
        credit = pool[record] + answers
        if credit == answers:
            credit = _FIRST_CREDIT
        if credit <= _CREDIT_MAX:
            pool[record] = credit
        record += 1
        if pool[record] & _MISSES:
            pool[record] &= 0xFF ^ _MISSES

    def miss(self, record):
        """A ping stayed unanswered: credit divided by 3. Returns how many in a row, or 0 when nothing is left of the
        credit: the caller removes the node."""
        pool = self.pool
        if pool[record + _STATE] & _MISSES != _MISSES:
            pool[record + _STATE] += _MISS
        pool[record + _CREDIT] = credit = pool[record + _CREDIT] // 3
        return (pool[record + _STATE] & _MISSES) >> 2 if credit else 0

    def find_failed(self, record):
        """A FIND_NODE stayed unanswered. True when that was the fifth in a row and the bucket is not small (row D27): the
        caller removes the node."""
        pool = self.pool
        if pool[record + _STATE] & _FAILS < _FAILS_MAX:
            pool[record + _STATE] += _FAIL
        if pool[record + _STATE] & _FAILS < _FAILS_MAX:
            return False
        entries = 0
        for i in range(self._n):
            at = i * self.step
            entries += pool[at + _STATE] & _KIND == _ENTRY and pool[at + _BUCKET] == pool[record + _BUCKET]
        return entries > max(1, self._k >> 2)

    def find_answered(self, record):
        """A FIND_NODE was answered: its failures in a row are forgotten."""
        self.pool[record + _STATE] &= 0xFF ^ _FAILS

    def is_entry(self, record):
        """Whether this is a table entry, live or not."""
        return self.pool[record + _STATE] & _KIND == _ENTRY

    def is_live(self, record):
        """Whether the entry answered when it was last asked."""
        return self.pool[record + _STATE] & 0x0F == _ENTRY and self.pool[record + _CREDIT] > 0

    def live(self):
        """How many entries are live."""
        count = 0
        for i in range(self._n):
            at = i * self.step
            count += self.is_live(at)
        return count

    def longest_unasked(self, uptime):
        """The entry to ask next: one that is missing or moved up unasked, otherwise the longest unasked."""
        best = longest = -1
        for i in range(self._n):
            at = i * self.step
            if self.is_entry(at):
                age = self.age(at, uptime) if self.is_live(at) else 0x10000
                if age > longest:
                    longest = age
                    best = at
        return best

    # Fields

    def age(self, record, uptime):
        """How long ago the node was proven, in units of 4 s; right up to 72 hours."""
        return ((uptime >> 2) - u16(self.pool, record + _USED)) & 0xFFFF

    def is_proven(self, record, d, uptime):
        """Whether an entry or replacement is proven at the source of the datagram in hand `d`, by a proof that counts."""
        return (
            self.pool[record + _STATE] & _KIND != _CACHED
            and self.is_at(record, d)
            and self.age(record, uptime) < self._proof
        )

    def is_at(self, record, d):
        """Whether the record's endpoint is the source (`ip`, `port`) of the datagram in hand `d`."""
        n = len(d.ip)
        return (
            u16(self.pool, record + _UDP) == d.port
            and n <= self._ip_n
            and self.pool[record + _FLAGS] & _IPV6 == n >> 4
            and same(self.pool, record + self.step - n, d.ip, 0, n)
        )

    def set_address(self, record, ip, port):
        """Write an unwrapped address; IPv4 stands in 16 bytes in its mapped form."""
        pool = self.pool
        at = record + self.step - len(ip)
        for i in range(record + _IP, at):
            pool[i] = 0 if i < at - 2 else 0xFF
        copy(pool, at, ip, 0, len(ip))
        put_u16(pool, record + _UDP, port)
        pool[record + _FLAGS] = pool[record + _FLAGS] & 0xFE | len(ip) >> 4

    def ip(self, record):
        """The unwrapped IP of a record (allocates it)."""
        return unwrap(bytes(self.pool[record + _IP : record + self.step]))
