"""What protects a datagram: ChaCha20 (RFC 8439) in plain Python integers, right on every runtime with integers of any size,
and HMAC-SHA256 (RFC 2104) on the runtime's own `hashlib`. The references that the viper back end is compared with.

ChaCha20 runs all blocks of a chunk at once. A row of the state (four words) of every block is one big integer whose 32-bit
words stand 64 bits apart, so that carries and shifts have room; interpreting is paid once a chunk, not once a word. Not
constant time, and secrets stay in the heap: the fallback where neither viper nor `cryptography` is at hand.
"""

from .compat import const, sha256

_KEY = const(32)
_NONCE = const(12)
_COUNTER_END = const(0x40000000)  # blocks under one nonce: the counter stays a small int
_BLOCK = const(64)  # of SHA-256
_DIGEST = const(32)
_INNER_PAD = const(0x36)
_OUTER_PAD = const(0x5C)
_CHUNK = const(8)  # blocks worked on at once: bounds the integers at 256 bytes


def _spread(four_words):
    """The four little-endian words of 16 bytes as one integer, 64 bits apart."""
    row = 0
    for i in range(12, -4, -4):
        row = row << 64 | int.from_bytes(four_words[i : i + 4], "little")
    return row


def keystream(key, nonce, counter, blocks):
    """`blocks` (1 to _CHUNK) blocks of key stream as bytes, the first with the block counter `counter`."""
    ones = counters = 0
    for i in range(blocks - 1, -1, -1):
        ones = ones << 256 | 1
        counters = counters << 256 | (counter + i)
    lane0 = ones * 0xFFFFFFFF
    words = lane0 * (1 | 1 << 64 | 1 << 128 | 1 << 192)
    a0 = _spread(b"expand 32-byte k") * ones
    b0 = _spread(key[:16]) * ones
    c0 = _spread(key[16:]) * ones
    d0 = _spread(bytes(4) + nonce) * ones | counters

    def turn(row, lanes):
        """Every block's four words moved down by `lanes` places."""
        low = lane0 * (1, 1 | 1 << 64, 1 | 1 << 64 | 1 << 128)[lanes - 1]
        return (row & (words ^ low)) >> 64 * lanes | (row & low) << 256 - 64 * lanes

    a, b, c, d = a0, b0, c0, d0
    for half in range(20):
        a = (a + b) & words
        d ^= a
        d = (d << 16 | d >> 16) & words
        c = (c + d) & words
        b ^= c
        b = (b << 12 | b >> 20) & words
        a = (a + b) & words
        d ^= a
        d = (d << 8 | d >> 24) & words
        c = (c + d) & words
        b ^= c
        b = (b << 7 | b >> 25) & words
        if half & 1:  # back from diagonals to columns
            b, c, d = turn(b, 3), turn(c, 2), turn(d, 1)
        else:
            b, c, d = turn(b, 1), turn(c, 2), turn(d, 3)
    rows = []
    for row, first in ((a, a0), (b, b0), (c, c0), (d, d0)):
        row = (row + first) & words
        row = (row | row >> 32) & (ones * (1 | 1 << 128) * 0xFFFFFFFFFFFFFFFF)
        row |= row >> 64
        rows.append(row.to_bytes(blocks * 32 + 8, "little"))
    out = bytearray(blocks * 64)
    for i in range(blocks):
        for j in range(4):
            out[64 * i + 16 * j : 64 * i + 16 * j + 16] = rows[j][32 * i : 32 * i + 16]
    return out


def xor(key, nonce, counter, buf, start, end):
    """XOR buf[start:end] with the key stream from block `counter` on; all arguments are known to be good."""
    while start < end:
        blocks = min(_CHUNK, (end - start + 63) >> 6)
        stop = min(end, start + 64 * blocks)
        stream = keystream(key, nonce, counter, blocks)[: stop - start]
        word = int.from_bytes(bytes(stream), "little") ^ int.from_bytes(bytes(buf[start:stop]), "little")
        buf[start:stop] = word.to_bytes(stop - start, "little")
        start = stop
        counter += blocks


class ChaCha20:
    """ChaCha20 (RFC 8439 section 2.4) under one 32-byte key."""

    def __init__(self, key):
        if len(key) != _KEY:
            raise ValueError("chacha20: key")
        self._key = bytes(key)

    def xor(self, nonce, at, counter, buf, start, end):
        """XOR buf[start:end] in place with the key stream that begins at block `counter`; the 12 nonce bytes are
        nonce[at:at+12]. Raises ValueError for a range outside its buffer or a counter that would pass 2**30."""
        if at < 0 or at + _NONCE > len(nonce) or start < 0 or end < start or end > len(buf):
            raise ValueError("chacha20: range")
        if counter < 0 or counter + ((end - start + 63) >> 6) > _COUNTER_END:
            raise ValueError("chacha20: range")
        xor(self._key, bytes(nonce[at : at + _NONCE]), counter, buf, start, end)


class Hmac:
    """HMAC-SHA256 under one key of any size, for one message after another: `prefix` (bytes), and what is named of a buffer.
    The tag, of `size` bytes (1 to 32), stands in the same buffer. The padded keys are kept, a hash state is not: stock
    firmware cannot copy one."""

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
