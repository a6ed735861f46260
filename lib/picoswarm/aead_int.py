"""Poly1305 and the AEAD of RFC 8439 in plain Python integers, on cipher_int.py. Not constant time."""

from .cipher_int import keystream, xor
from .compat import const

_KEY = const(32)
_NONCE = const(12)
_TAG = const(16)

_P1305 = (1 << 130) - 5
_R_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


def equal(a, b):
    """Whether two buffers hold the same bytes, looking at all of them whatever they hold."""
    if len(a) != len(b):
        return False
    differ = 0
    for i in range(len(a)):
        differ |= a[i] ^ b[i]
    return differ == 0


def poly1305(key, data):
    """The 16-byte Poly1305 tag of `data` under a 32-byte one-time key (RFC 8439 section 2.5)."""
    if len(key) != _KEY:
        raise ValueError("poly1305: key")
    key = bytes(key)
    r = int.from_bytes(key[:16], "little") & _R_CLAMP
    total = 0
    for i in range(0, len(data), 16):
        block = bytes(data[i : i + 16])
        total = (total + int.from_bytes(block + b"\x01", "little")) * r % _P1305
    total += int.from_bytes(key[16:], "little")
    return (total & ((1 << 128) - 1)).to_bytes(16, "little")


class Aead:
    """ChaCha20-Poly1305 (RFC 8439 section 2.8) in place, under one 32-byte key."""

    def __init__(self, key):
        if len(key) != _KEY:
            raise ValueError("aead: key")
        self._key = bytes(key)

    def _tag(self, nonce, ad, text):
        """The tag of ciphertext `text` and `ad`, both any buffer."""
        sizes = len(ad).to_bytes(8, "little") + len(text).to_bytes(8, "little")
        message = bytes(ad) + bytes(-len(ad) % 16) + bytes(text) + bytes(-len(text) % 16) + sizes
        return poly1305(keystream(self._key, nonce, 0, 1)[:32], message)

    def seal(self, nonce, ad, buf, start, end):
        """Encrypt buf[start:end] and write the tag to buf[end:end+16]; `ad` is authenticated with it. Returns end + 16.
        Raises ValueError for a range outside its buffer or a nonce that is not 12 bytes."""
        if len(nonce) != _NONCE or start < 0 or end < start or end + _TAG > len(buf):
            raise ValueError("aead: range")
        nonce = bytes(nonce)
        xor(self._key, nonce, 1, buf, start, end)
        buf[end : end + _TAG] = self._tag(nonce, ad, buf[start:end])
        return end + _TAG

    def open(self, nonce, ad, buf, start, end):
        """Decrypt what `seal` left in buf[start:end], tag included. Returns the end of the plaintext, end - 16, or -1
        when the tag is wrong: the buffer is then as it was. Raises ValueError as `seal` does."""
        if len(nonce) != _NONCE or start < 0 or end - _TAG < start or end > len(buf):
            raise ValueError("aead: range")
        nonce = bytes(nonce)
        end -= _TAG
        if not equal(self._tag(nonce, ad, buf[start:end]), buf[end : end + _TAG]):
            return -1
        xor(self._key, nonce, 1, buf, start, end)
        return end
