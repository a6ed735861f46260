"""The node table: k-buckets over one pool of packed records (docs/protocol.md 3, rows D2-D7, D22-D27). Pure.

Rules: every record is a node whose endpoint was proven; a live node is never given up for a new one; only live nodes are
handed out. What is learned from others or heard from strangers never comes in here.

A record's place in the pool never changes while it is in use, and its offset is its name. Buckets are chains through the
pool, nearest distances in bucket 0, so that finding an id walks one short chain. A bucket holds k entries and beside them
a few replacements: proven nodes that found it full, one of which, taken at random, moves up when an entry goes.

    0  32 id             56 2 UDP port                      62 1 credit
    32 16 pair key       58 2 TCP port, 0 unknown           63 1 kind (2 bits), misses (2), find failures (3)
    48 8  peer's token   60 2 proven or heard of last,      64 1 flags
                             in 4 s of uptime modulo 2**16  65 1 budget (budget.spend)
                                                            66 2 next record of the bucket, from 1
                                                            68   IP 4, or 16 with IPv6
"""

from .address import scope, unwrap
from .compat import const
from .wire import copy, same

# Flags of a record. The low ones are those of NEIGHBORS: 1 IPv6, 2 gateway, 4 leaf, 8 relay. Above them: 0x10 the token
# is held; 0x20 the node dropped our 8-byte id, for want of room for our key, and gets the whole id; 0x40 it speaks under
# the lower epoch.
_IPV6 = const(1)

_LOOPBACK = const(1)  # see address.scope
_GLOBAL = const(3)

_ENTRY = const(1)
_REPLACEMENT = const(2)
_KIND = const(3)
_MISS = const(4)  # one miss in a row, in the state byte
_MISSES = const(0x0C)
_FAIL = const(0x10)  # one find failure in a row
_FAILS = const(0x70)
_FAILS_MAX = const(5)

_PAIR = const(32)
_TOKEN = const(48)
_UDP = const(56)
_TCP = const(58)
_PROVEN = const(60)
_CREDIT = const(62)
_STATE = const(63)
_FLAGS = const(64)
_NEXT = const(66)
_IP = const(68)

_FIRST_CREDIT = const(27)  # what the first answer earns: four misses in a row undo it, as they undo 80
_CREDIT_MAX = const(80)
_PREFIX = const(8)  # bytes of an id that distances are taken over


class Table:
    """See the module. `rng(n)` gives n random bytes. Offsets are into `pool`; -1 stands for none."""

    def __init__(self, own_id, profile, rng):
        self._own = own_id
        self._rng = rng
        self._k = profile.k
        self._buckets = profile.buckets
        self._entries_max = profile.records
        self._spare_per_bucket = profile.replacements_per_bucket
        self._subnet_per_bucket = profile.subnet_per_bucket
        self._subnet_per_table = profile.subnet_per_table
        self._ip_per_table = profile.ip_per_table
        self._proof = profile.proof_s >> 2
        self._ip_n = 16 if profile.ipv6 else 4
        self.step = step = _IP + self._ip_n
        self._n = profile.records + profile.replacements
        self.pool = bytearray(step * self._n)
        self._heads = [0] * profile.buckets
        self._keys = [0] * 16  # of the nodes found by `closest`
        self._near = [0] * profile.near
        self.entries = 0

    # Finding

    def bucket_of(self, buf, at):
        """The bucket of the id buf[at:]: the bit length of its distance, all near ones together in bucket 0."""
        own = self._own
        differ = (buf[at] ^ own[0]) << 8 | buf[at + 1] ^ own[1]
        bucket = self._buckets - 17
        while differ:
            differ >>= 1
            bucket += 1
        return bucket if bucket > 0 else 0

    def find(self, buf, at, n):
        """The record of the id buf[at:at+n], n = 8 or 32."""
        pool = self.pool
        step = self.step
        i = self._heads[self.bucket_of(buf, at)]
        while i:
            record = (i - 1) * step
            if pool[record + 2] == buf[at + 2] and same(pool, record, buf, at, n):
                return record
            i = pool[record + _NEXT] << 8 | pool[record + _NEXT + 1]
        return -1

    def closest(self, target, found, n, beyond=0):
        """Put the records of the `n` live entries closest to the 8-byte prefix `target` in the list `found`, the closest
        first; n <= len(found) and 16. With `beyond`, those whose distance has first 24 bits up to it are left out.
        Returns how many there are. Allocates nothing.

        A bucket's nodes are all nearer to the target than those of the next one in this order: the target's own bucket,
        then all nearer ones together, then the farther ones one by one. So most of the table is never looked at."""
        home = self.bucket_of(target, 0)
        count = self._closest_of(home, target, found, n, 0, beyond)
        if count < n:
            for bucket in range(home):
                count = self._closest_of(bucket, target, found, n, count, beyond)
            bucket = home + 1
            while count < n and bucket < self._buckets:
                count = self._closest_of(bucket, target, found, n, count, beyond)
                bucket += 1
        return count

    def _closest_of(self, bucket, target, found, n, count, beyond):
        pool = self.pool
        step = self.step
        keys = self._keys
        t0 = target[0]
        t1 = target[1]
        t2 = target[2]
        i = self._heads[bucket]
        while i:
            at = (i - 1) * step
            i = pool[at + _NEXT] << 8 | pool[at + _NEXT + 1]
            if pool[at + _STATE] & 0x0F != _ENTRY or not pool[at + _CREDIT]:
                continue  # a replacement, missing, or never asked yet
            key = (pool[at] ^ t0) << 16 | (pool[at + 1] ^ t1) << 8 | pool[at + 2] ^ t2
            if beyond and key <= beyond:
                continue
            j = count
            while j and (
                keys[j - 1] > key or (keys[j - 1] == key and self._is_closer(at, found[j - 1], target))
            ):
                j -= 1
            if j == n:
                continue
            if count < n:
                count += 1
            k = count - 1
            while k > j:
                found[k] = found[k - 1]
                keys[k] = keys[k - 1]
                k -= 1
            found[j] = at
            keys[j] = key
        return count

    def _is_closer(self, a, b, target):
        """Whether record `a` is closer to `target` than `b` beyond the bytes that `closest` compares first."""
        pool = self.pool
        for i in range(3, _PREFIX):
            x = pool[a + i] ^ target[i]
            y = pool[b + i] ^ target[i]
            if x != y:
                return x < y
        return False

    # Coming and going

    def admit(self, buf, at, ip, port, uptime):
        """Make a record of the id buf[at:at+32], which is in none yet, proven at an unwrapped address. It becomes an entry,
        a replacement where the bucket is full, or nothing (-1) where a limit says so. Credit is still 0."""
        pool = self.pool
        if same(buf, at, self._own, 0, 32) or len(ip) > self._ip_n:
            return -1
        bucket = self.bucket_of(buf, at)
        if not self._is_within_limits(bucket, ip):
            return -1
        entries = spares = 0
        stalest = -1
        i = self._heads[bucket]
        while i:
            record = (i - 1) * self.step
            if pool[record + _STATE] & _KIND == _ENTRY:
                entries += 1
            else:
                spares += 1
                if stalest < 0 or self.age(record, uptime) > self.age(stalest, uptime):
                    stalest = record
            i = pool[record + _NEXT] << 8 | pool[record + _NEXT + 1]
        room = self._k
        if room <= entries < 2 * room and self._is_near(buf, at):
            room = 2 * room
        if entries < room and self.entries < self._entries_max:
            kind = _ENTRY
        else:
            kind = _REPLACEMENT
            if spares >= self._spare_per_bucket and spares:
                self._free(stalest, bucket)  # no live node: the one heard of longest ago
        record = self._unused()
        if record < 0 or (kind == _REPLACEMENT and not self._spare_per_bucket):
            return -1
        copy(pool, record, buf, at, 32)
        for i in range(_PAIR, self.step):
            pool[record + i] = 0
        pool[record + _STATE] = kind
        self.set_address(record, ip, port)
        head = self._heads[bucket]
        pool[record + _NEXT] = head >> 8
        pool[record + _NEXT + 1] = head & 0xFF
        self._heads[bucket] = record // self.step + 1
        if kind == _ENTRY:
            self.entries += 1
        self._stamp(record, uptime)
        return record

    def _is_near(self, buf, at):
        """Whether the id buf[at:] would be among the own nearest. In a small mesh these fill the far buckets unevenly, and
        a table that lacks one of them cannot tell others of it."""
        own = self._own
        n = len(self._near)
        key = (buf[at] ^ own[0]) << 16 | (buf[at + 1] ^ own[1]) << 8 | buf[at + 2] ^ own[2]
        return self.closest(own, self._near, n) < n or key < self._keys[n - 1]

    def _is_within_limits(self, bucket, ip):
        """One operator's share (row D6): few nodes of one /24 (/48) in a bucket and in the table; in a LAN, where all
        share one, few of one address; on loopback any number."""
        kind = scope(ip)
        if kind == _LOOPBACK:
            return True
        n = len(ip)
        start = self.step - n
        if kind == _GLOBAL:
            n = 3 if n == 4 else 6
        pool = self.pool
        in_table = in_bucket = 0
        for i in range(self._n):
            at = i * self.step
            if pool[at + _STATE] and same(pool, at + start, ip, 0, n):
                in_table += 1
                if self.bucket_of(pool, at) == bucket:
                    in_bucket += 1
        if kind == _GLOBAL:
            return in_table < self._subnet_per_table and in_bucket < self._subnet_per_bucket
        return in_table < self._ip_per_table

    def _unused(self):
        pool = self.pool
        for i in range(self._n):
            at = i * self.step
            if not pool[at + _STATE]:
                return at
        return -1

    def _free(self, record, bucket):
        """Take a record out of its bucket's chain."""
        pool = self.pool
        gone = record // self.step + 1
        after = pool[record + _NEXT] << 8 | pool[record + _NEXT + 1]
        i = self._heads[bucket]
        if i == gone:
            self._heads[bucket] = after
        while i != gone:
            at = (i - 1) * self.step + _NEXT
            i = pool[at] << 8 | pool[at + 1]
            if i == gone:
                pool[at] = after >> 8
                pool[at + 1] = after & 0xFF
        if pool[record + _STATE] & _KIND == _ENTRY:
            self.entries -= 1
        pool[record + _STATE] = 0

    def remove(self, record):
        """Give up a record; a replacement of its bucket, taken at random, moves up. Returns that one, or -1. It has no
        credit: it is not handed out before it answered."""
        pool = self.pool
        bucket = self.bucket_of(pool, record)
        was_entry = pool[record + _STATE] & _KIND == _ENTRY
        self._free(record, bucket)
        if not was_entry:
            return -1
        spare = -1
        seen = 0
        i = self._heads[bucket]
        while i:
            at = (i - 1) * self.step
            if pool[at + _STATE] & _KIND == _REPLACEMENT:
                seen += 1
                if self._rng(1)[0] % seen == 0:
                    spare = at
            i = pool[at + _NEXT] << 8 | pool[at + _NEXT + 1]
        if spare >= 0:
            pool[spare + _STATE] = _ENTRY
            pool[spare + _CREDIT] = 0
            self.entries += 1
        return spare

    # Liveness

    def credit(self, record, uptime, answers=1):
        """The node proved its endpoint anew, by `answers` (0 or 1) answers: credit +1 for one, at most 80; it is not
        missing."""
        pool = self.pool
        credit = pool[record + _CREDIT]
        pool[record + _CREDIT] = min(credit + answers, _CREDIT_MAX) if credit else _FIRST_CREDIT
        pool[record + _STATE] &= 0xFF ^ _MISSES
        self._stamp(record, uptime)

    def miss(self, record):
        """A ping stayed unanswered: credit divided by 3. Returns how many in a row, or 0 when nothing is left of the
        credit: the caller removes the node."""
        pool = self.pool
        state = pool[record + _STATE]
        if state & _MISSES != _MISSES:
            state += _MISS
            pool[record + _STATE] = state
        pool[record + _CREDIT] = credit = pool[record + _CREDIT] // 3
        return (state & _MISSES) >> 2 if credit else 0

    def find_failed(self, record):
        """A FIND_NODE stayed unanswered. True when that was the fifth in a row and the bucket is not small (row D27): the
        caller removes the node."""
        pool = self.pool
        state = pool[record + _STATE]
        if state & _FAILS < _FAIL * _FAILS_MAX:
            state += _FAIL
            pool[record + _STATE] = state
        if state & _FAILS < _FAIL * _FAILS_MAX:
            return False
        entries = 0
        i = self._heads[self.bucket_of(pool, record)]
        while i:
            at = (i - 1) * self.step
            if pool[at + _STATE] & _KIND == _ENTRY:
                entries += 1
            i = pool[at + _NEXT] << 8 | pool[at + _NEXT + 1]
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

    def is_proven(self, record, uptime):
        """Whether the last proof of the endpoint still counts."""
        return self.age(record, uptime) < self._proof

    def longest_unasked(self, uptime):
        """The entry to ask next: one that is missing or moved up unasked, otherwise the longest unasked."""
        pool = self.pool
        best = -1
        longest = -1
        for i in range(self._n):
            at = i * self.step
            if pool[at + _STATE] & _KIND == _ENTRY:
                age = self.age(at, uptime) if self.is_live(at) else 0x10000
                if age > longest:
                    longest = age
                    best = at
        return best

    # Fields

    def _stamp(self, record, uptime):
        stamp = uptime >> 2
        self.pool[record + _PROVEN] = stamp >> 8 & 0xFF
        self.pool[record + _PROVEN + 1] = stamp & 0xFF

    def age(self, record, uptime):
        """How long ago the node was proven, in units of 4 s; right up to 72 hours."""
        pool = self.pool
        return ((uptime >> 2) - (pool[record + _PROVEN] << 8 | pool[record + _PROVEN + 1])) & 0xFFFF

    def set_address(self, record, ip, port):
        """Write an unwrapped address; IPv4 stands in 16 bytes in its mapped form."""
        pool = self.pool
        at = record + _IP
        if len(ip) < self._ip_n:
            for i in range(10):
                pool[at + i] = 0
            pool[at + 10] = pool[at + 11] = 0xFF
            at += 12
        copy(pool, at, ip, 0, len(ip))
        pool[record + _UDP] = port >> 8
        pool[record + _UDP + 1] = port & 0xFF
        if len(ip) == 16:
            pool[record + _FLAGS] |= _IPV6
        else:
            pool[record + _FLAGS] &= 0xFF ^ _IPV6

    def ip(self, record):
        """The unwrapped IP of a record (allocates it)."""
        return unwrap(bytes(self.pool[record + _IP : record + self.step]))

    def is_at(self, record, ip, port):
        """Whether the record's endpoint is this unwrapped address."""
        pool = self.pool
        n = len(ip)
        if pool[record + _UDP] != port >> 8 or pool[record + _UDP + 1] != port & 0xFF or n > self._ip_n:
            return False
        if pool[record + _FLAGS] & _IPV6 != (n == 16):
            return False
        return same(pool, record + self.step - n, ip, 0, n)

    def live(self):
        """How many entries are live."""
        count = 0
        for i in range(self._n):
            at = i * self.step
            if self.is_live(at):
                count += 1
        return count
