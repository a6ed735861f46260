"""Public keys and signatures of Ed25519 (RFC 8032) on the viper field engine. What a caller may pass is in ed25519.py; the
points and formulas are in ed25519base_viper.py.

**Multiples of the base point** come from a comb of four teeth: an odd scalar is the sum of 256 digits of +1 or -1 times
2**i; digits i, i+64, i+128, i+192 form one of 16 columns, eight in the table and their negatives, so that 64 doublings
and 64 additions do.

**Constant time.** Seeds, secret scalars and the digits made from them touch no branch and no address: the whole table is
read for each column, the sign is a mask.
"""

from .ed25519base_viper import ADD_ON, DOUBLE, ORDER, Job, encode, hash_of, modulo, new_workspace, set_neutral, slot
from .field_viper import compute, repeat, unpack
from .sha512_viper import sha512

_SLOT = const(80)
_COLUMNS_PER_STEP = const(11)

_COLUMN = DOUBLE[:-1] + ADD_ON

# x, y of (2**192 + s2 * 2**128 + s1 * 2**64 + s0) * B, where si is -1 if bit i of the place in the table is set, else 1.
_COMB = (
    b"\xf0\x5f\xbe\xb5\x0d\x10\x6b\x38\x32\xac\x76\x80\xbd\xca\x94\x71"
    b"\x7a\xf2\xc9\x35\x2a\xde\x9f\x42\x49\x18\x01\xab\xbc\xef\x7c\x64"
    b"\x3f\x58\x3d\x92\x59\xdb\x13\xdb\x58\x6e\x0a\xe0\xb7\x91\x4a\x08"
    b"\x20\xd6\x2e\x3c\x45\xc9\x8b\x17\x79\xe7\xc7\x90\x99\x3a\x18\x25"
    b"\xf9\x20\x23\xf7\x0b\x5d\x7e\x7e\xf3\xb8\xf7\xf3\xff\xe9\xf5\xd2"
    b"\xa2\xbc\xf2\xd7\xc1\x84\x18\x7a\x51\x94\xff\x05\x03\x7b\x68\x1e"
    b"\xa9\x32\x3d\x1e\xbc\xd1\xfc\x86\x35\xd8\x05\xff\x26\xca\xb6\x3a"
    b"\x32\x21\x1e\xe5\x5e\x08\xf5\x68\xdd\x1e\x9c\x01\x9a\x1b\x4f\x09"
    b"\xc4\xb3\x31\x24\x52\x3e\x6d\x34\x04\xcc\x39\xd9\xa6\xee\xb5\x9e"
    b"\xd1\x53\x37\x88\x0e\xbc\xed\x4b\x56\xc8\xbd\xa7\x51\xb5\x38\x0d"
    b"\x6f\x25\xcc\x53\x16\xbf\x65\x98\x3e\xd2\x3b\x6a\x57\x80\xc1\xe3"
    b"\xa2\x6f\x60\x5c\x91\x38\xd7\x92\xc4\xc3\x66\xa0\x05\xb4\x0b\x51"
    b"\x30\x61\x15\x2a\xc7\xc5\x92\xba\x62\xbf\xc4\x03\x6f\xbc\xfe\xa8"
    b"\xa2\x9a\x86\x3e\xad\x66\xc1\xc7\x4d\xb7\x7c\x55\xd8\xd4\x5e\x2e"
    b"\x5d\xab\xa9\xae\x58\x55\xf6\x3c\x67\xef\x46\x9b\x1c\x6b\x53\x0a"
    b"\x91\x47\x47\x6e\x8c\xb0\x64\x40\x0e\x11\x5d\x9d\x7c\xb2\x09\x40"
    b"\x9c\x18\x1e\x33\xb9\xc3\xc6\xcd\x91\x05\x36\xd5\x76\x04\xad\x51"
    b"\x35\x03\x86\xa1\x4f\xd4\x73\x48\xbb\x5a\xd3\xcb\xb5\x5b\x86\x7f"
    b"\xed\x73\x41\xf2\xb0\x0a\x09\xe0\x5c\x83\x0e\xf4\xca\x72\x2b\x3a"
    b"\xc8\x58\xbe\x62\x84\xc0\xc6\xc0\xce\xb9\x15\x31\x3e\xb6\x9e\x7b"
    b"\xdc\x38\xfb\x28\x50\x91\xf0\xbc\x3f\x2d\x76\x7e\x22\x4f\x16\xa5"
    b"\x4f\x22\x51\xfb\x92\x7d\xae\x82\xfd\x28\xc5\xe8\x46\x94\x26\x05"
    b"\xa5\x0e\x09\x83\xb5\xac\x23\xdc\x12\x59\xfc\x47\x84\xae\x6a\xb0"
    b"\x82\x9a\xc4\x10\x46\x07\x46\xbc\x59\xfd\x08\x60\xd7\x07\x77\x18"
    b"\x12\x9a\x66\x08\x72\xf1\x79\x96\x57\x51\xe6\x01\x70\x56\x04\xc4"
    b"\xbc\xe1\xda\x49\xb2\x5c\x66\xad\xdf\x84\x1b\xf3\x1f\xe4\xac\x2e"
    b"\xd5\xce\xd7\xa5\xe7\xc3\x58\x80\x65\x5b\x61\x56\x03\x0c\xc1\xab"
    b"\xb8\x26\x4e\x4c\xa2\xc2\x22\x0c\x87\x05\xd8\x7c\xaf\x19\xfc\x14"
    b"\xbf\x33\x75\x24\x5a\xfd\xe6\x33\x49\x7d\xf4\xbb\xef\x93\x29\x8e"
    b"\xbf\xaf\x93\xaa\x64\x37\x09\xcf\x5c\x17\xd2\xc1\x4b\x6e\xe4\x45"
    b"\x7f\x04\xfe\xff\x6d\xa5\xc9\x17\x0b\xcb\xa5\x17\x2d\x45\x6a\xfd"
    b"\x91\xdb\xb1\xff\x89\x8b\x7a\x95\xca\x50\x36\x86\xfa\x25\xea\x05"
)


@micropython.viper
def _comb_digits(digits: ptr8, scalar: ptr8, ell: ptr8):
    """The 256 signs of a scalar below 2**255, as bits (1: plus): those of scalar + L if it is even."""
    even = (scalar[0] & 1) - 1
    carry = 0
    i = 0
    while i < 32:
        carry += scalar[i] + (ell[i] & even)
        digits[i] = carry
        carry >>= 8
        i += 1
    i = 0
    while i < 31:
        digits[i] = digits[i] >> 1 | digits[i + 1] << 7
        i += 1
    digits[31] = digits[31] >> 1 | 128


@micropython.viper
def _pick(p: ptr32, x: int, table: ptr32, digits: ptr8):
    """Write what column x of the comb's digits stands for to three slots at p, reading the whole table."""
    to = p
    at = x >> 3
    x &= 7
    minus = (digits[at + 24] >> x & 1) - 1
    place = digits[at] >> x & 1 | (digits[at + 8] >> x & 1) << 1 | (digits[at + 16] >> x & 1) << 2
    place ^= minus & 7 ^ 7
    kept = p
    n = 12
    while n:
        kept[0] = 0
        kept[1] = 0
        kept[2] = 0
        kept[3] = 0
        kept[4] = 0
        kept = ptr32(int(kept) + 20)
        n -= 1
    p = table
    row = 0
    while row < 8:
        wanted = (row ^ place) - 1 >> 31
        kept = to
        n = 6
        while n:
            kept[0] = p[0] & wanted | kept[0]
            kept[1] = p[1] & wanted | kept[1]
            kept[2] = p[2] & wanted | kept[2]
            kept[3] = p[3] & wanted | kept[3]
            kept[4] = p[4] & wanted | kept[4]
            kept[5] = p[5] & wanted | kept[5]
            kept[6] = p[6] & wanted | kept[6]
            kept[7] = p[7] & wanted | kept[7]
            kept[8] = p[8] & wanted | kept[8]
            kept[9] = p[9] & wanted | kept[9]
            p = ptr32(int(p) + 40)
            kept = ptr32(int(kept) + 40)
            n -= 1
        row += 1
    p = to
    kept = ptr32(int(p) + 160)
    n = 4
    while n:
        x = (p[0] ^ p[20]) & minus
        p[0] = p[0] ^ x
        p[20] = p[20] ^ x
        kept[0] = (kept[0] ^ minus) - minus
        x = (p[1] ^ p[21]) & minus
        p[1] = p[1] ^ x
        p[21] = p[21] ^ x
        kept[1] = (kept[1] ^ minus) - minus
        x = (p[2] ^ p[22]) & minus
        p[2] = p[2] ^ x
        p[22] = p[22] ^ x
        kept[2] = (kept[2] ^ minus) - minus
        x = (p[3] ^ p[23]) & minus
        p[3] = p[3] ^ x
        p[23] = p[23] ^ x
        kept[3] = (kept[3] ^ minus) - minus
        x = (p[4] ^ p[24]) & minus
        p[4] = p[4] ^ x
        p[24] = p[24] ^ x
        kept[4] = (kept[4] ^ minus) - minus
        p = ptr32(int(p) + 20)
        kept = ptr32(int(kept) + 20)
        n -= 1


# The comb's points as Y+X, Y-X, 2dT in eight rows of three slots, filled at first use. Taken at import, while the heap is
# whole: at a first boot 1,920 bytes in one piece can be hard to find later.
_comb = bytearray(8 * 3 * _SLOT)


def _comb_table(workspace):
    """The filled table. A to D are lost."""
    if not any(_comb[:_SLOT]):
        b, row = slot(workspace, "B"), slot(workspace, "I")[:240]
        for i in range(7, -1, -1):  # row 0 last: an interrupt leaves the table not filled
            unpack(workspace, _COMB[64 * i : 64 * i + 32])
            unpack(b, _COMB[64 * i + 32 : 64 * i + 64])
            compute(b"+IBA*KAB*KKS;", workspace)
            _comb[240 * i : 240 * i + 240] = row
    return _comb


def _base_times(scalar):
    """Yields between slices; returns the encoding of scalar * B, the scalar being 32 bytes and below 2**255."""
    workspace = new_workspace()
    digits = bytearray(32)
    _comb_digits(digits, scalar, ORDER)
    table = _comb_table(workspace)
    yield
    set_neutral(workspace)
    entry = slot(workspace, "E")
    for column in range(63, -1, -1):
        _pick(entry, column, table, digits)
        repeat(_COLUMN, workspace, digits, 1, 1)
        if column % _COLUMNS_PER_STEP == 0:
            yield
    return encode(workspace)


def _expand(seed):
    """(secret scalar, prefix) of a seed, 32 bytes each."""
    digest = sha512(seed)
    scalar = bytearray(digest[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 63 | 64
    return scalar, digest[32:]


def _sign(seed, public, message):
    """Yields between slices; returns the signature."""
    scalar, prefix = _expand(seed)
    nonce = yield from hash_of(prefix, message)
    point = yield from _base_times(nonce)
    yield
    challenge = yield from hash_of(point, public, message)
    return point + bytes(modulo(challenge, scalar, nonce + bytes(32)))


def PublicKey(seed):
    """The job of the 32-byte public key of a seed."""
    return Job(_base_times(_expand(seed)[0]))


def Sign(seed, public, message):
    """The job of the 64-byte signature of a message."""
    return Job(_sign(seed, public, message))
