"""A change of the network key, as the operator signs it (docs/protocol.md 7.10), and what a node's folder keeps of it.

    0   1    kind: 1 rotate, 2 revoke
    1   4    serial, 1 to 2**30 - 1
    5   1    epoch of the network key, 0-15
    6   32   the network key
    38  1    n, 0-16
    39  16n  the first 16 bytes of each revoked id
    ..  64   signature by the operator key

The file of the kind OPERATOR holds the operator's public key, 32 bytes, and behind it the last change that was taken, if
there was one. Loaded when it is needed, and forgotten. Pure.
"""

from .compat import const, sha256
from .errors import Malformed

ROTATE = 1  # the lower key stays for a day
REVOKE = 2  # it goes at once
REVOKED_MAX = 16  # ids; with all of them a change has 359 bytes, and fits a request
PREFIX = 16  # bytes of a revoked id: too many to make an id that shares them with another node's

# What became of a change: the first byte of an answer.
HELD = 0  # taken now, or before
OLDER = 1  # a later one, or another of this serial, was taken before
FORGED = 2  # not signed by this mesh's operator
UNORDERED = 3  # its epoch does not follow the highest that is held
MALFORMED = 4
UNSAVED = 5  # taken, but the folder could not be written: a restart forgets it

PUBLIC = 32  # bytes of the operator's public key

_KEY = const(6)
_COUNT = const(38)
_IDS = const(39)
_SIGNATURE = const(64)
_SERIALS = const(0x40000000)
_EPOCHS = const(16)
_HALF = const(8)  # see membership.py, which is not loaded for this


class Change:
    """What a change says. Raises Malformed for bytes that are none."""

    def __init__(self, text):
        n = len(text)
        end = n > _IDS and _IDS + PREFIX * text[_COUNT]
        if end != n - _SIGNATURE or text[_COUNT] > REVOKED_MAX:
            raise Malformed("change of keys: length")
        self.kind = text[0]
        self.serial = int.from_bytes(text[1:5], "big")
        self.epoch = text[5]
        if not ROTATE <= self.kind <= REVOKE or not 0 < self.serial < _SERIALS or self.epoch >= _EPOCHS:
            raise Malformed("change of keys: value")
        self.text = bytes(text)
        self.key = self.text[_KEY:_COUNT]
        if self.key == self.key[:1] * len(self.key):
            raise Malformed("change of keys: blank key")
        self.revoked = self.text[_IDS:end]  # 16 bytes for each id
        self.signature = self.text[end:]

    def signed_text(self):
        """What is signed: 51 bytes."""
        return signed_text(self.text[:-_SIGNATURE])

    def judge(self, keys):
        """What can be said before the signature is looked at: a code for a change that is not to be taken, or -1. `keys`:
        the Keyring of the node."""
        if self.serial < keys.serial:
            return OLDER
        if self.serial == keys.serial:
            return HELD if self.epoch == keys.highest.epoch and self.key == keys.highest.key else OLDER
        return -1 if 0 < (self.epoch - keys.highest.epoch) % _EPOCHS < _HALF else UNORDERED


def signed_text(unsigned):
    """What the operator signs of a change without its signature."""
    return b"picoswarm change v1" + sha256(unsigned).digest()


def decode_operator(payload):
    """(public key, the last Change or None) of a payload of the kind OPERATOR. Raises Malformed."""
    if len(payload) < PUBLIC:
        raise Malformed("operator key: length")
    return payload[:PUBLIC], Change(payload[PUBLIC:]) if len(payload) > PUBLIC else None
