"""Checking Ed25519 signatures (RFC 8032) on the viper field engine. What a caller may pass, and the refusals, are in
ed25519.py; the points and formulas are in ed25519base_viper.py.

S * B - k * A comes from one row of doublings for both, with signed windows of four bits of either scalar and a table of the
odd multiples of either point. It works on public data and is not in constant time.
"""

from .ed25519base_viper import ADD_ON, DOUBLE, DOUBLE_ON, Job, encode, hash_of, new_workspace, set_neutral, slot
from .field_viper import CHAIN, compute, pack, repeat, unpack

_SLOT = const(80)
_WORK_PER_STEP = const(26)

# On from what stands in E to G (of B: Z is 1) or E to H (of A), or minus that. Those of A write T as well.
_ADD_B = ADD_ON
_SUBTRACT_B = b"+IBA1NCC*KJE*LIF*MDG+OLK+QNM*APQ*BRO*CQR;"
_ADD_A = b"+IBA*KJF*LIE*MDG*NCH+OLK+QNM*APR*BQO*CRQ*DPO;"
_SUBTRACT_A = b"+IBA*KJE*LIF*MDG*NCH+OLK+QNM*APQ*BRO*CQR*DPO;"
# I, J, K, L = Y+X, Y-X, 2dT, 2Z of the point, to be copied to E to H. S = 2d.
_CACHE = b"+IBA1LCC*KDS;"

_ROOT = b"\x82^CC *CCA;"  # on from CHAIN: (p - 5) / 8 = 2**252 - 3

_ONE = b"\x01" + bytes(31)
_D = (
    b"\xa3\x78\x59\x13\xca\x4d\xeb\x75\xab\xd8\x41\x41\x4d\x0a\x70\x00"
    b"\x98\xe8\x79\x77\x79\x40\xc7\x8c\x73\xfe\x6f\x2b\xee\x6c\x03\x52"
)
_ROOT_OF_MINUS_1 = (
    b"\xb0\xa0\x0e\x4a\x27\x1b\xee\xc4\x78\xe4\x2f\xad\x06\x18\x43\x2f"
    b"\xa7\xd7\xfb\x3d\x99\x00\x4d\x2b\x0b\xdf\xc1\x4f\x80\x24\x83\x2b"
)
# x, y of B, 3 * B, 5 * B and 7 * B.
_MULTIPLES_OF_B = (
    b"\x1a\xd5\x25\x8f\x60\x2d\x56\xc9\xb2\xa7\x25\x95\x60\xc7\x2c\x69"
    b"\x5c\xdc\xd6\xfd\x31\xe2\xa4\xc0\xfe\x53\x6e\xcd\xd3\x36\x69\x21"
    b"\x58\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66"
    b"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66"
    b"\x5c\xe2\xf8\xd3\x5f\x48\x62\xac\x86\x48\x62\x81\x19\x98\x43\x63"
    b"\x3a\xc8\xda\x3e\x74\xae\xf4\x1f\x49\x8f\x92\x22\x4a\x9c\xae\x67"
    b"\xd4\xb4\xf5\x78\x48\x68\xc3\x02\x04\x03\x24\x67\x17\xec\x16\x9f"
    b"\xf7\x9e\x26\x60\x8e\xa1\x26\xa1\xab\x69\xee\x77\xd1\xb1\x67\x12"
    b"\x33\xf2\x2e\x32\xc0\x9c\x40\x91\xa5\xe1\x1b\x3e\xf9\x19\x28\x5c"
    b"\xde\xa5\x2d\xd1\xf7\x7c\xef\xfc\x7b\x58\xe3\xad\x3e\xa7\xfd\x49"
    b"\xed\xc8\x76\xd6\x83\x1f\xd2\x10\x5d\x0b\x43\x89\xca\x2e\x28\x31"
    b"\x66\x46\x92\x89\x14\x6e\x2c\xe0\x6f\xae\xfe\x98\xb2\x25\x48\x5f"
    b"\x07\x41\x0e\xf5\x1a\x98\x55\x58\x95\xce\xf1\xbb\xf3\x09\xe8\x83"
    b"\x07\x81\x1d\x4b\x19\xee\xe3\xe9\x4e\xbd\xf4\xfc\x85\x86\x56\x14"
    b"\xb8\x62\x40\x9f\xb5\xc4\xc4\x12\x3d\xf2\xab\xf7\x46\x2b\x88\xf0"
    b"\x41\xad\x36\xdd\x68\x64\xce\x87\x2f\xd5\x47\x2b\xe3\x63\xc5\x31"
)


@micropython.viper
def _windows(digits: ptr8, scalar: ptr8, shift: int):
    """Of a scalar below 2**253 the 254 signed digits, zeros left out: one in four is odd, -7 to 7, modulo 16. They are put
    into four bits of each byte, from bit `shift` on."""
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
            digits[i] = digits[i] | window << shift
            i += 4


def _set_minus(workspace, public):
    """A to D = minus the point of an encoding. Yields between slices; returns if there is one (RFC 8032, 5.1.3)."""
    y = bytearray(public)
    y[31] &= 127
    unpack(slot(workspace, "B"), y)
    unpack(slot(workspace, "C"), _ONE)
    unpack(slot(workspace, "L"), _D)
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
    compute(CHAIN, slot(workspace, "E"))
    compute(_ROOT, slot(workspace, "E"))
    compute(b"*AAG^HA *HHN+HKH;", workspace)  # A = x; H, I = u + v*x*x, u - v*x*x
    x = bytearray(32)
    pack(x, slot(workspace, "I"))
    if any(x):
        pack(x, slot(workspace, "H"))
        if any(x):
            return False
        unpack(slot(workspace, "E"), _ROOT_OF_MINUS_1)
        compute(b"*AAE;", workspace)
    compute(b"0EAA;", workspace)
    pack(x, slot(workspace, "E"))
    if x[0] & 1 == public[31] >> 7:
        unpack(slot(workspace, "E"), bytes(32))
        compute(b"+FEA0AGG;", workspace)
    compute(b"*DAB;", workspace)
    return True


def _odd_multiples(workspace):
    """1, 3, 5 and 7 times the point in A to D, each in the form of E to H, in four rows of four slots."""
    table = bytearray(4 * 4 * _SLOT)
    entry = slot(workspace, "E")
    cached = slot(workspace, "I")[:320]
    point = bytes(slot(workspace, "A")[:320])
    repeat(DOUBLE, workspace, workspace, 1, 1)
    compute(_CACHE, workspace)
    entry[:320] = cached
    slot(workspace, "A")[:320] = point
    for i in range(0, 1280, 320):
        compute(_CACHE, workspace)
        table[i : i + 320] = cached
        repeat(_ADD_A, workspace, workspace, 1, 1)
    return table


def _odd_multiples_of_b(workspace):
    """1, 3, 5 and 7 times B, each in the form of E to G, in four rows of three slots. A to D are lost."""
    table = bytearray(4 * 3 * _SLOT)
    made = slot(workspace, "I")[:240]
    b = slot(workspace, "B")
    for i in range(4):
        unpack(workspace, _MULTIPLES_OF_B[64 * i : 64 * i + 32])
        unpack(b, _MULTIPLES_OF_B[64 * i + 32 : 64 * i + 64])
        compute(b"+IBA*KAB*KKS;", workspace)
        table[240 * i : 240 * i + 240] = made
    return table


def _sum_of_both(workspace, table, base_table, windows):
    """A to D = the windows in the low halves of `windows` times the point with the odd multiples `table`, and those in the
    high halves times B. Yields between slices."""
    set_neutral(workspace)
    entry = slot(workspace, "E")
    doublings = work = 0
    i = 253
    while i and not windows[i]:
        i -= 1
    while i >= 0:
        doublings += 1
        window = windows[i]
        if window or not i:
            if doublings > 1:
                repeat(DOUBLE_ON, workspace, workspace, doublings - 1, doublings - 1)
            repeat(DOUBLE, workspace, workspace, 1, 1)
            if window & 15:
                row = 160 * (16 - (window & 15) if window & 8 else window & 7) - 160
                entry[:320] = table[row : row + 320]
                repeat(_SUBTRACT_A if window & 8 else _ADD_A, workspace, workspace, 1, 1)
            if window >> 4:
                row = 120 * (16 - (window >> 4) if window & 128 else window >> 4) - 120
                entry[:240] = base_table[row : row + 240]
                repeat(_SUBTRACT_B if window & 128 else _ADD_B, workspace, workspace, 1, 1)
            work += doublings + 2
            doublings = 0
            if work > _WORK_PER_STEP:
                work = 0
                yield
        i -= 1


def _verify(public, signature, message):
    """Yields between slices; returns whether S * B - k * A encodes to R."""
    workspace = new_workspace()
    exists = yield from _set_minus(workspace, public)
    if not exists:
        return False
    yield
    table = memoryview(_odd_multiples(workspace))
    windows = bytearray(254)
    challenge = yield from hash_of(signature[:32], public, message)
    _windows(windows, challenge, 0)
    challenge = None
    _windows(windows, signature[32:], 4)
    yield
    base_table = memoryview(_odd_multiples_of_b(workspace))
    yield
    yield from _sum_of_both(workspace, table, base_table, windows)
    yield
    return encode(workspace) == signature[:32]


def Verify(public, signature, message):
    """The job whose result says whether a signature is that of a message under a public key of 32 bytes."""
    return Job(_verify(public, signature, message))
