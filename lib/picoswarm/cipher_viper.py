"""What protects a datagram, ChaCha20 (RFC 8439) and HMAC-SHA256 (RFC 2104, FIPS 180-4), in viper: machine code from
MicroPython source, for runtimes with 32-bit words. Nothing here allocates once the key is set, and nothing branches on or
indexes with a secret.

Rules of the viper functions, here and in the other kernels:
* The first two parameters are the only locals that a precompiled .mpy keeps in registers: they bring in plain numbers
  and then serve as the work registers of the inner loops.
* What stands left of an operator and was only loaded is spilled to the stack while the right side is loaded. What was
  computed is not: so it comes first, `x * y + d`, and chains run to the right.
* Pointers are unchecked: every length is proven before. Words are read at 4-aligned addresses only (a Cortex-M0+ faults on
  others), bytes everywhere else.
* Numbers are cut to 32 bits on the way in. That none of several is negative is asked of all at once, by their signs.
* No jump spans 2 KB: MicroPython 1.25 refuses a longer one for armv6m and mis-encodes one above 4 KB for armv7m.
* `micropython`, `const` and the pointer types are words of the compiler. Importing them would cost a board memory.
* Entrances are native or viper, not bytecode: a bytecode frame above 11 words is taken from the heap at each call.
host_tests/emulator/test_cipher_timing.py counts the instructions for many keys and texts: they are the same.
"""

from .compat import sha256

_KEY = const(32)
_NONCE = const(12)
_LAST = const(0x3FFFFFFF)  # block under one nonce: the counter stays a small int

_BLOCK = const(64)  # of SHA-256
_DIGEST = const(32)
_INNER_PAD = const(0x36363636)
_QUARTER_OUTER_PAD = const(0x17171717)  # of 0x5C5C5C5C, which is no small integer

# Where all kernels work: none runs within another. ChaCha20 keeps a block of key stream there, SHA-256 72 words for its
# rounds and then, at 288, the state of what is hashed.
scratch = bytearray(328)


@micropython.viper
def stream(t: uint, u: uint, state: ptr32, block: ptr32, nonce, at: int, buf, end: int):
    """XOR buf[u:end] with the key stream from block `t` on; nonce[at:at+12] goes into the state. At least one block is
    made and its last one stays in `block`: an empty range is how the AEAD gets its one-time key. Raises as `xor` does."""
    counter = int(t)
    start = int(u)
    n = end - start
    size = int(len(buf))
    nonces = int(len(nonce))
    if start | end | n | (size - end) | at | (nonces - _NONCE - at) | counter | (_LAST - counter - ((n - 1) >> 6)) < 0:
        raise ValueError("chacha20: range")
    if n:
        buf[start] = buf[start]  # a read-only buffer raises TypeError here
    t = uint(state) + 52
    u = uint(ptr8(nonce)) + uint(at)
    i = 12
    while i:
        ptr8(t)[0] = ptr8(u)[0]
        t += 1
        u += 1
        i -= 1
    text = uint(ptr8(buf)) + uint(start)
    while True:
        state[12] = counter
        counter += 1
        i = 16
        while i:
            i -= 1
            block[i] = state[i]
        i = 20
        while i:
            p = int(block)
            j = 4
            while j:
                t = uint(ptr32(p)[4])
                u = uint(ptr32(p)[0]) + t
                ptr32(p)[0] = u
                t = uint(ptr32(p)[12]) ^ u
                u = t << 16
                t = (t >> 16) | u
                ptr32(p)[12] = t
                u = uint(ptr32(p)[8]) + t
                ptr32(p)[8] = u
                t = uint(ptr32(p)[4]) ^ u
                u = t << 12
                t = (t >> 20) | u
                ptr32(p)[4] = t
                u = uint(ptr32(p)[0]) + t
                ptr32(p)[0] = u
                t = uint(ptr32(p)[12]) ^ u
                u = t << 8
                t = (t >> 24) | u
                ptr32(p)[12] = t
                u = uint(ptr32(p)[8]) + t
                ptr32(p)[8] = u
                t = uint(ptr32(p)[4]) ^ u
                u = t << 7
                ptr32(p)[4] = (t >> 25) | u
                p += 4
                j -= 1
            # Turn columns into diagonals, or back: row n is mirrored about n/2, which is its own inverse.
            u = uint(block)
            t = uint(ptr32(u)[1])
            ptr32(u)[1] = ptr32(u)[3]
            ptr32(u)[3] = t
            t = uint(ptr32(u)[4])
            ptr32(u)[4] = ptr32(u)[5]
            ptr32(u)[5] = t
            t = uint(ptr32(u)[6])
            ptr32(u)[6] = ptr32(u)[7]
            ptr32(u)[7] = t
            t = uint(ptr32(u)[8])
            ptr32(u)[8] = ptr32(u)[10]
            ptr32(u)[10] = t
            t = uint(ptr32(u)[12])
            ptr32(u)[12] = ptr32(u)[15]
            ptr32(u)[15] = t
            t = uint(ptr32(u)[13])
            ptr32(u)[13] = ptr32(u)[14]
            ptr32(u)[14] = t
            i -= 1
        i = 16
        while i:
            i -= 1
            block[i] = block[i] + state[i]
        i = 64
        if i > n:
            i = n
        n -= i
        t = text
        u = uint(block)
        if int(t) & 3 == 0:
            while i >= 4:
                ptr32(t)[0] = ptr32(t)[0] ^ ptr32(u)[0]
                t += 4
                u += 4
                i -= 4
        while i:
            ptr8(t)[0] = ptr8(t)[0] ^ ptr8(u)[0]
            t += 1
            u += 1
            i -= 1
        text = t
        if n == 0:
            break


class ChaCha20:
    """ChaCha20 (RFC 8439 section 2.4) under one 32-byte key."""

    def __init__(self, key):
        if len(key) != _KEY:
            raise ValueError("chacha20: key")
        self._state = bytearray(b"expand 32-byte k" + bytes(key) + bytes(16))  # the end takes counter and nonce

    @micropython.native
    def xor(self, nonce, at, counter, buf, start, end):
        """XOR buf[start:end] in place with the key stream that begins at block `counter`; the 12 nonce bytes are
        nonce[at:at+12]. Raises ValueError for a range outside its buffer or a counter that would pass 2**30."""
        stream(counter, start, self._state, scratch, nonce, at, buf, end)


@micropython.viper
def _compress(t: uint, u: uint, work: ptr32, states: ptr8):
    """SHA-256: the state after the block in work[8:24], in work[72:80], from the one at the byte offset `t` of `states`.

    A state is eight words, kept as h ... a: its bytes in reverse are the digest. In work[0:72] lie one and the schedule.
    A round leaves the new `a` where its word of the schedule was: that word and the seven below are h ... a of the next
    round, so that nothing is ever moved. A sum of rotations of one word is a chain of shifts in either direction.
    """
    before = ptr32(int(states) + int(t))
    i = 8
    while i:
        i -= 1
        work[i] = before[i]
    p = int(work) + 32
    i = 48
    while i:
        t = uint(ptr32(p)[1])
        u = ((t << 11) ^ t) << 14
        x = ((((((t >> 11) ^ t) >> 4) ^ t) >> 3) ^ u) + ptr32(p)[0] + ptr32(p)[9]
        t = uint(ptr32(p)[14])
        u = ((t << 2) ^ t) << 13
        ptr32(p)[16] = ((((((t >> 2) ^ t) >> 7) ^ t) >> 10) ^ u) + x
        p += 4
        i -= 1
    p = int(work)
    k = int(
        ptr8(  # big-endian words, since bytes may lie at any address
            b"\x42\x8a\x2f\x98\x71\x37\x44\x91\xb5\xc0\xfb\xcf\xe9\xb5\xdb\xa5"
            b"\x39\x56\xc2\x5b\x59\xf1\x11\xf1\x92\x3f\x82\xa4\xab\x1c\x5e\xd5"
            b"\xd8\x07\xaa\x98\x12\x83\x5b\x01\x24\x31\x85\xbe\x55\x0c\x7d\xc3"
            b"\x72\xbe\x5d\x74\x80\xde\xb1\xfe\x9b\xdc\x06\xa7\xc1\x9b\xf1\x74"
            b"\xe4\x9b\x69\xc1\xef\xbe\x47\x86\x0f\xc1\x9d\xc6\x24\x0c\xa1\xcc"
            b"\x2d\xe9\x2c\x6f\x4a\x74\x84\xaa\x5c\xb0\xa9\xdc\x76\xf9\x88\xda"
            b"\x98\x3e\x51\x52\xa8\x31\xc6\x6d\xb0\x03\x27\xc8\xbf\x59\x7f\xc7"
            b"\xc6\xe0\x0b\xf3\xd5\xa7\x91\x47\x06\xca\x63\x51\x14\x29\x29\x67"
            b"\x27\xb7\x0a\x85\x2e\x1b\x21\x38\x4d\x2c\x6d\xfc\x53\x38\x0d\x13"
            b"\x65\x0a\x73\x54\x76\x6a\x0a\xbb\x81\xc2\xc9\x2e\x92\x72\x2c\x85"
            b"\xa2\xbf\xe8\xa1\xa8\x1a\x66\x4b\xc2\x4b\x8b\x70\xc7\x6c\x51\xa3"
            b"\xd1\x92\xe8\x19\xd6\x99\x06\x24\xf4\x0e\x35\x85\x10\x6a\xa0\x70"
            b"\x19\xa4\xc1\x16\x1e\x37\x6c\x08\x27\x48\x77\x4c\x34\xb0\xbc\xb5"
            b"\x39\x1c\x0c\xb3\x4e\xd8\xaa\x4a\x5b\x9c\xca\x4f\x68\x2e\x6f\xf3"
            b"\x74\x8f\x82\xee\x78\xa5\x63\x6f\x84\xc8\x78\x14\x8c\xc7\x02\x08"
            b"\x90\xbe\xff\xfa\xa4\x50\x6c\xeb\xbe\xf9\xa3\xf7\xc6\x71\x78\xf2"
        )
    )
    i = 64
    while i:
        x = (((((((uint(ptr8(k)[0]) << 8) | ptr8(k)[1]) << 8) | ptr8(k)[2]) << 8) | ptr8(k)[3]) + ptr32(p)[0]) + ptr32(p)[8]
        t = uint(ptr32(p)[3])
        u = ((((t << 5) ^ t) << 14) ^ t) << 7
        x = ((((((t >> 14) ^ t) >> 5) ^ t) >> 6) ^ u) + x
        u = uint(ptr32(p)[1])
        u = (((uint(ptr32(p)[2]) ^ u) & t) ^ u) + x
        ptr32(p)[4] = u + ptr32(p)[4]
        x = u
        t = uint(ptr32(p)[7])
        u = ((((t << 11) ^ t) << 9) ^ t) << 10
        x = ((((((t >> 9) ^ t) >> 11) ^ t) >> 2) ^ u) + x
        u = uint(ptr32(p)[6])
        y = uint(ptr32(p)[5]) ^ u
        ptr32(p)[8] = (((t ^ u) & y) ^ u) + x
        p += 4
        k += 4
        i -= 1
    i = 8
    while i:
        i -= 1
        work[72 + i] = work[64 + i] + before[i]


@micropython.viper
def _tag(t: int, u: int, states, prefix, buf, at: int, n: int, writes: int) -> int:
    """The tag of prefix || buf[t:u] is written to buf[at:at+n], or compared with what is there: 0 where it is the same."""
    first = int(len(prefix))
    if t | u | (u - t) | (int(len(buf)) - u) | at | (int(len(buf)) - n - at) | (n - 1) | (_DIGEST - n) < 0:
        raise ValueError("hmac: range")
    rest = int(ptr8(buf)) + t
    size = first + u - t
    area = scratch
    work = ptr32(area)
    block = int(work) + 32
    source = states
    source_at = 0
    t = 0  # bytes of the message and its padding that are in
    u = int(ptr8(prefix))
    while True:
        if t - size < 9:  # a block of the message, of its 0x80, zeros and size in bits
            end = t + _BLOCK
            while t < end:
                byte = 0
                if t < size:
                    if t == first:
                        u = rest
                    byte = ptr8(u)[0]
                    u += 1
                elif t == size:
                    byte = 0x80
                ptr8(block + ((t & 63) ^ 3))[0] = byte
                t += 1
            if t - size > 8:
                work[23] = (size + _BLOCK) << 3
        else:  # the block of the inner digest
            i = 8
            while i:
                i -= 1
                work[8 + i] = work[79 - i]
                work[16 + i] = 0
            ptr8(block)[35] = 0x80
            work[23] = (_BLOCK + _DIGEST) << 3
            source = states
            source_at = _DIGEST
        _compress(source_at, 0, area, source)
        if source_at == _DIGEST:
            break
        source = area
        source_at = 288
    if writes:
        buf[at] = buf[at]  # a read-only buffer raises TypeError here
    u = int(ptr8(buf)) + at
    t = int(work) + 320
    differ = 0
    while n:
        t -= 1
        differ |= ptr8(t)[0] ^ ptr8(u)[0]
        if writes:
            ptr8(u)[0] = ptr8(t)[0]
        u += 1
        n -= 1
    return differ


class Hmac:
    """HMAC-SHA256 under one key of any size, for one message after another: `prefix` (bytes), and what is named of a buffer.
    The tag, of `size` bytes (1 to 32), stands in the same buffer.

    The hash states after the two padded keys are kept, so that a short message costs two compressions instead of four.
    Stock firmware's `hashlib` cannot do that: its objects cannot be copied, and end with their first digest.
    """

    def __init__(self, key, size=_DIGEST, prefix=b""):
        self.size = size
        self.prefix = prefix
        if len(key) > _BLOCK:
            key = sha256(key).digest()
        self._state = bytearray(2 * _DIGEST)  # after the inner and after the outer padded key
        self.rekey(key, 0, len(key))

    @micropython.viper
    def rekey(self, buf, at: int, n: int):
        """Take the key buf[at:at+n] instead, 0 to 64 bytes. Raises ValueError for another size or a range outside `buf`."""
        if at | n | (_BLOCK - n) | (int(len(buf)) - n - at) < 0:
            raise ValueError("hmac: range")
        key = ptr8(int(ptr8(buf)) + at)
        area = scratch
        work = ptr32(area)
        state = ptr32(self._state)
        initial = ptr8(  # hash words, big-endian
            b"\x6a\x09\xe6\x67\xbb\x67\xae\x85\x3c\x6e\xf3\x72\xa5\x4f\xf5\x3a"
            b"\x51\x0e\x52\x7f\x9b\x05\x68\x8c\x1f\x83\xd9\xab\x5b\xe0\xcd\x19"
        )
        pad = _INNER_PAD
        while True:
            i = 16
            while i:
                i -= 1
                work[8 + i] = pad
            p = int(work) + 32
            i = n
            while i:
                i -= 1
                byte = ptr8(p + (i ^ 3))
                byte[0] = byte[0] ^ key[i]
            p = int(work) + 319
            i = _DIGEST
            while i:
                i -= 1
                ptr8(p - i)[0] = initial[i]
            _compress(288, 0, area, area)
            i = 8
            while i:
                i -= 1
                state[i] = work[72 + i]
            if pad != _INNER_PAD:
                break
            pad = _QUARTER_OUTER_PAD
            pad <<= 2
            state = ptr32(int(state) + _DIGEST)

    @micropython.native
    def sign(self, buf, start, end, at):
        """Write the tag of prefix || buf[start:end] to buf[at:at+size]. Raises ValueError for a range outside the buffer."""
        _tag(start, end, self._state, self.prefix, buf, at, self.size, 1)

    @micropython.native
    def check(self, buf, start, end, at):
        """Whether buf[at:at+size] is what `sign` would write, in a time that does not depend on where they differ. Raises
        as `sign` does."""
        return not _tag(start, end, self._state, self.prefix, buf, at, self.size, 0)

    def digest(self, data):
        """The whole tag of prefix || data (any buffer), 32 bytes."""
        n = len(data)
        buf = bytearray(n + _DIGEST)
        buf[:n] = data
        _tag(0, n, self._state, self.prefix, buf, n, _DIGEST, 1)
        return bytes(buf[n:])
