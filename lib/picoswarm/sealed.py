"""Sealed records, the encrypted units of a session (docs/protocol.md 4.4): length 2 | ciphertext | tag 16. Pure."""

from .aead import Aead
from .compat import const
from .wire import put_u16

_HEAD = const(2)
_TAG = const(16)

_head = bytearray(_HEAD)  # the associated data of the record at hand


class Sealed(Aead):
    """One direction of a session, at either end, from its 32-byte key. Nothing is allocated for a record; a new key each
    2**20 records takes 200 bytes."""

    def __init__(self, key):
        Aead.__init__(self, key)
        self._nonce = bytearray(12)

    def seal(self, buf, start, end):
        """Seal the plaintext buf[start+2:end], in place: writes the length before and the tag behind it. Returns the end of
        the record, end + 16. Fastest where start + 2 is a multiple of 4."""
        start += _HEAD
        put_u16(_head, 0, end + _TAG - start)
        end = Aead.seal(self, self._nonce, _head, buf, start, end)
        buf[start - 2] = _head[0]
        buf[start - 1] = _head[1]
        self._count()
        return end

    def open(self, buf, start, end):
        """Open the record buf[start:end], in place. Returns the end of the plaintext, which begins at start + 2, or -1 for
        one that was not sealed as the next record of this direction; then nothing has changed."""
        if end - start < _HEAD + _TAG:
            return -1
        _head[0] = buf[start]
        _head[1] = buf[start + 1]
        end = Aead.open(self, self._nonce, _head, buf, start + _HEAD, end)
        if end >= 0:
            self._count()
        return end

    def _count(self):
        """Move on to the next nonce, and to the next key (REKEY of Noise) where its low 20 bits begin anew."""
        nonce = self._nonce
        at = 4
        while at < 12:
            nonce[at] = (nonce[at] + 1) & 0xFF
            if nonce[at]:
                break
            at += 1
        if not (nonce[4] or nonce[5] or nonce[6] & 15):
            key = bytearray(48)
            Aead.seal(self, b"\0\0\0\0" + b"\xff" * 8, b"", key, 0, 32)
            Aead.__init__(self, key[:32])
