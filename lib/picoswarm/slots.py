"""The two-slot file format: what survives a power cut, a worn cell or a half-written copy (docs/security.md, key files).

A kind of record lives in two slots. Each slot is one file, complete in itself:

    0   4  magic "pswm"
    4   1  kind: what the payload is
    5   1  version of the payload's layout
    6   2  sequence, modulo 2**16; each write is one higher than the newest valid slot
    8   4  length of the payload
    12  4  CRC-32 of bytes 0 to 11 and the payload
    16  .. payload, to the end of the file

Rules: a write goes to the slot that is not the newest valid one; a reader takes the newest valid slot; whatever is not
valid to the last byte is discarded whole. The CRC finds damage, not forgery: who can write the flash owns the node.
"""

from binascii import crc32

from .compat import const
from .errors import LocalError, Malformed

HEADER = 16  # bytes before the payload
PAYLOAD_MAX = 2048  # bytes; bounds what a reader takes into memory, whatever a file claims

_MAGIC = b"pswm"
_CRC_AT = const(12)
_SEQUENCES = const(0x10000)
_HALF = const(0x8000)


class Kind:
    """What one pair of slots holds. `interval_s`: least uptime between two writes, 0 for at once; `copies`: slots that
    hold the current payload once a write is complete. Keys ask for 2: either slot may rot, and a key that was dropped does
    not stay behind in the older one. `is_key`: it stands in an ESP32's NVS besides, and comes back from there."""

    def __init__(self, number, name, version=1, interval_s=0, copies=2, is_key=True):
        self.number = number
        self.name = name  # at most 8 characters: FAT then needs one directory entry, which is renamed in one sector
        self.version = version
        self.interval_s = interval_s
        self.copies = copies
        self.is_key = is_key and copies > 1


IDENTITY = Kind(1, "identity")
NETWORK = Kind(2, "network")
NODES = Kind(3, "nodes", interval_s=1800, copies=1)  # flash wears: half an hour apart, and only on change
SEED = Kind(4, "seed")
BOOK = Kind(5, "book", interval_s=1800, copies=1)
OPERATOR = Kind(6, "operator")  # see changes.py. Kind 7 is the operator's own, see picoswarm_gateway.keychange;
# 8 and 9 are of updates, see appslots.py; 10 is of libp2p, see p2pkey.py


def _crc(head, payload):
    return crc32(payload, crc32(head)) & 0xFFFFFFFF


def encode_slot(kind, sequence, payload):
    """The bytes of a slot file. Raises LocalError for a payload above PAYLOAD_MAX."""
    n = len(payload)
    if n > PAYLOAD_MAX:
        raise LocalError("%s: payload of %d bytes, at most %d" % (kind.name, n, PAYLOAD_MAX))
    head = _MAGIC + bytes((kind.number, kind.version)) + sequence.to_bytes(2, "big") + n.to_bytes(4, "big")
    return head + _crc(head, payload).to_bytes(4, "big") + payload


def decode_slot(kind, data):
    """(sequence, payload) of a slot file. Raises Malformed, with a reason fit for a message, for anything but a whole
    slot of this kind and version."""
    if len(data) < HEADER or data[:4] != _MAGIC:
        raise Malformed("not a slot file")
    if int.from_bytes(data[8:_CRC_AT], "big") != len(data) - HEADER:
        raise Malformed("wrong length")
    if int.from_bytes(data[_CRC_AT:HEADER], "big") != _crc(data[:_CRC_AT], data[HEADER:]):
        raise Malformed("wrong checksum")
    if data[4] != kind.number:
        raise Malformed("holds another kind of record")
    if data[5] != kind.version:
        raise Malformed("version %d of the layout, this program reads %d" % (data[5], kind.version))
    return int.from_bytes(data[6:8], "big"), data[HEADER:]


def next_sequence(sequence):
    """The sequence number of the write after `sequence`; None, before the first write, gives 0."""
    return 0 if sequence is None else (sequence + 1) % _SEQUENCES


def newest(a, b):
    """Which slot counts, 0 or 1, from the sequences of the two (None: not valid); None when neither is valid."""
    if a is None or b is None:
        return 0 if a is not None else 1 if b is not None else None
    return 1 if 0 < (b - a) % _SEQUENCES < _HALF else 0
