"""The records of a libp2p connection behind its Noise handshake (libp2p specs, noise). Pure."""

from struct import pack_into

from .aead import Aead
from .compat import const

_TAG = const(16)


class Cipher(Aead):
    """One direction of a Noise connection, from its 32-byte key. A record is length 2 | ciphertext | tag 16."""

    def __init__(self, key):
        Aead.__init__(self, key)
        self._nonce = bytearray(12)
        self._count = 0

    def seal(self, buf, end):
        """Seal buf[2:end] in place; 16 bytes behind it are free."""
        pack_into(">H", buf, 0, end + _TAG - 2)
        Aead.seal(self, self._nonce, b"", buf, 2, end)
        self._step()

    def open(self, buf, start, end):
        """Open the record buf[start:end] in place: the end of its plaintext, which begins at start + 2, or -1."""
        end = Aead.open(self, self._nonce, b"", buf, start + 2, end)
        if end >= 0:
            self._step()
        return end

    def _step(self):
        self._count += 1
        pack_into("<I", self._nonce, 4, self._count)
