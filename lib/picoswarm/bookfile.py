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
_PAYLOAD_MAX = const(2048)  # slots.PAYLOAD_MAX


def encode_book(book):
    """The payload for a book, the tried nodes first; those beyond 2,048 bytes are left out."""
    pool = book.pool
    middle = book.new * book.step
    payload = bytearray(book.secret + bytes(2))
    for start, end, part in ((middle, len(pool), 8), (0, middle, 9)):
        for at in range(start, end, book.step):
            if pool[at] and not is_bad(pool[at]):
                record = bytearray(book.record(at))
                record[0] |= pool[at] & _PROVEN
                if part == 9:
                    record[0] |= at // (middle // _BUCKETS) << 5
                if len(payload) + len(record) <= _PAYLOAD_MAX:
                    payload += record
                    payload[part] += 1
    return bytes(payload)


def decode_book(book, payload):
    """Fill an empty book. Raises Malformed, and leaves the book as it is, unless records fill the payload to the byte; one
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
            at = book.tried_place(id32, ip, 0) if i < payload[8] else book.place(flags >> 5)
            if at >= 0 and not book.pool[at]:
                book.write(at, flags & _PROVEN, flags, id32, ip, payload[end - 4] << 8 | payload[end - 3], tcp)
