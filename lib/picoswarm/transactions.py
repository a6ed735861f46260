"""Bitcoin's transactions, as far as a board has to understand them: which hash names one, and what it pays to a
script. Pure.

Both raise Malformed for bytes that are no transaction.
"""

from .compat import sha256
from .errors import Malformed


class _Reader:
    def __init__(self, raw):
        self.raw = raw
        self.at = 0

    def take(self, n):
        self.at += n
        if self.at > len(self.raw):
            raise Malformed
        return self.raw[self.at - n : self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "little")

    def size(self):
        first = self.number(1)
        return first if first < 0xFD else self.number(2 << first - 0xFD)


def _walk(raw, script):
    """(start and end of what is hashed between version and lock time, satoshi paid to the script)."""
    r = _Reader(raw)
    r.take(4)
    has_witness = raw[4:6] == b"\0\1"
    if has_witness:
        r.take(2)
    start = r.at
    inputs = r.size()
    for _ in range(inputs):
        r.take(36)
        r.take(r.size() + 4)
    paid = 0
    for _ in range(r.size()):
        value = r.number(8)
        if r.take(r.size()) == script:
            paid += value
    end = r.at
    if has_witness:
        for _ in range(inputs):
            for _ in range(r.size()):
                r.take(r.size())
    r.take(4)
    if not inputs or r.at != len(raw):
        raise Malformed
    return start, end, paid


def txid(raw):
    """The id of a transaction, 32 bytes: the hash of all but its witness."""
    start, end, _ = _walk(raw, None)
    digest = sha256(raw[:4])
    digest.update(raw[start:end])
    digest.update(raw[-4:])
    if 8 + end - start == 64:
        raise Malformed  # it could be two hashes of a Merkle tree
    return sha256(digest.digest()).digest()


def paid(raw, script):
    """Satoshi that a transaction pays to a script."""
    return _walk(raw, script)[2]
