"""ChaCha20 (RFC 8439) in viper: machine code from MicroPython source, for runtimes with 32-bit words. Nothing here
allocates once the key is set, and nothing branches on or indexes with a secret.

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

_KEY = const(32)
_NONCE = const(12)
_LAST = const(0x3FFFFFFF)  # block under one nonce: the counter stays a small int

# Where a kernel works, for all of them: none runs within another. Here it holds a block of key stream.
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
