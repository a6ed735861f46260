"""What of the address book outlives a restart, as the payload of slots.BOOK (docs/protocol.md 6.6). Pure.

    0   8  secret of the buckets
    8   1  tried nodes
    9   1  new nodes
    10  .. so many records, flags 1 | id 32 | IP 4 or 16 | UDP port 2 | TCP port 2, where flags has 0x10 besides for a node
           with which a session was proven, and the bucket of a new one times 0x20

Who fails is not saved. What is read is checked like hearsay: the file may be damaged, or somebody's work.
"""

from .addrbook import is_bad
from .compat import const
from .errors import Malformed

_PROVEN = const(0x10)
_BUCKETS = const(8)
_HEAD = const(10)
_SAVED = const(24)


def encode_book(book):
    """The payload for a book: up to 24 nodes, the tried ones first, then proven ones."""
    pool = book.pool
    middle = book.new * book.step
    chosen = []
    for start, end, wanted in ((middle, len(pool), _PROVEN), (0, middle, _PROVEN), (0, middle, 0)):
        for at in range(start, end, book.step):
            if pool[at] and pool[at] & _PROVEN == wanted and not is_bad(pool[at]) and len(chosen) < _SAVED:
                chosen.append(at)
    payload = bytearray(_HEAD + sum([len(book.record(at)) for at in chosen]))  # whole: a heap may have no place to grow
    payload[:8] = book.secret
    end = _HEAD
    for at in chosen:
        record = book.record(at)
        payload[end : end + len(record)] = record
        payload[end] |= pool[at] & _PROVEN
        if at < middle:
            payload[end] |= at // (middle // _BUCKETS) << 5
        payload[9 if at < middle else 8] += 1
        end += len(record)
    return payload


def decode_book(book, payload):
    """Fill an empty book. Raises Malformed, and leaves the book as it is, unless records fill the payload to the byte. One
    that cannot be true is left out."""
    n = len(payload)
    found = []
    at = _HEAD
    for _ in range(payload[8] + payload[9] if n >= _HEAD else 0):
        found.append(at)
        at += 53 if at < n and payload[at] & 1 else 41
    if at != n:
        raise Malformed("book: length")
    book.secret = bytes(payload[:8])
    for i in range(len(found)):
        at = found[i]
        end = found[i + 1] if i + 1 < len(found) else n
        flags = payload[at]
        id32 = bytes(payload[at + 1 : at + 33])
        ip = bytes(payload[at + 33 : end - 4])
        tcp = payload[end - 2] << 8 | payload[end - 1]
        if book.is_credible(id32, ip, tcp) and book.find(id32) < 0:
            if i < payload[8]:
                flags |= _PROVEN
                at = book.tried_place(id32, ip, 0)
            else:
                at = book.place(flags >> 5)
            if at >= 0 and not book.pool[at]:
                book.write(at, flags & _PROVEN, flags, id32, ip, payload[end - 4] << 8 | payload[end - 3], tcp)
