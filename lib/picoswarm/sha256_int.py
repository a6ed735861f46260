"""HMAC-SHA256 (RFC 2104) on top of the runtime's own `hashlib`: what serves where viper is missing, and the reference for
the viper back end. The padded keys are kept, a hash state is not: stock firmware cannot copy one."""

from .compat import const, sha256

_BLOCK = const(64)
_DIGEST = const(32)
_INNER_PAD = const(0x36)
_OUTER_PAD = const(0x5C)


class Hmac:
    """HMAC-SHA256 under one key of any size, for one message after another: `prefix` (bytes), and what is named of a buffer.
    The tag, of `size` bytes (1 to 32), stands in the same buffer."""

    def __init__(self, key, size=_DIGEST, prefix=b""):
        self.size = size
        self.prefix = prefix
        if len(key) > _BLOCK:
            key = sha256(key).digest()
        self._inner, self._outer = bytearray(_BLOCK), bytearray(_BLOCK)
        self.rekey(key, 0, len(key))

    def rekey(self, buf, at, n):
        """Take the key buf[at:at+n] instead, 0 to 64 bytes. Raises ValueError for another size or a range outside `buf`."""
        if at < 0 or not 0 <= n <= _BLOCK or at + n > len(buf):
            raise ValueError("hmac: key")
        for i in range(_BLOCK):  # not as one big number: its arithmetic takes a time that depends on the key
            byte = buf[at + i] if i < n else 0
            self._inner[i] = byte ^ _INNER_PAD
            self._outer[i] = byte ^ _OUTER_PAD

    def sign(self, buf, start, end, at):
        """Write the tag of prefix || buf[start:end] to buf[at:at+size]. Raises ValueError for a range outside the buffer."""
        buf[at : at + self.size] = self._tag(buf, start, end, at)

    def check(self, buf, start, end, at):
        """Whether buf[at:at+size] is what `sign` would write, looking at all of it whatever it holds. Raises as `sign`
        does."""
        differ = 0
        for byte in self._tag(buf, start, end, at):
            differ |= byte ^ buf[at]
            at += 1
        return not differ

    def _tag(self, buf, start, end, at):
        n = self.size
        if start < 0 or end < start or end > len(buf) or at < 0 or not 0 < n <= _DIGEST or at + n > len(buf):
            raise ValueError("hmac: range")
        return self.digest(memoryview(buf)[start:end])[:n]

    def digest(self, data):
        """The whole tag of prefix || data (any buffer), 32 bytes."""
        inner = sha256(self._inner)
        inner.update(self.prefix)
        inner.update(data)
        outer = sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()
