"""X25519 (RFC 7748) and the map between Ed25519 and X25519 keys, on the viper field engine.

The ladder is in constant time as field_viper.py is: all secrets are limbs of the workspace or bits of a selection. The
slots hold A = u, and after each bit (B:C) = k*u and (D:E) = (k+1)*u as x:z, exchanged if the bit was set; so a bit doubles
the point that the exclusive or of this bit and the last one selects, and the other becomes the sum of both.
"""

from micropython import const

from .field_viper import INVERSE, compute, copy_of, pack, raise_to, repeat, unpack

_SLOT = const(80)
_SLOTS = const(11)
# 0.96 M instructions of armv6m code; the inversion at the end takes as many.
_BITS_PER_STEP = const(26)

_SUM_AND_DOUBLE = (
    b"+FBC+HDE"  # F, G = x2 + z2, x2 - z2;  H, I = x3 + z3, x3 - z3
    b"?JFH?KGI."  # J, K = the pair to double
    b"*BIF*CHG^JJ ^KK ."
)
_FINISH = (
    b"+DBC"  # D, E = (x3-z3)(x2+z2) + (x3+z3)(x2-z2), their difference
    b"+FJKaHJG."  # G = JJ - KK;  H = JJ + 121665*G
    b"*BJK*CGH^DD ^EE ."
)
_ANY = _SUM_AND_DOUBLE + _FINISH + b".*EAE.;"
_BASE = b"8EEE" + _SUM_AND_DOUBLE + _FINISH + b";"

_ONE = b"\x01" + bytes(31)


def _slots(*elements):
    """A workspace with 32-byte field elements in its first slots."""
    workspace = bytearray(_SLOT * _SLOTS)
    view = memoryview(workspace)
    for i, element in enumerate(elements):
        unpack(view[_SLOT * i :], element)
    return workspace


class X25519:
    """A job: result = 32 bytes of private * u (of the base point without u), or None where that is all zero."""

    def __init__(self, private, u=None):
        bits = copy_of(private, 32)
        bits[0] &= 248
        bits[31] = bits[31] & 63 | 64
        self._bits = bits
        self._left = 255
        if u is None:
            # Each round begins by multiplying z3 by 9, so the base point 9:1 is written as 81:(9*)1.
            self._program = _BASE
            self._workspace = _slots(_ONE, _ONE, bytes(32), b"\x51" + bytes(31), _ONE)
        else:
            u = copy_of(u, 32)
            self._program = _ANY
            self._workspace = _slots(u, _ONE, bytes(32), u, _ONE)
        self.result = None

    def step(self):
        """Do the next slice, of less than a million instructions; True while work is left."""
        if self._left:
            n = min(self._left, _BITS_PER_STEP)
            repeat(self._program, self._workspace, self._bits, self._left, n)
            self._left -= n
            return True
        if self._workspace:
            self._finish()
        return False

    def _finish(self):
        """result = x2 / z2; then nothing secret is left in the job."""
        workspace = self._workspace
        result = bytearray(32)
        raise_to(INVERSE, memoryview(workspace)[2 * _SLOT :])
        compute(b".*ABE.;", workspace)
        pack(result, workspace)
        together = 0
        for byte in result:  # any() would stop at the first that is not zero
            together |= byte
        if together:
            self.result = bytes(result)
        for secret in (workspace, self._bits):
            secret[:] = bytes(len(secret))
        self._workspace = None


def _mapped(element, program):
    """A / C after `program` on slots A = element, B = 1; None if the element is not below p, or C is zero."""
    element = copy_of(element, 32)
    if element[31] >= 127 and (element[31] > 127 or element[0] >= 237 and element[1:31] == b"\xff" * 30):
        return None
    workspace = _slots(element, _ONE)
    compute(program, workspace)
    raise_to(INVERSE, memoryview(workspace)[2 * _SLOT :])
    compute(b".*AAE*BCE.;", workspace)
    pack(element, memoryview(workspace)[_SLOT:])
    if not any(element):
        return None
    pack(element, workspace)
    return bytes(element)


def u_from_id(node_id):
    """X25519's u = (1 + y) / (1 - y) of the Ed25519 key y, or None: bit 255 set, y >= p, or y = 1."""
    return _mapped(node_id, b"+CBA0ACC0CDD..;")


def id_from_u(u):
    """Ed25519's y = (u - 1) / (u + 1) with sign bit 0, or None: bit 255 set, u >= p, or u = p - 1."""
    return _mapped(u, b"+CAB0ADD..;")
