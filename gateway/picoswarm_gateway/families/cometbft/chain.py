"""The verified headers of one chain: a light client (CometBFT spec/light-client, sequential and skipping verification).

A header is taken when more than two thirds of its own validators signed it, and when they are those that the newest verified
header announced, or when more than a third of those votes is among the signatures. Of a long way the middle is asked for
first where the far end has too few.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from picoswarm.commits import Commit, Header, read_header, validators_hash

from .proto import Malformed, fields, many, one
from .rpc import Validators

KEPT = 256  # verified blocks, for boards that ask
AT_ONCE = 32  # signatures that are checked before others have their turn
SETS = 16  # lists of validators that are remembered
DRIFT_S = 10.0  # by which a header may be ahead of this clock


class NotVerified(Exception):
    """A header is not to be believed; the text says why."""


class TooFar(NotVerified):
    """Too few of who is trusted signed it: one between may do."""


class NotNow(NotVerified):
    """It is nobody's fault that it cannot be verified: this node's clock, or what it trusts or can ask, does not do."""


@dataclass
class LightBlock:
    """A header that was verified, with what proves it."""

    header: Header
    raw: bytes
    commit: bytes
    validators: Validators

    def pieces(self) -> bytes:
        """For a board, which reads it in pieces (docs/protocol.md 7.12)."""
        found = fields(self.commit)
        block, signatures = one(found, 3, b""), many(found, 4)
        keys = b"".join(key + votes.to_bytes(8, "big") for key, votes in self.validators)
        return (
            len(self.raw).to_bytes(2, "big")
            + self.raw
            + one(found, 2, 0).to_bytes(4, "big")
            + bytes((len(block),))
            + block
            + len(self.validators).to_bytes(2, "big")
            + keys
            + b"".join(bytes((len(each),)) + each for each in signatures)
        )


Asked = Callable[[int], Awaitable[Validators]]


class Chain:
    """See the module. `ask`: brings the validators of a height, which are checked here."""

    def __init__(self, name: str, trusted_days: float, ask: Asked, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.blocks: OrderedDict[int, LightBlock] = OrderedDict()
        self.verified = 0  # headers
        self.refused = 0
        self.forks = 0  # headers with enough votes beside another one of their height
        self._trusted_s = trusted_days * 86400
        self._ask = ask
        self._clock = clock
        self._sets: OrderedDict[bytes, Validators] = OrderedDict()
        self.tip: LightBlock | None = None
        self._next: Validators | None = None  # the validators after the tip
        self._genesis: Validators | None = None

    @property
    def height(self) -> int:
        """Of the newest verified header; 0: none yet."""
        return self.tip.header.height if self.tip else 0

    def trust_validators(self, validators: Validators) -> None:
        """Begin with the validators of the chain's first block."""
        self._genesis = validators
        self.remember(validators)

    def remember(self, validators: Validators) -> bytes:
        """Keep a list for headers that name its hash, which is returned."""
        digest = validators_hash(validators)
        self._sets[digest] = validators
        self._sets.move_to_end(digest)
        while len(self._sets) > SETS:
            self._sets.popitem(last=False)
        return digest

    async def trust(self, raw: bytes, commit: bytes, expected: bytes) -> None:
        """Begin with a block whose hash is known from elsewhere. Raises NotVerified, and what `ask` raises."""
        header = self._read(raw)
        if header.hash != expected:
            raise NotVerified("the node has another block at the trusted height")
        validators = await self.validators(header.validators_hash, header.height)
        await self._count(header, commit, validators, None)
        await self._take(LightBlock(header, raw, commit, validators))

    async def resume(self, raw: bytes, commit: bytes, validators: Validators, after: Validators) -> None:
        """Go on from a block of an earlier run, with the validators of the next one. Raises NotVerified."""
        header = self._read(raw)
        self._check_age(header)
        if self.remember(validators) != header.validators_hash or self.remember(after) != header.next_validators_hash:
            raise NotVerified("the validators that were kept are others")
        await self._count(header, commit, validators, None)
        await self._take(LightBlock(header, raw, commit, validators))

    @property
    def next_validators(self) -> Validators:
        """Those after the newest verified header."""
        return self._next or []

    async def validators(self, digest: bytes, height: int) -> Validators:
        """Those with this hash. Raises NotVerified, and what `ask` raises."""
        if digest not in self._sets:
            found = await self._ask(height)
            if self.remember(found) != digest:
                raise NotNow(f"the validators of {height} that were told are others")
        return self._sets[digest]

    async def verify(self, raw: bytes, commit: bytes) -> LightBlock:
        """Check a block and make it the newest. Raises NotVerified, TooFar, Malformed, and what `ask` raises."""
        try:
            header = self._read(raw)
            known = self.blocks.get(header.height)
            if known and known.header.hash == header.hash:
                return known
            validators = await self.validators(header.validators_hash, header.height)
            self._check_order(header, known)
            await self._count(header, commit, validators, self._trusted_for(header))
        except NotVerified:
            self.refused += 1
            raise
        if known:
            self.forks += 1
            raise NotVerified(f"two blocks of height {header.height} have enough votes: the chain has forked")
        block = LightBlock(header, raw, commit, validators)
        await self._take(block)
        return block

    def _read(self, raw: bytes) -> Header:
        header = read_header(raw)
        if header is None:
            raise NotVerified("it is no header")
        if header.chain != self.name:
            raise NotVerified(f"it is of the chain {header.chain[:50]}")
        if header.seconds > self._clock() + DRIFT_S:
            raise NotNow("it is of a time to come: is the clock right?")
        return header

    def _check_order(self, header: Header, known: LightBlock | None) -> None:
        if self.tip is None:
            return
        tip = self.tip.header
        if header.height <= tip.height and not known:
            raise NotVerified("it is older than what is verified")
        if header.height > tip.height and header.seconds < tip.seconds:
            raise NotVerified("its time is before that of an earlier block")
        self._check_age(tip)

    def _check_age(self, header: Header) -> None:
        if header.seconds + self._trusted_s < self._clock():
            raise NotNow("what is trusted is too old: name a newer block in trusted_height and trusted_hash")

    def _trusted_for(self, header: Header) -> Validators | None:
        """Whose votes it needs besides; None where its validators were announced."""
        if self.tip is None:
            if self._genesis is None:
                raise NotNow("nothing is trusted yet")
            return self._genesis
        tip = self.tip.header
        if header.height == tip.height + 1:
            if header.validators_hash != tip.next_validators_hash:
                raise NotVerified("its validators are not those that were announced")
            return None
        return self._next

    async def _count(self, header: Header, commit: bytes, validators: Validators, trusted: Validators | None) -> None:
        try:
            found = fields(commit)
            if one(found, 1, 0) != header.height:
                raise NotVerified("the commit is of another height")
            counted = Commit(header, one(found, 2, 0), one(found, 3, b""), validators, trusted)
            signatures = many(found, 4)
        except Malformed as error:
            raise NotVerified(str(error)) from None
        if (refusal := counted.refusal()) is not None:
            raise NotVerified(refusal)
        if len(signatures) != len(validators):
            raise NotVerified("the commit has not one line for each validator")
        for index, each in enumerate(signatures):
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if vote := counted.vote(index, each):
                key, signature, text = vote
                try:
                    Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
                except (InvalidSignature, ValueError):
                    raise NotVerified(f"the signature of validator {index} is wrong") from None
                counted.count(index)
                if counted.is_enough():
                    return
        if 3 * counted.votes > 2 * counted.total:
            raise TooFar("too few of the trusted validators signed it")
        raise NotVerified("too few validators signed it")

    async def _take(self, block: LightBlock) -> None:
        self._next = await self.validators(block.header.next_validators_hash, block.header.height + 1)
        self.tip = block
        self.verified += 1
        self.blocks[block.header.height] = block
        while len(self.blocks) > KEPT:
            self.blocks.popitem(last=False)
