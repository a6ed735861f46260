"""What making and checking Ed25519 signatures (RFC 8032) have in common, on the viper field engine.

Points are in extended coordinates X, Y, Z, T in slots A to D; what is added to them lies in E to H as Y+X, Y-X, 2dT, 2Z
(no H where Z is 1). The formulas are add- and dbl-2008-hwcd of the Explicit-Formulas Database, complete on this curve. The
arithmetic modulo L has fixed limbs (the engine: see field_viper.py). The hash is sha512_viper.py's matter.
"""

from .field_viper import CHAIN, INVERSE, compute, pack, unpack
from .sha512_viper import hashing

_SLOT = const(80)
_SLOTS = const(19)

DOUBLE_ON = b"+IAB^KA ^LB ^MC ^NI +OKL2QPM+ION*AJQ*BPO*CQP;"
# That leaves T as it was, which is enough where a doubling comes next; this writes it.
DOUBLE = DOUBLE_ON[:-1] + b"*DJO;"
# On from what stands in E to G, where Z is 1.
ADD_ON = b"+IBA1NCC*KJF*LIE*MDG+OLK+QNM*APR*BQO*CRQ;"

_2D = (
    b"\x59\xf1\xb2\x26\x94\x9b\xd6\xeb\x56\xb1\x83\x82\x9a\x14\xe0\x00"
    b"\x30\xd1\xf3\xee\xf2\x80\x8e\x19\xe7\xfc\xdf\x56\xdc\xd9\x06\x24"
)
# L = 2**252 + 27742317777372353535851937790883648493, the order of the base point B.
ORDER = b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14" + bytes(15) + b"\x10"


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


def slot(workspace, letter):
    return memoryview(workspace)[(ord(letter) - 65) * _SLOT :]


def new_workspace():
    """All zero but S."""
    workspace = bytearray(_SLOT * _SLOTS)
    unpack(slot(workspace, "S"), _2D)
    return workspace


def set_neutral(workspace):
    """A to D = the neutral element, 0:1:1:0."""
    workspace[: 4 * _SLOT] = bytes(4 * _SLOT)
    workspace[_SLOT] = workspace[2 * _SLOT] = 1


def encode(workspace):
    """The 32 bytes of the point in A to D, which is lost. 1 M instructions."""
    compute(b"0ECC;", workspace)
    compute(CHAIN, slot(workspace, "E"))
    compute(INVERSE, slot(workspace, "E"))
    compute(b"*AAG*BBG;", workspace)
    out = bytearray(32)
    pack(out, workspace)
    sign = out[0] & 1
    pack(out, slot(workspace, "B"))
    out[31] |= sign << 7
    return bytes(out)


def modulo(a, b, c):
    """a * b + c modulo L in 32 bytes; b has 32 bytes, c 64."""
    limbs = bytearray(256)
    result = bytearray(32)
    _multiply_add(limbs, 0, len(a), a, b, c)
    _modulo_l(limbs, 0, result, ORDER)
    return result


def hash_of(*parts):
    """SHA-512 of the parts, modulo L. Yields between slices."""
    digest = yield from hashing(b"".join([bytes(part) for part in parts]))
    return modulo(b"", b"", digest)


class Job:
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
