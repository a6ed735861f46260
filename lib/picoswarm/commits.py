"""Blocks of CometBFT, checked: what a header's hash is, who must have signed it, and whether enough did. Pure.

A header is hashed as a Merkle tree of its fields (RFC 6962's prefixes, CometBFT spec/core/data_structures.md); its commit
is a list of Ed25519 signatures of one text each. Validators of other keys cannot be checked here.
"""

from collections import namedtuple

from .compat import const, sha256
from .protobuf import decode_fields, varint

_FIELDS = const(14)  # of a header
_VERSION = const(1)
_CHAIN = const(2)
_HEIGHT = const(3)
_TIME = const(4)
_LAST_BLOCK = const(5)
_VALIDATORS = const(8)
_NEXT = const(9)
_APP = const(11)
_RESULTS = const(12)
_COMMITTED = const(2)  # flag of a signature: for the block
_VALIDATORS_MOST = const(1024)

Header = namedtuple(
    "Header", ("height", "chain", "seconds", "validators_hash", "next_validators_hash", "app_hash", "results_hash", "hash")
)


def fields(data):
    """{number: value} of a message, the last of each; None for what is malformed."""
    found = decode_fields(data)
    return found if found is None else dict(found)


def _field(number, value):
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def merkle(leaves):
    """The root of a list of bytes."""
    n = len(leaves)
    if n < 2:
        return sha256(b"\0" + leaves[0]).digest() if n else sha256(b"").digest()
    half = 1
    while half * 2 < n:
        half *= 2
    return sha256(b"\1" + merkle(leaves[:half]) + merkle(leaves[half:])).digest()


def validators_hash(validators):
    """The hash in a header of a list of (Ed25519 key 32, votes)."""
    return merkle([_field(1, _field(1, key)) + (b"\x10" + varint(votes) if votes else b"") for key, votes in validators])


def read_header(data):
    """A Header from its bytes; None for what is none."""
    found = fields(data)
    if not found:
        return None
    leaves = []
    for number in range(1, _FIELDS + 1):
        value = found.get(number, b"")
        if number == _HEIGHT:
            if not isinstance(value, int):
                return None
            leaves.append(b"\x08" + varint(value) if value else b"")
        elif isinstance(value, int):
            return None
        elif number in (_VERSION, _TIME, _LAST_BLOCK):
            leaves.append(value)
        else:
            leaves.append(_field(1, value) if value else b"")
    time = fields(found.get(_TIME, b""))
    try:
        chain = str(found.get(_CHAIN, b""), "utf-8")
    except ValueError:
        return None
    seconds = time.get(1, 0) if time is not None else None
    if not isinstance(seconds, int):
        return None
    get = lambda number: found.get(number, b"")  # noqa: E731
    return Header(found[_HEIGHT], chain, seconds, get(_VALIDATORS), get(_NEXT), get(_APP), get(_RESULTS), merkle(leaves))


class Commit:
    """Counts the votes behind a header. `trusted`: validators that are known to be honest in their majority, where the
    header is not the next one after a header that was checked: more than a third of their votes must be there too."""

    def __init__(self, header, round, block, validators, trusted=None):
        """`block`: the BlockID that was signed, as bytes; validators as lists of (key 32, votes)."""
        self.header = header
        self.block = block
        self.round = round
        self.validators = validators
        self.votes = 0
        self.trusted_votes = 0
        self.total = 0
        for _, votes in validators:
            self.total += votes
        self._trusted = None
        self._trusted_total = 0
        if trusted is not None:
            self._trusted = {}
            for key, votes in trusted:
                self._trusted[bytes(key)] = votes
                self._trusted_total += votes
        self._seen = 0

    def refusal(self):
        """Why no vote can help; None where votes can."""
        n = len(self.validators)
        if not 0 < n <= _VALIDATORS_MOST or validators_hash(self.validators) != self.header.validators_hash:
            return "its validators are others"
        block = fields(self.block)
        if not block or block.get(1) != self.header.hash:
            return "the commit is of another block"
        return None

    def vote(self, index, data):
        """(key, signature, text) to be verified of the validator with that index; None where it did not vote for this block.
        `data`: its CommitSig, as bytes. To be asked in the order of the validators."""
        found = fields(data)
        if not found or found.get(1) != _COMMITTED or not self._seen <= index < len(self.validators):
            return None
        self._seen = index + 1
        time = found.get(3, b"")
        signature = found.get(4)
        if not isinstance(signature, bytes) or len(signature) != 64 or not isinstance(time, bytes):
            return None
        text = b"\x08\x02\x11" + self.header.height.to_bytes(8, "little")
        if self.round:
            text += b"\x19" + self.round.to_bytes(8, "little")
        text += _field(4, self.block) + _field(5, time) + _field(6, self.header.chain.encode())
        return self.validators[index][0], signature, varint(len(text)) + text

    def count(self, index):
        """The signature of that vote is good."""
        key, votes = self.validators[index]
        self.votes += votes
        if self._trusted is not None:
            self.trusted_votes += self._trusted.pop(bytes(key), 0)

    def is_enough(self):
        """More than two thirds are for it, and more than a third of who is trusted."""
        if self._trusted is not None and 3 * self.trusted_votes <= self._trusted_total:
            return False
        return 3 * self.votes > 2 * self.total
