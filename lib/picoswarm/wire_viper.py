"""Copying, comparing and scanning inside buffers, as machine code (see wire.py for what they promise).

The bytecode of the same loops costs a board some 800 instructions a byte and a call frame on the heap. Nothing is
checked here: every caller passes offsets that it has taken from a length or from its own layout.
"""


@micropython.viper
def copy(to: ptr8, at: int, source: ptr8, start: int, n: int):  # noqa: F821
    """Copy source[start:start+n] to to[at:at+n]."""
    p = int(to) + at
    q = int(source) + start
    end = p + n
    while p + 8 <= end:  # eight at a time: of a byte's cost, most is the loop's
        ptr8(p)[0] = ptr8(q)[0]  # noqa: F821
        ptr8(p)[1] = ptr8(q)[1]  # noqa: F821
        ptr8(p)[2] = ptr8(q)[2]  # noqa: F821
        ptr8(p)[3] = ptr8(q)[3]  # noqa: F821
        ptr8(p)[4] = ptr8(q)[4]  # noqa: F821
        ptr8(p)[5] = ptr8(q)[5]  # noqa: F821
        ptr8(p)[6] = ptr8(q)[6]  # noqa: F821
        ptr8(p)[7] = ptr8(q)[7]  # noqa: F821
        p += 8
        q += 8
    while p < end:
        ptr8(p)[0] = ptr8(q)[0]  # noqa: F821
        p += 1
        q += 1


@micropython.viper
def frame(out: ptr8, at: int, channel: int, flags: int, data: ptr8, start: int, n: int) -> int:  # noqa: F821
    """Write the header of a frame and data[start:start+n] to out[at:]; returns where that ends."""
    out[at] = channel
    out[at + 1] = flags | n >> 8
    out[at + 2] = n
    p = int(out) + at + 3
    q = int(data) + start
    end = p + n
    while p + 8 <= end:  # eight at a time: of a byte's cost, most is the loop's
        ptr8(p)[0] = ptr8(q)[0]  # noqa: F821
        ptr8(p)[1] = ptr8(q)[1]  # noqa: F821
        ptr8(p)[2] = ptr8(q)[2]  # noqa: F821
        ptr8(p)[3] = ptr8(q)[3]  # noqa: F821
        ptr8(p)[4] = ptr8(q)[4]  # noqa: F821
        ptr8(p)[5] = ptr8(q)[5]  # noqa: F821
        ptr8(p)[6] = ptr8(q)[6]  # noqa: F821
        ptr8(p)[7] = ptr8(q)[7]  # noqa: F821
        p += 8
        q += 8
    while p < end:
        ptr8(p)[0] = ptr8(q)[0]  # noqa: F821
        p += 1
        q += 1
    return at + 3 + n


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
def find(pool, step: int, buf: ptr8, at: int, n: int) -> int:  # noqa: F821
    """The offset of the record in use whose id begins as buf[at:at+n], or -1."""
    record = 0
    p = int(ptr8(pool))  # noqa: F821
    end = p + int(len(pool))
    while p < end:
        if ptr8(p)[63]:  # noqa: F821
            i = 0
            while i < n and ptr8(p)[i] == buf[at + i]:  # noqa: F821
                i += 1
            if i == n:
                return record
        p += step
        record += step
    return -1


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
