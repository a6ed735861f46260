"""Copying, comparing and scanning inside buffers, as machine code (see wire.py for what they promise).

The bytecode of the same loops costs a board some 800 instructions a byte and a call frame on the heap. Nothing is
checked here: every caller passes offsets that it has taken from a length or from its own layout.
"""


@micropython.viper
def copy(to: ptr8, at: int, source: ptr8, start: int, n: int):  # noqa: F821
    """Copy source[start:start+n] to to[at:at+n]."""
    # Eight bytes a turn: of what a byte costs, most is the loop. The first three arguments are in registers.
    to = ptr8(int(to) + at)  # noqa: F821
    source = ptr8(int(source) + start)  # noqa: F821
    at = n
    while at >= 8:
        to[0] = source[0]
        to[1] = source[1]
        to[2] = source[2]
        to[3] = source[3]
        to[4] = source[4]
        to[5] = source[5]
        to[6] = source[6]
        to[7] = source[7]
        to = ptr8(int(to) + 8)  # noqa: F821
        source = ptr8(int(source) + 8)  # noqa: F821
        at -= 8
    while at:
        to[0] = source[0]
        to = ptr8(int(to) + 1)  # noqa: F821
        source = ptr8(int(source) + 1)  # noqa: F821
        at -= 1


@micropython.viper
def same(a: ptr8, at: int, b: ptr8, start: int, n: int) -> bool:  # noqa: F821
    """Whether a[at:at+n] equals b[start:start+n]."""
    end: int = at + n
    while at < end:
        if a[at] != b[start]:
            return False
        at += 1
        start += 1
    return True


@micropython.viper
def u16(buf: ptr8, at: int) -> int:  # noqa: F821
    """The big-endian 16-bit number at buf[at:at+2]."""
    return buf[at] << 8 | buf[at + 1]


@micropython.viper
def put_u16(buf: ptr8, at: int, value: int):  # noqa: F821
    """Write `value` (0-65535) big-endian to buf[at:at+2]."""
    buf[at] = value >> 8
    buf[at + 1] = value


@micropython.viper
def find(pool: ptr8, end: int, step: int, buf: ptr8, at: int, n: int) -> int:  # noqa: F821
    """The offset of the record in use whose id begins as buf[at:at+n], or -1."""
    # Both are in registers, and what is asked of each record is asked without a comparison.
    start = int(pool)
    buf = ptr8(int(buf) + at)  # noqa: F821
    first = buf[0]
    while end:
        if pool[0] ^ first:
            pass
        elif pool[63]:
            at = 1
            while at < n and pool[at] == buf[at]:
                at += 1
            if at == n:
                return int(pool) - start
        pool = ptr8(int(pool) + step)  # noqa: F821
        end -= step
    return -1


@micropython.viper
def is_repeat(buf: ptr8, n: int, seen: ptr32) -> bool:  # noqa: F821
    """Whether the tag buf[1:5] is among the last `n` ones, in seen[1 : n + 1]; if not, it takes the place of the oldest."""
    tag = ((buf[4] << 8 | buf[3]) << 8 | buf[2]) << 8 | buf[1]
    size = n
    buf = ptr8(int(seen) + 4 * n)  # noqa: F821
    while n:
        if ptr32(buf)[0] ^ tag:  # noqa: F821
            buf = ptr8(int(buf) - 4)  # noqa: F821
            n -= 1
        else:
            return True
    if size:
        n = seen[0] + 1
        if n > size:
            n = 1
        seen[0] = n
        seen[n] = tag
    return False


@micropython.viper
def nearest(pool: ptr8, end: int, step: int, target: ptr8, beyond: int, found: ptr32, n: int) -> int:  # noqa: F821
    """Put the offsets of the `n` live entries nearest to a target in `found`."""
    count = 0
    at = 0
    while at < end:
        # table.py: the state byte of an entry that misses nothing, and some credit
        if pool[at + 63] & 15 == 1 and pool[at + 62]:
            key = (pool[at] ^ target[0]) << 16 | (pool[at + 1] ^ target[1]) << 8 | pool[at + 2] ^ target[2]
            if key > beyond:
                j = count
                while j:
                    q = int(found[j - 1])
                    i = 0
                    while i < 7 and pool[at + i] == pool[q + i]:
                        i += 1
                    if pool[at + i] ^ target[i] > pool[q + i] ^ target[i]:
                        break
                    if j < n:
                        found[j] = q
                    j -= 1
                if j < n:
                    found[j] = at
                    if count < n:
                        count += 1
        at += step
    return count
