"""Poly1305 and the AEAD of RFC 8439 in viper, on cipher_viper.py and by its rules. Nothing here allocates once the key is
set, and nothing branches on or indexes with a secret."""

from .cipher_viper import ChaCha20, stream

_KEY = const(32)
_NONCE = const(12)
_TAG = const(16)

_VERIFY = const(0)
_WRITE = const(1)
_BARE = const(3)  # write, and hash the first buffer alone: plain Poly1305

# A block of key stream, whose first half may be the key of _mac, and 30 words more for its limbs.
_work = bytearray(184)


@micropython.viper
def _differ(a: ptr8, b: ptr8, n: int) -> int:
    d = 0
    while n:
        n -= 1
        d |= a[n] ^ b[n]
    return d


def equal(a, b):
    """Whether two buffers hold the same bytes, in a time that depends on their lengths only."""
    return len(a) == len(b) and _differ(a, b, len(a)) == 0


@micropython.viper
def _mac(d: uint, c: uint, work: ptr32, ad: ptr8, text: ptr8, end: int, mode: int) -> int:
    """Poly1305 over ad[:d], text[c:end] and their sizes as the AEAD lays them out, or over ad[:d] alone (_BARE), under
    the key in work[0:8]. The tag's place is text[end:]: it is written there, or compared with what is there. Returns 0
    where the two are equal.

    Numbers modulo 2**130 - 5 are ten 13-bit limbs. Horner's rule runs as h = h*r + block, so that the carry of the
    product takes the block in and a limb of h stays below 2**13 + 2**8. A column of the product is ten terms, at most
    nine of them times 5: below 46 * 2**26 and small change, it fits 32 bits. One product with a zero block ends it.
    """
    ad_size = int(d)
    start = int(c)
    mask = uint(0x1FFF)
    high = uint(0)
    block = int(work) + 32  # 16 bytes
    limbs = int(work) + 144  # h, and then the block on its way into it
    # The first block is r itself, clamped. It is kept as 5*r1 ... 5*r9, r0 ... r9 in work[16:35]: column k of a product
    # takes the ten words from 16 + k on, the highest limb of h first.
    ptr32(block)[0] = work[0] & 0x0FFFFFFF
    ptr32(block)[1] = work[1] & 0x0FFFFFFC
    ptr32(block)[2] = work[2] & 0x0FFFFFFC
    ptr32(block)[3] = work[3] & 0x0FFFFFFC
    p = block
    n = 16
    part = -1  # in turn: -1 r, 0 ad, 1 text, 2 their sizes, 3 the product that is still due
    while True:
        if n >= 16 and p & 3 == 0:
            q = p
            p += 16
            n -= 16
        else:
            q = block
            ptr32(q)[0] = 0
            ptr32(q)[1] = 0
            ptr32(q)[2] = 0
            ptr32(q)[3] = 0
            if n > 0:
                size = n
                if size > 16:
                    size = 16
                elif size < 16 and mode == _BARE:
                    ptr8(q)[size] = 1
                    high = uint(0)
                n -= size
                i = size
                while i:
                    i -= 1
                    ptr8(q)[i] = ptr8(p)[i]
                p += size
            else:
                part += 1
                if mode == _BARE:
                    part = 3
                if part == 1:
                    p = int(text) + start
                    n = end - start
                    continue
                if part == 2:
                    ptr32(q)[0] = ad_size
                    ptr32(q)[2] = end - start
                else:
                    high = uint(0)
        c = uint(limbs)
        h0 = uint(ptr32(c)[0])
        h1 = uint(ptr32(c)[1])
        h2 = uint(ptr32(c)[2])
        h3 = uint(ptr32(c)[3])
        h4 = uint(ptr32(c)[4])
        h5 = uint(ptr32(c)[5])
        h6 = uint(ptr32(c)[6])
        h7 = uint(ptr32(c)[7])
        h8 = uint(ptr32(c)[8])
        h9 = uint(ptr32(c)[9])
        d = uint(ptr32(q)[0])
        ptr32(c)[0] = d & mask
        ptr32(c)[1] = (d >> 13) & mask
        w = d >> 26
        d = uint(ptr32(q)[1])
        ptr32(c)[2] = ((d << 6) | w) & mask
        ptr32(c)[3] = (d >> 7) & mask
        w = d >> 20
        d = uint(ptr32(q)[2])
        ptr32(c)[4] = ((d << 12) | w) & mask
        ptr32(c)[5] = (d >> 1) & mask
        ptr32(c)[6] = (d >> 14) & mask
        w = d >> 27
        d = uint(ptr32(q)[3])
        ptr32(c)[7] = ((d << 5) | w) & mask
        ptr32(c)[8] = (d >> 8) & mask
        ptr32(c)[9] = (d >> 21) | high
        if part < 0:
            i = 10
            while i:
                i -= 1
                d = uint(ptr32(limbs)[i])
                ptr32(limbs)[i] = 0
                work[25 + i] = d
                work[15 + i] = d * 5
            p = int(ad)
            n = ad_size
            high = uint(0x800)
            part = 0
            continue
        c = uint(int(work) + 64)
        d = uint(0)
        i = 10
        while i:
            d = h9 * ptr32(c)[0] + d
            d = h8 * ptr32(c)[1] + d
            d = h7 * ptr32(c)[2] + d
            d = h6 * ptr32(c)[3] + d
            d = h5 * ptr32(c)[4] + d
            d = h4 * ptr32(c)[5] + d
            d = h3 * ptr32(c)[6] + d
            d = h2 * ptr32(c)[7] + d
            d = h1 * ptr32(c)[8] + d
            d = h0 * ptr32(c)[9] + d
            d = uint(ptr32(c)[20]) + d
            ptr32(c)[20] = d & mask
            d = d >> 13
            c += 4
            i -= 1
        # 2**130 = 5
        c = uint(limbs)
        d = d * 5 + ptr32(c)[0]
        ptr32(c)[0] = d & mask
        d = d >> 13
        ptr32(c)[1] = d + ptr32(c)[1]
        if part > 2:
            break
    # What remains of the modulus: h - p = h + 5 - 2**130 where h + 5 carries out of 130 bits.
    d = uint(5)
    i = 0
    while i < 10:
        d = (d + ptr32(limbs)[i]) >> 13
        i += 1
    ptr32(limbs)[0] = d * 5 + ptr32(limbs)[0]
    # The limbs leave as bytes, with the second half of the key and all carries added: the tag.
    p = int(text) + end
    d = uint(0)
    n = 0
    i = 16
    bad = 0
    while i < 32:
        if n < 8:
            d = (uint(ptr32(limbs)[0]) << n) + d
            limbs += 4
            n += 13
        d = d + ptr8(work)[i]
        bad |= int(d & 0xFF) ^ ptr8(p)[0]
        if mode:
            ptr8(p)[0] = d
        d = d >> 8
        n -= 8
        p += 1
        i += 1
    return bad


class Aead:
    """ChaCha20-Poly1305 (RFC 8439 section 2.8) in place, under one 32-byte key."""

    def __init__(self, key):
        self._state = ChaCha20(key)._state

    @micropython.native
    def seal(self, nonce, ad, buf, start, end):
        """Encrypt buf[start:end] and write the tag to buf[end:end+16]; `ad` is authenticated with it. Returns end + 16.
        Raises ValueError for a range outside its buffer or a nonce that is not 12 bytes."""
        if len(nonce) != _NONCE or start < 0 or end < start or end + _TAG > len(buf):
            raise ValueError("aead: range")
        buf[end] = 0  # a read-only buffer raises TypeError here
        state = self._state
        if start < end:
            stream(1, start, state, _work, nonce, 0, buf, end)
        stream(0, 0, state, _work, nonce, 0, buf, 0)
        _mac(len(ad), start, _work, ad, buf, end, _WRITE)
        return end + _TAG

    @micropython.native
    def open(self, nonce, ad, buf, start, end):
        """Decrypt what `seal` left in buf[start:end], tag included. Returns the end of the plaintext, end - 16, or -1
        when the tag is wrong: the buffer is then as it was. Raises ValueError as `seal` does."""
        end -= _TAG
        if len(nonce) != _NONCE or start < 0 or end < start or end + _TAG > len(buf):
            raise ValueError("aead: range")
        buf[end] = buf[end]  # a read-only buffer raises TypeError here
        state = self._state
        stream(0, 0, state, _work, nonce, 0, buf, 0)
        if _mac(len(ad), start, _work, ad, buf, end, _VERIFY):
            return -1
        if start < end:
            stream(1, start, state, _work, nonce, 0, buf, end)
        return end


def poly1305(key, data):
    """The 16-byte Poly1305 tag of `data` under a 32-byte one-time key (RFC 8439 section 2.5)."""
    if len(key) != _KEY:
        raise ValueError("poly1305: key")
    _work[:_KEY] = key
    tag = bytearray(_TAG)
    _mac(len(data), 0, _work, data, tag, 0, _BARE)
    return bytes(tag)
