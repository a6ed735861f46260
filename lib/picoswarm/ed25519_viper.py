"""Ed25519 (RFC 8032) on the viper field engine. What a caller may pass, and the refusals, are in ed25519.py.

Points are in extended coordinates X, Y, Z, T in slots A to D; what is added to them lies in E to H as Y+X, Y-X, 2dT, 2Z
(no H where Z is 1). The formulas are add- and dbl-2008-hwcd of the Explicit-Formulas Database, complete on this curve.

**Multiples of the base point** come from a comb of four teeth: an odd scalar is the sum of 256 digits of +1 or -1 times
2**i; digits i, i+64, i+128, i+192 form one of 16 columns, eight in the table and their negatives, so that 64 doublings
and 64 additions do. **Verification** lets the same comb join in the last 64 of the doublings that k*A needs with signed
windows of four bits.

**Constant time.** Seeds, secret scalars and the digits made from them touch no branch and no address: the whole table is
read for each column, the sign is a mask, the arithmetic modulo L has fixed limbs (the engine: see field_viper.py). The
hash is sha512_viper.py's matter. Verification works on public data and is not in constant time.
"""

from .field_viper import CHAIN, INVERSE, compute, pack, repeat, unpack
from .sha512_viper import hashing, sha512

_SLOT = const(80)
_SLOTS = const(19)
_COLUMNS_PER_STEP = const(11)
_WORK_PER_STEP = const(26)

_DOUBLE_ON = b"+IAB^KA ^LB ^MC ^NI +OKL2QPM+ION*AJQ*BPO*CQP;"
_ADD_ON = b"+IBA*KJF*LIE*MDG*NCH+OLK+QNM*APR*BQO*CRQ;"
_SUBTRACT_ON = b"+IBA*KJE*LIF*MDG*NCH+OLK+QNM*APQ*BRO*CQR;"
_ADD_COMB_ON = b"+IBA1NCC*KJF*LIE*MDG+OLK+QNM*APR*BQO*CRQ;"
# Those leave T as it was, which is enough where a doubling comes next; these write it.
_DOUBLE = _DOUBLE_ON[:-1] + b"*DJO;"
_COLUMN = _DOUBLE[:-1] + _ADD_COMB_ON
_ADD = _ADD_ON[:-1] + b"*DPO;"
_SUBTRACT = _SUBTRACT_ON[:-1] + b"*DPO;"
# I, J, K, L = Y+X, Y-X, 2dT, 2Z of the point, to be copied to E to H. S = 2d.
_CACHE = b"+IBA1LCC*KDS;"

_ROOT = b"\x82^CC *CCA;"  # on from CHAIN: (p - 5) / 8 = 2**252 - 3

_ONE = b"\x01" + bytes(31)
_D = (
    b"\xa3\x78\x59\x13\xca\x4d\xeb\x75\xab\xd8\x41\x41\x4d\x0a\x70\x00"
    b"\x98\xe8\x79\x77\x79\x40\xc7\x8c\x73\xfe\x6f\x2b\xee\x6c\x03\x52"
)
_2D = (
    b"\x59\xf1\xb2\x26\x94\x9b\xd6\xeb\x56\xb1\x83\x82\x9a\x14\xe0\x00"
    b"\x30\xd1\xf3\xee\xf2\x80\x8e\x19\xe7\xfc\xdf\x56\xdc\xd9\x06\x24"
)
_ROOT_OF_MINUS_1 = (
    b"\xb0\xa0\x0e\x4a\x27\x1b\xee\xc4\x78\xe4\x2f\xad\x06\x18\x43\x2f"
    b"\xa7\xd7\xfb\x3d\x99\x00\x4d\x2b\x0b\xdf\xc1\x4f\x80\x24\x83\x2b"
)
# L = 2**252 + 27742317777372353535851937790883648493, the order of the base point B.
_L = b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14" + bytes(15) + b"\x10"
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
def _modulo_l(x: ptr32, carry: int, result: ptr8, ell: ptr8):
    """The 32 bytes of x modulo L: x has 64 limbs of 8 bits, each at most 2**22, below 2**512 in all; it is overwritten."""
    i = 0
    while i < 64:
        carry += x[i]
        x[i] = carry & 255
        carry >>= 8
        i += 1
    # 2**256 = -16 * (L - 2**252) modulo L takes the limbs above 31 away, the highest first.
    i = 63
    while i > 31:
        top = x[i] << 4
        at = i - 32
        carry = 0
        j = 0
        while j < 20:
            carry += x[at + j] - top * ell[j]
            x[at + j] = (carry + 128 & 255) - 128
            carry = carry + 128 >> 8
            j += 1
        x[at + 20] += carry
        i -= 1
    # The quotient by 2**252 twice leaves -(L - 2**252) <= x < L; then L is added once more to what is negative.
    turn = 0
    shift = 4
    while turn < 3:
        if turn == 2:
            shift = 31
        top = x[31] >> shift
        carry = 0
        i = 0
        while i < 32:
            carry += x[i] - top * ell[i]
            x[i] = carry & 255
            carry >>= 8
            i += 1
        x[31] += carry << 8
        turn += 1
    i = 0
    while i < 32:
        result[i] = x[i]
        i += 1


@micropython.viper
def _multiply_add(x: ptr32, y: int, rows: int, a: ptr8, b: ptr8, c: ptr8):
    """x = a * b + c in 64 limbs of 8 bits, not carried; a has `rows` bytes, b 32, c 64."""
    i = 0
    while i < 64:
        x[i] = c[i]
        i += 1
    i = 0
    while i < rows:
        y = a[i]
        j = 0
        while j < 32:
            x[j] = b[j] * y + x[j]
            j += 1
        x = ptr32(int(x) + 4)
        i += 1


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


def _slot(workspace, letter):
    return memoryview(workspace)[(ord(letter) - 65) * _SLOT :]


def _new_workspace():
    """All zero but S."""
    workspace = bytearray(_SLOT * _SLOTS)
    unpack(_slot(workspace, "S"), _2D)
    return workspace


def _set_neutral(workspace):
    """A to D = the neutral element, 0:1:1:0."""
    workspace[: 4 * _SLOT] = bytes(4 * _SLOT)
    workspace[_SLOT] = workspace[2 * _SLOT] = 1


def _encode(workspace):
    """The 32 bytes of the point in A to D, which is lost. 1 M instructions."""
    compute(b"0ECC;", workspace)
    compute(CHAIN, _slot(workspace, "E"))
    compute(INVERSE, _slot(workspace, "E"))
    compute(b"*AAG*BBG;", workspace)
    out = bytearray(32)
    pack(out, workspace)
    sign = out[0] & 1
    pack(out, _slot(workspace, "B"))
    out[31] |= sign << 7
    return bytes(out)


# The comb's points as Y+X, Y-X, 2dT in eight rows of three slots, filled at first use. Taken at import, while the heap is
# whole: at a first boot 1,920 bytes in one piece can be hard to find later.
_comb = bytearray(8 * 3 * _SLOT)


def _comb_table(workspace):
    """The filled table. A to D are lost."""
    if not any(_comb[:_SLOT]):
        b, row = _slot(workspace, "B"), _slot(workspace, "I")[:240]
        for i in range(7, -1, -1):  # row 0 last: an interrupt leaves the table not filled
            unpack(workspace, _COMB[64 * i : 64 * i + 32])
            unpack(b, _COMB[64 * i + 32 : 64 * i + 64])
            compute(b"+IBA*KAB*KKS;", workspace)
            _comb[240 * i : 240 * i + 240] = row
    return _comb


def _base_times(scalar):
    """Yields between slices; returns the encoding of scalar * B, the scalar being 32 bytes and below 2**255."""
    workspace = _new_workspace()
    digits = bytearray(32)
    _comb_digits(digits, scalar, _L)
    table = _comb_table(workspace)
    yield
    _set_neutral(workspace)
    entry = _slot(workspace, "E")
    for column in range(63, -1, -1):
        _pick(entry, column, table, digits)
        repeat(_COLUMN, workspace, digits, 1, 1)
        if column % _COLUMNS_PER_STEP == 0:
            yield
    return _encode(workspace)


def _modulo(a, b, c):
    """a * b + c modulo L in 32 bytes; b has 32 bytes, c 64."""
    limbs = bytearray(256)
    result = bytearray(32)
    _multiply_add(limbs, 0, len(a), a, b, c)
    _modulo_l(limbs, 0, result, _L)
    return result


def _hash(*parts):
    """SHA-512 of the parts, modulo L. Yields between slices."""
    digest = yield from hashing(b"".join([bytes(part) for part in parts]))
    return _modulo(b"", b"", digest)


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
    nonce = yield from _hash(prefix, message)
    point = yield from _base_times(nonce)
    yield
    challenge = yield from _hash(point, public, message)
    return point + bytes(_modulo(challenge, scalar, nonce + bytes(32)))


@micropython.viper
def _windows(digits: ptr8, scalar: ptr8):
    """Of a scalar below 2**253 the 254 signed digits, zeros left out: one in four is odd, -7 to 7, modulo 256."""
    carry = 0
    i = 0
    while i < 254:
        at = i >> 3
        window = scalar[at]
        if at < 31:
            window |= scalar[at + 1] << 8
        window >>= i & 7
        if window & 1 == carry:
            i += 1
        else:
            window = (window & 15) + carry
            carry = window >> 3
            digits[i] = window - (carry << 4)
            i += 4


def _set_minus(workspace, public):
    """A to D = minus the point of an encoding. Yields between slices; returns if there is one (RFC 8032, 5.1.3)."""
    y = bytearray(public)
    y[31] &= 127
    unpack(_slot(workspace, "B"), y)
    unpack(_slot(workspace, "C"), _ONE)
    unpack(_slot(workspace, "L"), _D)
    compute(
        b"^IB "
        b"+JIC*MLI"  # K = u = y*y - 1
        b"+NMC^PN "  # N = v = d*y*y + 1
        b"*PPN"
        b"*AKP^EP "  # A = u * v**3
        b"*EEN"
        b"*EEK;",  # E = u * v**7
        workspace,
    )
    yield
    compute(CHAIN, _slot(workspace, "E"))
    compute(_ROOT, _slot(workspace, "E"))
    compute(b"*AAG^HA *HHN+HKH;", workspace)  # A = x; H, I = u + v*x*x, u - v*x*x
    x = bytearray(32)
    pack(x, _slot(workspace, "I"))
    if any(x):
        pack(x, _slot(workspace, "H"))
        if any(x):
            return False
        unpack(_slot(workspace, "E"), _ROOT_OF_MINUS_1)
        compute(b"*AAE;", workspace)
    compute(b"0EAA;", workspace)
    pack(x, _slot(workspace, "E"))
    if x[0] & 1 == public[31] >> 7:
        unpack(_slot(workspace, "E"), bytes(32))
        compute(b"+FEA0AGG;", workspace)
    compute(b"*DAB;", workspace)
    return True


def _odd_multiples(workspace):
    """1, 3, 5 and 7 times the point in A to D, each in the form of E to H, in four rows of four slots."""
    table = bytearray(4 * 4 * _SLOT)
    entry = _slot(workspace, "E")
    cached = _slot(workspace, "I")[:320]
    point = bytes(_slot(workspace, "A")[:320])
    repeat(_DOUBLE, workspace, workspace, 1, 1)
    compute(_CACHE, workspace)
    entry[:320] = cached
    _slot(workspace, "A")[:320] = point
    for i in range(0, 1280, 320):
        compute(_CACHE, workspace)
        table[i : i + 320] = cached
        repeat(_ADD, workspace, workspace, 1, 1)
    return table


def _sum_of_both(workspace, table, windows, digits):
    """A to D = the comb's digits times B plus the windows times the point with the odd multiples `table`. Yields between
    slices."""
    comb = _comb_table(workspace)
    yield
    _set_neutral(workspace)
    entry = _slot(workspace, "E")
    doublings = work = 0
    first = 253
    while not windows[first] and first > 63:
        first -= 1
    for i in range(first, -1, -1):
        doublings += 1
        window = windows[i]
        if not window and i > 63:
            continue
        if doublings > 1:
            repeat(_DOUBLE_ON, workspace, digits, doublings - 1, doublings - 1)
        repeat(_DOUBLE, workspace, digits, 1, 1)
        if window:
            minus = window > 127
            row = 320 * ((256 - window if minus else window) >> 1)
            entry[:320] = table[row : row + 320]
            if i > 63:
                operation = _SUBTRACT_ON if minus else _ADD_ON
            else:
                operation = _SUBTRACT if minus else _ADD
            repeat(operation, workspace, digits, 1, 1)
        if i < 64:
            _pick(entry, i, comb, digits)
            repeat(_ADD_COMB_ON, workspace, digits, 1, 1)
        work += doublings + 2
        doublings = 0
        if work > _WORK_PER_STEP:
            work = 0
            yield


def _verify(public, signature, message):
    """Yields between slices; returns whether S * B - k * A encodes to R."""
    workspace = _new_workspace()
    exists = yield from _set_minus(workspace, public)
    if not exists:
        return False
    yield
    table = memoryview(_odd_multiples(workspace))
    windows, digits = bytearray(254), bytearray(32)
    challenge = yield from _hash(signature[:32], public, message)
    _windows(windows, challenge)
    _comb_digits(digits, signature[32:], _L)
    yield
    yield from _sum_of_both(workspace, table, windows, digits)
    yield
    return _encode(workspace) == signature[:32]


class _Job:
    """What a caller steps: a generator that yields while work is left and returns the result."""

    def __init__(self, slices):
        self._slices = slices
        self.result = None

    def step(self):
        """Do the next slice, of less than 1.1 million instructions; True while work is left."""
        if self._slices:
            try:
                next(self._slices)
                return True
            except StopIteration as end:
                self.result = end.value
                self._slices = None
        return False


def PublicKey(seed):
    """The job of the 32-byte public key of a seed."""
    return _Job(_base_times(_expand(seed)[0]))


def Sign(seed, public, message):
    """The job of the 64-byte signature of a message."""
    return _Job(_sign(seed, public, message))


def Verify(public, signature, message):
    """The job whose result says whether a signature is that of a message under a public key of 32 bytes."""
    return _Job(_verify(public, signature, message))
