"""Pair keys of proven ids that have no place in the table (docs/protocol.md 3). Pure.

Whoever has this node in a table sends under an 8-byte id, and most of them find no place in this node's own table. A key
forgotten here costs both sides a key agreement at the next word.
"""

from .compat import const
from .wire import copy, same

_ID = const(0)
_KEY = const(32)
_USED = const(48)  # quarter minutes of uptime, modulo 2**16
_SPENT = const(50)  # see budget.spend
_RECORD = const(51)


class PairCache:
    """A fixed number of records {id, pair key, last used}; the one longest unused makes room."""

    def __init__(self, records):
        self._n = records
        self.pool = bytearray(records * _RECORD)
        # One byte of every id, side by side: the search for one runs in C.
        self._hints = bytearray(records)
        self._hint = bytearray(1)
        self._count = 0

    def find(self, buf, at, n):
        """The offset in `pool` of the record of the id buf[at:at+n] (n = 8 or 32 bytes), or -1."""
        hint = self._hint
        hint[0] = buf[at]
        i = self._hints.find(hint, 0, self._count)
        while i >= 0:
            if same(self.pool, i * _RECORD, buf, at, n):
                return i * _RECORD
            i = self._hints.find(hint, i + 1, self._count)
        return -1

    def touch(self, at, uptime):
        """Note that the record at offset `at` was of use."""
        stamp = uptime >> 4
        self.pool[at + _USED] = stamp >> 8 & 0xFF
        self.pool[at + _USED + 1] = stamp & 0xFF

    def insert(self, buf, id_at, pair, uptime):
        """Remember the pair key of the id buf[id_at:id_at+32], which has proven it. Returns the record's offset."""
        at = self.find(buf, id_at, 32)
        if at < 0:
            at = self._free(uptime)
        copy(self.pool, at + _ID, buf, id_at, 32)
        copy(self.pool, at + _KEY, pair, 0, 16)
        self._hints[at // _RECORD] = buf[id_at]
        self.touch(at, uptime)
        return at

    def _free(self, uptime):
        if self._count < self._n:
            self._count += 1
            return (self._count - 1) * _RECORD
        pool = self.pool
        oldest = longest = -1
        stamp = uptime >> 4
        for i in range(self._n):
            at = i * _RECORD
            age = (stamp - (pool[at + _USED] << 8 | pool[at + _USED + 1])) & 0xFFFF
            if age > longest:
                longest = age
                oldest = at
        pool[oldest + _SPENT] = 0
        return oldest
