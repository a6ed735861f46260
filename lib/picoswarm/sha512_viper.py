"""SHA-512 (FIPS 180-4) in viper, for runtimes with 32-bit words. A 64-bit word is two words, high and low; carries come
from sums of 16-bit halves, so that nothing branches on the message. The rules of cipher_viper.py hold."""

_BLOCK = const(128)
_SLICE = const(2048)
_CONSTANTS = const(176)  # 32-bit words
_SCHEDULE = const(704)  # where it begins in the work area, bytes
_WORK = const(1344)

# The eight initial hash words, then the eighty round constants, big-endian.
_TABLE = (
    b"\x6a\x09\xe6\x67\xf3\xbc\xc9\x08\xbb\x67\xae\x85\x84\xca\xa7\x3b"
    b"\x3c\x6e\xf3\x72\xfe\x94\xf8\x2b\xa5\x4f\xf5\x3a\x5f\x1d\x36\xf1"
    b"\x51\x0e\x52\x7f\xad\xe6\x82\xd1\x9b\x05\x68\x8c\x2b\x3e\x6c\x1f"
    b"\x1f\x83\xd9\xab\xfb\x41\xbd\x6b\x5b\xe0\xcd\x19\x13\x7e\x21\x79"
    b"\x42\x8a\x2f\x98\xd7\x28\xae\x22\x71\x37\x44\x91\x23\xef\x65\xcd"
    b"\xb5\xc0\xfb\xcf\xec\x4d\x3b\x2f\xe9\xb5\xdb\xa5\x81\x89\xdb\xbc"
    b"\x39\x56\xc2\x5b\xf3\x48\xb5\x38\x59\xf1\x11\xf1\xb6\x05\xd0\x19"
    b"\x92\x3f\x82\xa4\xaf\x19\x4f\x9b\xab\x1c\x5e\xd5\xda\x6d\x81\x18"
    b"\xd8\x07\xaa\x98\xa3\x03\x02\x42\x12\x83\x5b\x01\x45\x70\x6f\xbe"
    b"\x24\x31\x85\xbe\x4e\xe4\xb2\x8c\x55\x0c\x7d\xc3\xd5\xff\xb4\xe2"
    b"\x72\xbe\x5d\x74\xf2\x7b\x89\x6f\x80\xde\xb1\xfe\x3b\x16\x96\xb1"
    b"\x9b\xdc\x06\xa7\x25\xc7\x12\x35\xc1\x9b\xf1\x74\xcf\x69\x26\x94"
    b"\xe4\x9b\x69\xc1\x9e\xf1\x4a\xd2\xef\xbe\x47\x86\x38\x4f\x25\xe3"
    b"\x0f\xc1\x9d\xc6\x8b\x8c\xd5\xb5\x24\x0c\xa1\xcc\x77\xac\x9c\x65"
    b"\x2d\xe9\x2c\x6f\x59\x2b\x02\x75\x4a\x74\x84\xaa\x6e\xa6\xe4\x83"
    b"\x5c\xb0\xa9\xdc\xbd\x41\xfb\xd4\x76\xf9\x88\xda\x83\x11\x53\xb5"
    b"\x98\x3e\x51\x52\xee\x66\xdf\xab\xa8\x31\xc6\x6d\x2d\xb4\x32\x10"
    b"\xb0\x03\x27\xc8\x98\xfb\x21\x3f\xbf\x59\x7f\xc7\xbe\xef\x0e\xe4"
    b"\xc6\xe0\x0b\xf3\x3d\xa8\x8f\xc2\xd5\xa7\x91\x47\x93\x0a\xa7\x25"
    b"\x06\xca\x63\x51\xe0\x03\x82\x6f\x14\x29\x29\x67\x0a\x0e\x6e\x70"
    b"\x27\xb7\x0a\x85\x46\xd2\x2f\xfc\x2e\x1b\x21\x38\x5c\x26\xc9\x26"
    b"\x4d\x2c\x6d\xfc\x5a\xc4\x2a\xed\x53\x38\x0d\x13\x9d\x95\xb3\xdf"
    b"\x65\x0a\x73\x54\x8b\xaf\x63\xde\x76\x6a\x0a\xbb\x3c\x77\xb2\xa8"
    b"\x81\xc2\xc9\x2e\x47\xed\xae\xe6\x92\x72\x2c\x85\x14\x82\x35\x3b"
    b"\xa2\xbf\xe8\xa1\x4c\xf1\x03\x64\xa8\x1a\x66\x4b\xbc\x42\x30\x01"
    b"\xc2\x4b\x8b\x70\xd0\xf8\x97\x91\xc7\x6c\x51\xa3\x06\x54\xbe\x30"
    b"\xd1\x92\xe8\x19\xd6\xef\x52\x18\xd6\x99\x06\x24\x55\x65\xa9\x10"
    b"\xf4\x0e\x35\x85\x57\x71\x20\x2a\x10\x6a\xa0\x70\x32\xbb\xd1\xb8"
    b"\x19\xa4\xc1\x16\xb8\xd2\xd0\xc8\x1e\x37\x6c\x08\x51\x41\xab\x53"
    b"\x27\x48\x77\x4c\xdf\x8e\xeb\x99\x34\xb0\xbc\xb5\xe1\x9b\x48\xa8"
    b"\x39\x1c\x0c\xb3\xc5\xc9\x5a\x63\x4e\xd8\xaa\x4a\xe3\x41\x8a\xcb"
    b"\x5b\x9c\xca\x4f\x77\x63\xe3\x73\x68\x2e\x6f\xf3\xd6\xb2\xb8\xa3"
    b"\x74\x8f\x82\xee\x5d\xef\xb2\xfc\x78\xa5\x63\x6f\x43\x17\x2f\x60"
    b"\x84\xc8\x78\x14\xa1\xf0\xab\x72\x8c\xc7\x02\x08\x1a\x64\x39\xec"
    b"\x90\xbe\xff\xfa\x23\x63\x1e\x28\xa4\x50\x6c\xeb\xde\x82\xbd\xe9"
    b"\xbe\xf9\xa3\xf7\xb2\xc6\x79\x15\xc6\x71\x78\xf2\xe3\x72\x53\x2b"
    b"\xca\x27\x3e\xce\xea\x26\x61\x9c\xd1\x86\xb8\xc7\x21\xc0\xc2\x07"
    b"\xea\xda\x7d\xd6\xcd\xe0\xeb\x1e\xf5\x7d\x4f\x7f\xee\x6e\xd1\x78"
    b"\x06\xf0\x67\xaa\x72\x17\x6f\xba\x0a\x63\x7d\xc5\xa2\xc8\x98\xa6"
    b"\x11\x3f\x98\x04\xbe\xf9\x0d\xae\x1b\x71\x0b\x35\x13\x1c\x47\x1b"
    b"\x28\xdb\x77\xf5\x23\x04\x7d\x84\x32\xca\xab\x7b\x40\xc7\x24\x93"
    b"\x3c\x9e\xbe\x0a\x15\xc9\xbe\xbc\x43\x1d\x67\xc4\x9c\x10\x0d\x4c"
    b"\x4c\xc5\xd4\xbe\xcb\x3e\x42\xb6\x59\x7f\x29\x9c\xfc\x65\x7e\x2a"
    b"\x5f\xcb\x6f\xab\x3a\xd6\xfa\xec\x6c\x44\x19\x8c\x4a\x47\x58\x17"
)


@micropython.viper
def _swap(to: ptr32, at: int, data: ptr8, start: int, count: int):
    """`count` 32-bit words from big-endian data[start:] to the byte offset `at`, or the other way: it is its own inverse."""
    p = int(data) + start
    q = int(to) + at
    while count:
        w = ptr8(p)[0]
        w = (w << 8) | ptr8(p)[1]
        w = (w << 8) | ptr8(p)[2]
        ptr32(q)[0] = (w << 8) | ptr8(p)[3]
        p += 4
        q += 4
        count -= 1


@micropython.viper
def _compress(t: uint, u: uint, work: ptr32):
    """One block, whose first 16 words are in the schedule: work is hash, constants, schedule."""
    w = int(work) + _SCHEDULE
    i = 64
    while i:
        xh = uint(ptr32(w)[2])
        xl = uint(ptr32(w)[3])
        t = xh >> 1
        t = (xl << 31) ^ t
        t = (xh >> 8) ^ t
        t = (xl << 24) ^ t
        yh = (xh >> 7) ^ t
        t = xl >> 1
        t = (xh << 31) ^ t
        t = (xl >> 8) ^ t
        t = (xh << 24) ^ t
        t = (xl >> 7) ^ t
        yl = (xh << 25) ^ t
        xh = uint(ptr32(w)[28])
        xl = uint(ptr32(w)[29])
        t = xh >> 19
        t = (xl << 13) ^ t
        t = (xl >> 29) ^ t
        t = (xh << 3) ^ t
        zh = (xh >> 6) ^ t
        t = xl >> 19
        t = (xh << 13) ^ t
        t = (xh >> 29) ^ t
        t = (xl << 3) ^ t
        t = (xl >> 6) ^ t
        zl = (xh << 26) ^ t
        t = uint(ptr16(w)[2]) + ptr16(w)[38]
        u = uint(ptr16(w)[3]) + ptr16(w)[39]
        t = (yl & 0xFFFF) + t
        u = (yl >> 16) + u
        t = (zl & 0xFFFF) + t
        u = (zl >> 16) + u
        u = (t >> 16) + u
        t = t & 0xFFFF
        xl = (u << 16) | t
        t = yh + (u >> 16)
        t = zh + t
        t = uint(ptr32(w)[0]) + t
        t = uint(ptr32(w)[18]) + t
        w += 8
        ptr32(w)[30] = t
        ptr32(w)[31] = xl
        i -= 1
    ah = uint(work[0])
    al = uint(work[1])
    bh = uint(work[2])
    bl = uint(work[3])
    ch = uint(work[4])
    cl = uint(work[5])
    dh = uint(work[6])
    dl = uint(work[7])
    eh = uint(work[8])
    el = uint(work[9])
    fh = uint(work[10])
    fl = uint(work[11])
    gh = uint(work[12])
    gl = uint(work[13])
    hh = uint(work[14])
    hl = uint(work[15])
    k = int(work) + 64
    w = k + 640
    i = 80
    while i:
        t = eh >> 14
        t = (el << 18) ^ t
        t = (eh >> 18) ^ t
        t = (el << 14) ^ t
        t = (el >> 9) ^ t
        yh = (eh << 23) ^ t
        t = el >> 14
        t = (eh << 18) ^ t
        t = (el >> 18) ^ t
        t = (eh << 14) ^ t
        t = (eh >> 9) ^ t
        yl = (el << 23) ^ t
        t = gh
        u = fh ^ t
        u = eh & u
        xh = u ^ t
        t = gl
        u = fl ^ t
        u = el & u
        xl = u ^ t
        t = uint(ptr32(k)[0]) + ptr32(w)[0]
        t = hh + t
        t = yh + t
        th = xh + t
        t = uint(ptr16(k)[2]) + ptr16(w)[2]
        u = uint(ptr16(k)[3]) + ptr16(w)[3]
        t = (hl & 0xFFFF) + t
        u = (hl >> 16) + u
        t = (yl & 0xFFFF) + t
        u = (yl >> 16) + u
        t = (xl & 0xFFFF) + t
        tm = (xl >> 16) + u
        tl = t
        hh = gh
        hl = gl
        gh = fh
        gl = fl
        fh = eh
        fl = el
        t = (dl & 0xFFFF) + t
        u = (dl >> 16) + tm
        u = (t >> 16) + u
        t = t & 0xFFFF
        el = (u << 16) | t
        u = (u >> 16) + dh
        eh = u + th
        dh = ch
        dl = cl
        t = ah >> 28
        t = (al << 4) ^ t
        t = (al >> 2) ^ t
        t = (ah << 30) ^ t
        t = (al >> 7) ^ t
        yh = (ah << 25) ^ t
        t = al >> 28
        t = (ah << 4) ^ t
        t = (ah >> 2) ^ t
        t = (al << 30) ^ t
        t = (ah >> 7) ^ t
        yl = (al << 25) ^ t
        t = bh
        u = ah ^ t
        t = ch ^ t
        t = u & t
        xh = bh ^ t
        t = bl
        u = al ^ t
        t = cl ^ t
        t = u & t
        xl = bl ^ t
        ch = bh
        cl = bl
        bh = ah
        bl = al
        t = (yl & 0xFFFF) + tl
        u = (yl >> 16) + tm
        t = (xl & 0xFFFF) + t
        u = (xl >> 16) + u
        u = (t >> 16) + u
        t = t & 0xFFFF
        al = (u << 16) | t
        u = (u >> 16) + th
        u = yh + u
        ah = xh + u
        k += 8
        w += 8
        i -= 1
    # Add the block's words to the hash, by way of the schedule, which is spent.
    k = int(work)
    w = k + _SCHEDULE
    ptr32(w)[0] = ah
    ptr32(w)[1] = al
    ptr32(w)[2] = bh
    ptr32(w)[3] = bl
    ptr32(w)[4] = ch
    ptr32(w)[5] = cl
    ptr32(w)[6] = dh
    ptr32(w)[7] = dl
    ptr32(w)[8] = eh
    ptr32(w)[9] = el
    ptr32(w)[10] = fh
    ptr32(w)[11] = fl
    ptr32(w)[12] = gh
    ptr32(w)[13] = gl
    ptr32(w)[14] = hh
    ptr32(w)[15] = hl
    i = 8
    while i:
        t = uint(ptr16(k)[2]) + ptr16(w)[2]
        u = uint(ptr16(k)[3]) + ptr16(w)[3]
        u = (t >> 16) + u
        t = t & 0xFFFF
        ptr32(k)[1] = (u << 16) | t
        t = uint(ptr32(k)[0]) + (u >> 16)
        ptr32(k)[0] = t + ptr32(w)[0]
        k += 8
        w += 8
        i -= 1


def _absorb(work, data, at, end):
    """Take data[at:end], whole blocks, into the hash."""
    while at < end:
        _swap(work, _SCHEDULE, data, at, 32)
        _compress(0, 0, work)
        at += _BLOCK


def hashing(data):
    """The 64-byte SHA-512 digest of `data` is what this generator returns. It yields between slices of 2 KB, of less than a
    million instructions each."""
    size = len(data)
    whole = size - size % _BLOCK
    tail = bytes(data[whole:]) + b"\x80"
    tail += bytes(-(len(tail) + 16) % _BLOCK + 8) + (size * 8).to_bytes(8, "big")
    work = bytearray(_WORK)
    _swap(work, 0, _TABLE, 0, _CONSTANTS)
    for at in range(0, whole, _SLICE):
        if at:
            yield
        _absorb(work, data, at, min(at + _SLICE, whole))
    _absorb(work, tail, 0, len(tail))
    digest = bytearray(64)
    _swap(digest, 0, work, 0, 16)
    return bytes(digest)


def sha512(data):
    """The 64-byte SHA-512 digest of `data`. About 55,000 instructions for each 128 bytes."""
    job = hashing(data)
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value
