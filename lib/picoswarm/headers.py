"""Bitcoin's chain of headers as a board keeps it: the newest blocks in a ring, every header checked
(docs/bitcoin.md). Pure.

    chain = Headers("main", height, header)   from a block that the user trusts, 80 bytes
    chain.points()                            what to ask a gateway with: blocks of ours, newest first
    chain.take(answer)                        headers that follow one of them; None, or what is wrong with them
    chain.events                              what that did: ("block", ...), ("reorganised", ...), see bitcoin.py
    chain.proves(txid, height, index, branch) whether a Merkle branch leads to the root of that block

A gateway cannot lie with less work than the network: links, difficulty, proof of work and times are checked here. A
branch takes the place of our blocks once it has more work. It is kept beside them until then, and is never longer
than the ring.

An entry has 72 bytes: hash 32 | Merkle root 32 | time 4 | bits 4, as the header has them.
"""

from .compat import const, sha256
from .errors import LocalError

_ENTRY = const(72)
_ROOT = const(32)
_TIME = const(64)
_BITS = const(68)
_SHORT = const(48)  # a header without the hash of the one before
_HEADER = const(80)

_SPAN = const(2016)  # blocks of one difficulty
_SPAN_S = const(1209600)
_REDUCE_S = const(1200)
_WARP_S = const(600)
_MEDIAN = const(11)
_DEEPEST = const(16)  # levels of a Merkle tree

_RETARGETS = const(1)
_REDUCES = const(2)  # after 20 minutes without a block the easiest target counts
_BIP94 = const(4)

# The easiest target, as bits, and rules. A regtest chain always has the easiest.
NETWORKS = {"main": (0x1D00FFFF, 1), "testnet4": (0x1D00FFFF, 7), "signet": (0x1E0377AE, 1), "regtest": (0x207FFFFF, 0)}


def target(bits):
    """What a hash must not exceed, of its 4 bytes in a header."""
    size = bits >> 24
    value = bits & 0x7FFFFF
    if bits & 0x800000 or size > 34:
        return 0
    return value << 8 * (size - 3) if size > 3 else value >> 8 * (3 - size)


def compact(value):
    """The bits of a target."""
    size = 0
    rest = value
    while rest:
        rest >>= 8
        size += 1
    value = value << 8 * (3 - size) if size <= 3 else value >> 8 * (size - 3)
    if value & 0x800000:
        value >>= 8
        size += 1
    return size << 24 | value


def _twice(data):
    return sha256(sha256(data).digest()).digest()


def _u32(data, at):
    return int.from_bytes(data[at : at + 4], "little")


class Headers:
    """See the module. `height`: of the best block. `ring`: blocks that are kept; a reorganisation of more than
    `ring` - 11 is beyond it."""

    def __init__(self, network, height, header, ring=64):
        """Raises LocalError for an unknown network, a header that is none, or one that does not begin a period of
        difficulty (its height is no multiple of 2,016) where the network has them."""
        if network not in NETWORKS or len(header) != _HEADER or ring < 2 * _MEDIAN:
            raise LocalError("network, header or ring")
        self._limit, self._rules = NETWORKS[network]
        if self._rules & _RETARGETS and height % _SPAN:
            raise LocalError("trust a block whose height is a multiple of 2016")
        self._n = ring
        self._pool = bytearray(ring * _ENTRY)
        self.height = self.start = self._base = height  # `_base`: the lowest that the ring has
        self._fork = bytearray()  # entries that follow the block `_fork_base` and are no part of our chain yet
        self._fork_base = height
        self._fork_work = 0
        self.events = []
        at = height % ring * _ENTRY
        self._pool[at : at + _ENTRY] = _twice(header) + header[36:76]
        # (height, time, bits) of the first block of the period of the tip, and of the period before.
        self._first = (height, _u32(header, 68), _u32(header, 72))
        self._before = None

    @property
    def reached(self):
        """The height up to which the last headers were looked at: of the tip, or of a branch."""
        return self._fork_base + len(self._fork) // _ENTRY

    def _entry(self, height):
        """The entry of a block, of the branch where it has one."""
        i = height - self._fork_base - 1
        if i >= 0 and self._fork:
            return self._fork[i * _ENTRY : (i + 1) * _ENTRY]
        at = height % self._n * _ENTRY
        return self._pool[at : at + _ENTRY]

    def _own(self, height):
        at = height % self._n * _ENTRY
        return self._pool[at : at + _ENTRY]

    def hash(self, height):
        """The hash of a block of ours, or None where it is not kept."""
        return bytes(self._own(height)[:_ROOT]) if self._base <= height <= self.height else None

    def _lowest(self):
        """The lowest block that may be followed by another one: the median of times needs those below it."""
        return self.start if self._base == self.start else self._base + _MEDIAN - 1

    def points(self):
        """Height 4 | first 8 bytes of the hash, for blocks of ours, ever further apart; the end of a branch first."""
        out = b""
        height = self.reached
        if height != self.height or self._fork:
            out = height.to_bytes(4, "big") + self._entry(height)[:8]
        height = self.height
        lowest = self._lowest()
        step = 1
        while True:
            out += height.to_bytes(4, "big") + self._own(height)[:8]
            if height == lowest:
                return out
            height = max(lowest, height - step)
            step *= 2

    def take(self, answer):
        """Headers of a gateway: height of the block that they follow 4 | height of its tip 4 | headers, 48 bytes
        each. Returns None, or a text: what is wrong with them."""
        at = int.from_bytes(answer[:4], "big")
        if len(answer) < 8 or (len(answer) - 8) % _SHORT:
            return "malformed"
        if not self._fork or at != self.reached:
            self._drop(at)
            if not self._lowest() <= at <= self.height:
                return "not asked for"
        before = self._entry(at)
        for i in range(8, len(answer), _SHORT):
            header = answer[i : i + 4] + before[:_ROOT] + answer[i + 4 : i + _SHORT]
            digest = _twice(header)
            if not self._fork and at < self.height and digest == self._own(at + 1)[:_ROOT]:
                at += 1  # ours already
                self._fork_base = at
                before = self._own(at)
                continue
            wrong = self._check(at, before, header, digest)
            if wrong is None and len(self._fork) >= self._n * _ENTRY:
                wrong = "too little work"
            if wrong:
                self._drop(self.height)
                return wrong
            before = digest + header[36:76]
            at += 1
            self._fork += before
            self._fork_work += self._work(before)
            if self._fork_work > self._own_work():
                self._commit()
        if at >= int.from_bytes(answer[4:8], "big") or len(answer) == 8:  # that was all of it
            is_light = len(self._fork) > 0
            self._drop(self.height)
            return "too little work" if is_light else None
        return None

    def _drop(self, base):
        self._fork = bytearray()
        self._fork_base = base
        self._fork_work = 0

    def _work(self, entry):
        return (1 << 256) // (target(_u32(entry, _BITS)) + 1)

    def _own_work(self):
        """Of our blocks that the branch would replace."""
        total = 0
        for height in range(self._fork_base + 1, self.height + 1):
            total += self._work(self._own(height))
        return total

    def _check(self, at, before, header, digest):
        """What is wrong with a header that follows the block at height `at`, or None."""
        time = _u32(header, 68)
        bits = _u32(header, 72)
        if bits != self._next_bits(at, before, time):
            return "wrong difficulty"
        if int.from_bytes(digest, "little") > target(bits):
            return "no proof of work"
        if time <= self._median(at):
            return "too old"
        if self._rules & _BIP94 and (at + 1) % _SPAN == 0 and time < _u32(before, _TIME) - _WARP_S:
            return "too old"
        return None

    def _median(self, at):
        """The median time of the eleven blocks up to `at`, or 0 where not so many are known, as behind the first
        one."""
        if at - _MEDIAN < self._base - 1:
            return 0
        times = []
        for height in range(at - _MEDIAN + 1, at + 1):
            times.append(_u32(self._entry(height), _TIME))
        times.sort()
        return times[_MEDIAN // 2]

    def _period(self, at):
        """(height, time, bits) of the first block of the period that `at` lies in."""
        start = at - at % _SPAN
        if self._fork and start > self._fork_base:
            entry = self._entry(start)
            return start, _u32(entry, _TIME), _u32(entry, _BITS)
        return self._first if start >= self._first[0] else self._before

    def _next_bits(self, at, before, time):
        """The bits that the block behind `at` must have."""
        if not self._rules & _RETARGETS:
            return self._limit
        period = self._period(at)
        if period is None:
            return -1
        if (at + 1) % _SPAN:
            if self._rules & _REDUCES and time > _u32(before, _TIME) + _REDUCE_S:
                return self._limit
            return period[2]
        took = min(max(_u32(before, _TIME) - period[1], _SPAN_S // 4), _SPAN_S * 4)
        return compact(min(target(period[2]) * took // _SPAN_S, target(self._limit)))

    def _commit(self):
        """The branch becomes our chain."""
        lost = self.height - self._fork_base
        if self._fork_base < self._first[0]:
            self._first = self._before
            self._before = None
        height = self._fork_base
        for i in range(0, len(self._fork), _ENTRY):
            height += 1
            at = height % self._n * _ENTRY
            entry = self._fork[i : i + _ENTRY]
            self._pool[at : at + _ENTRY] = entry
            if self._rules & _RETARGETS and height % _SPAN == 0:
                self._before = self._first
                self._first = (height, _u32(entry, _TIME), _u32(entry, _BITS))
        self.height = height
        self._base = max(self._base, height - self._n + 1)
        time = _u32(entry, _TIME)
        self._drop(height)
        if lost:
            self.events.append(("reorganised", lost, height, self.hash(height)))
        elif self.events and self.events[-1][0] == "block":
            self.events.pop()  # the newest one tells enough
        self.events.append(("block", height, self.hash(height), time))

    def proves(self, txid, height, index, branch):
        """Whether a transaction is in a block of ours: `index`, its place there; `branch`, hashes of 32 bytes,
        lowest first."""
        if not self._base <= height <= self.height or len(branch) % 32 or len(branch) > 32 * _DEEPEST:
            return False
        node = txid
        for i in range(0, len(branch), 32):
            other = branch[i : i + 32]
            node = _twice(other + node if index & 1 else node + other)
            index >>= 1
        return index == 0 and node == self._own(height)[_ROOT:_TIME]
