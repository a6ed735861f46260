"""The chain of headers, each checked by all the rules that a header alone can be checked by. Pure.

It keeps the newest KEPT blocks of the best chain and the branches that left it there. A branch becomes the chain when it has
more work; of two with the same work the one that came first stays. Where blocks are signed, it has to be vouched for too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import unpack_from

from .networks import REDUCE_S, SPAN, SPAN_S, WARP_S, Network, double_sha256
from .wire import Malformed

KEPT = 2 * SPAN
MOST = KEPT + 20_000  # blocks of all branches
DAY = 144  # blocks: a branch that has less work than our chain had so long ago is not kept
AHEAD_S = 7200  # a block may be so far in the future
MEDIAN = 11
HEADER = 80


class Unconnected(Exception):
    """The header before these is not known."""


@lru_cache(256)
def target(bits: int) -> int:
    """What a hash must not exceed; 0: no hash is small enough."""
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    value = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    return 0 if bits & 0x800000 or value >> 256 else value


@lru_cache(256)
def work(bits: int) -> int:
    """Hashes that it takes on average to find a block."""
    return (1 << 256) // (target(bits) + 1)


def compact(value: int) -> int:
    """A target as the 4 bytes that a header has of it, which cuts it."""
    count = (value.bit_length() + 7) // 8
    mantissa = value << 8 * (3 - count) if count <= 3 else value >> 8 * (count - 3)
    if mantissa & 0x800000:
        mantissa >>= 8
        count += 1
    return count << 24 | mantissa


class Block:
    """A header with what follows from those before it."""

    __slots__ = ("hash", "header", "height", "time", "bits", "work", "before", "first_time", "first_bits", "steady")

    def __init__(self, hash32: bytes, header: bytes, before: Block | None, height: int, total: int) -> None:
        self.hash = hash32
        self.header = header
        self.height = height
        self.time, self.bits = unpack_from("<II", header, 68)
        self.work = total + work(self.bits)  # of all blocks up to this one
        self.before = before
        # Of the first block of its period of difficulty, and the bits of the last block that no wait had made easy.
        self.first_time, self.first_bits = self.time, self.bits
        self.steady = self.bits
        if before and height % SPAN:
            self.first_time, self.first_bits = before.first_time, before.first_bits

    @property
    def root(self) -> bytes:
        """The root of its Merkle tree, 32 bytes."""
        return self.header[36:68]

    def median(self) -> int:
        """The median time of this block and the ten before it."""
        times, block = [], self
        while block is not None and len(times) < MEDIAN:
            times.append(block.time)
            block = block.before
        times.sort()
        return times[len(times) // 2]


@dataclass(frozen=True)
class Change:
    """What headers did to the best chain: the blocks that it has now and had not, lowest first, and how many it lost."""

    connected: list[Block]
    lost: list[Block]
    trouble: Malformed | None = None  # what was wrong with the first header that was not taken


class Chain:
    """See the module. `add` headers; `tip` is the best block."""

    def __init__(self, network: Network, rows: list[tuple[int, bytes, int]] | None = None) -> None:
        """`rows`: (height, header, work up to it) of the best chain, from the first block of a period on, that was checked
        before."""
        self.network = network
        self.checked = 0
        self._limit = target(network.limit_bits)
        self._blocks: dict[bytes, Block] = {}
        self._best: dict[int, Block] = {}
        before: Block | None = None
        for height, header, total in rows or [(0, network.genesis, work(network.limit_bits))]:
            bits = unpack_from("<I", header, 72)[0]
            block = Block(double_sha256(header), header, before, height, total - work(bits))
            self._steady(block)
            self._blocks[block.hash] = self._best[height] = before = block
        assert before
        self.tip = before
        self._floor = min(self._best)

    def __contains__(self, hash32: bytes) -> bool:
        return hash32 in self._blocks

    def find(self, hash32: bytes) -> Block | None:
        """A block that is kept, of any branch."""
        return self._blocks.get(hash32)

    def at(self, height: int) -> Block | None:
        """The block of the best chain at a height, if it is kept."""
        return self._best.get(height)

    def is_best(self, hash32: bytes) -> bool:
        """Whether a kept block is in the best chain."""
        block = self._blocks.get(hash32)
        return block is not None and self._best.get(block.height) is block

    def locator(self) -> list[bytes]:
        """Hashes of the best chain, newest first, ever further apart, the genesis last."""
        found, height, step = [], self.tip.height, 1
        while height > self._floor:
            found.append(self._best[height].hash)
            if len(found) >= 10:
                step *= 2
            height -= step
        found.append(self._best[self._floor].hash)
        if self._floor:
            found.append(self.network.genesis_hash)
        return found

    def after(self, hashes: list[bytes], stop: bytes, most: int) -> list[bytes]:
        """Headers of the best chain behind the first of `hashes` that is in it, up to `stop`: what `getheaders` asks for."""
        start = next((self._blocks[each].height for each in hashes if self.is_best(each)), None)
        if start is None:
            return []
        found = []
        for height in range(start + 1, min(start + most, self.tip.height) + 1):
            block = self._best[height]
            found.append(block.header)
            if block.hash == stop:
                break
        return found

    @property
    def enough(self) -> int:
        """Work that a branch must have to be kept."""
        return max(self.network.least_work, self.tip.work - DAY * work(self.tip.steady))

    def is_worth(self, headers: list[bytes], least: int) -> bool:
        """Whether the last of these headers has work of `least` below it, by proofs that were looked at. Raises
        Unconnected."""
        before = self._blocks.get(headers[0][4:36])
        if before is None:
            raise Unconnected
        total = before.work
        if total >= least:
            return True
        for header in headers:
            bits = unpack_from("<I", header, 72)[0]
            if int.from_bytes(double_sha256(header), "little") > target(bits):
                raise Malformed("a header without proof of work")
            total += work(bits)
        return total >= least

    def add(self, headers: list[bytes], now: int) -> Change:
        """Take headers, each the next of the one before. `now`: unix seconds. Those before a wrong one are taken.
        Raises Unconnected, with none taken."""
        trouble = None
        for header in headers:
            hash32 = double_sha256(header)
            known = self._blocks.get(hash32)
            if known is None:
                before = self._blocks.get(header[4:36])
                if before is None:
                    raise Unconnected
                try:
                    self._take(hash32, header, before, now)
                except Malformed as error:
                    trouble = error
                    break
        return self._settle(trouble)

    def _take(self, hash32: bytes, header: bytes, before: Block, now: int) -> None:
        """Check a header and keep it."""
        block = self.follow(hash32, header, before, now)
        if len(self._blocks) >= MOST:
            self._make_room(before)
        self._blocks[hash32] = block
        self.checked += 1
        if block.work > self.tip.work and not self.network.challenge:
            self.tip = block

    def _make_room(self, last: Block) -> None:
        """Forget all branches but the one that this block ends; whoever goes on with another one sends it again."""
        kept = {each.hash: each for each in self._best.values()}
        branch: list[Block] = []
        block: Block | None = last
        while block is not None and block.hash not in kept:
            branch.append(block)
            block = block.before
        self._blocks = kept
        if len(kept) + len(branch) >= MOST:
            raise Malformed("a branch that is too long", 20)
        kept.update((each.hash, each) for each in branch)

    def vouch(self, block: Block) -> Change:
        """The signature of this block was checked. Who signed it has taken those below for valid."""
        if block.work > self.tip.work:
            self.tip = block
        return self._settle(None)

    def follow(self, hash32: bytes, header: bytes, before: Block, now: int) -> Block:
        """The block of a header that follows another one, checked and not kept. Raises Malformed."""
        block = Block(hash32, header, before, before.height + 1, before.work)
        self._check(block, before, now)
        self._steady(block)
        return block

    def _check(self, block: Block, before: Block, now: int) -> None:
        if block.bits != self.next_bits(before, block.time):
            raise Malformed("a header of a wrong difficulty")
        if int.from_bytes(block.hash, "little") > target(block.bits):
            raise Malformed("a header without proof of work")
        if block.time <= before.median():
            raise Malformed("a header that is too old")
        if self.network.is_bip94 and block.height % SPAN == 0 and block.time < before.time - WARP_S:
            raise Malformed("a period that begins before the last one ended")
        if block.time > now + AHEAD_S:
            raise Malformed("a header of the future", 0)  # it may be right tomorrow
        version = int.from_bytes(block.header[:4], "little", signed=True)
        if version < next((least for height, least in reversed(self.network.versions) if block.height >= height), 1):
            raise Malformed("a header of an old version")

    def next_bits(self, before: Block, time: int) -> int:
        """The bits that the block behind `before` must have, if it is of that time."""
        network = self.network
        if not network.retargets:
            return before.bits
        if (before.height + 1) % SPAN:
            if not network.reduces:
                return before.bits
            return network.limit_bits if time > before.time + REDUCE_S else before.steady
        took = min(max(before.time - before.first_time, SPAN_S // 4), SPAN_S * 4)
        base = before.first_bits if network.is_bip94 else before.bits
        return compact(min(target(base) * took // SPAN_S, self._limit))

    def _steady(self, block: Block) -> None:
        before = block.before
        if self.network.reduces and before and block.height % SPAN and block.bits == self.network.limit_bits:
            block.steady = before.steady

    def _settle(self, trouble: Malformed | None) -> Change:
        """Make the branch of the tip the best chain."""
        connected: list[Block] = []
        block = self.tip
        while self._best.get(block.height) is not block:
            connected.append(block)
            assert block.before, "branches leave the best chain where it is kept"
            block = block.before
        lost = [self._best.pop(height) for height in range(block.height + 1, max(self._best) + 1)]
        for each in reversed(connected):
            self._best[each.height] = each
        self._prune()
        return Change(connected[::-1], lost, trouble)

    def _prune(self) -> None:
        """Keep what a branch may still leave."""
        floor = self.tip.height - KEPT
        if floor - self._floor < SPAN // 4:
            return
        for height in range(self._floor, floor):
            del self._best[height]
        self._floor = floor
        self._best[floor].before = None
        self._blocks = {hash32: each for hash32, each in self._blocks.items() if each.height >= floor}
        # A branch that left the chain below the floor hangs in the air: what cannot be walked back to it goes.
        for each in list(self._blocks.values()):
            if each.height == floor and self._best[floor] is not each:
                self._drop(each)

    def _drop(self, root: Block) -> None:
        gone = {root.hash}
        for each in sorted(self._blocks.values(), key=lambda block: block.height):
            if each.before and each.before.hash in gone:
                gone.add(each.hash)
        self._blocks = {hash32: each for hash32, each in self._blocks.items() if hash32 not in gone}
