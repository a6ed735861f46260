"""X25519 (RFC 7748) and the X25519 key of an Ed25519 key, on the viper field engine.

The ladder is in constant time as field_viper.py is: all secrets are limbs of the workspace or bits of a selection. The
slots hold A = u, and after each bit (B:C) = k*u and (D:E) = (k+1)*u as x:z, exchanged if the bit was set; so a bit doubles
the point that the exclusive or of this bit and the last one selects, and the other becomes the sum of both.
"""

from .field_viper import CHAIN, INVERSE, compute, pack, repeat, unpack

_SLOT = const(80)
_SLOTS = const(11)
_BITS_PER_STEP = const(22)  # 12 steps, of somewhat less than the inversion at the end; the first one is half as long

_BIT = (
    b"+FBC+HDE"  # F, G = x2 + z2, x2 - z2;  H, I = x3 + z3, x3 - z3
    b"?JFH?KGI"  # J, K = the pair to double
    b"*BIF*CHG^JJ ^KK "
    b"+DBC"  # D, E = (x3-z3)(x2+z2) + (x3+z3)(x2-z2), their difference
    b"+FJKaHJG"  # G = JJ - KK;  H = JJ + 121665*G
    b"*BJK*CGH^DD ^EE *EAE;"
)


def _bytes_of(key):
    """The 32 bytes of a key in a bytearray of their own, so that viper code may be pointed at it. Raises ValueError."""
    n = len(key)  # an integer has none
    copy = bytearray(key)
    if n != 32 or len(copy) != 32:
        raise ValueError("curve25519: size")
    return copy


def _workspace(element):
    """A = the element, B = 1, all others 0."""
    workspace = bytearray(_SLOT * _SLOTS)
    unpack(workspace, element)
    workspace[_SLOT] = 1
    return workspace


def _divide(out, workspace):
    """Write B / C to `out` (32 bytes): 0 where C is. Returns 0 if it is."""
    inverted = memoryview(workspace)[2 * _SLOT :]
    compute(CHAIN, inverted)
    compute(INVERSE, inverted)
    compute(b"*ABE;", workspace)
    return pack(out, workspace)


class X25519:
    """A job: result = 32 bytes of private * u (of the base point without u), or None where that is all zero."""

    def __init__(self, private, u=None):
        bits = _bytes_of(private)
        bits[0] &= 248
        bits[31] = bits[31] & 63 | 64
        u = bytearray(b"\x09" + bytes(31)) if u is None else _bytes_of(u)
        workspace = _workspace(u)
        unpack(memoryview(workspace)[3 * _SLOT :], u)
        workspace[4 * _SLOT] = 1
        self._bits = bits
        self._left = 255
        self._workspace = workspace
        self.result = None

    def step(self):
        """Do the next slice, of less than a million instructions; True while work is left."""
        if self._left:
            n = self._left % _BITS_PER_STEP or _BITS_PER_STEP  # who begins has often done something else before
            repeat(_BIT, self._workspace, self._bits, self._left, n)
            self._left -= n
            return True
        if self._workspace:
            # x2 / z2; then nothing secret is left in the job.
            if _divide(self._bits, self._workspace):
                self.result = bytes(self._bits)
            blank = bytes(_SLOT)  # a second block of the workspace's size may not be to be had
            for at in range(0, _SLOT * _SLOTS, _SLOT):
                self._workspace[at : at + _SLOT] = blank
            self._bits = self._workspace = None
        return False


def u_from_id(node_id):
    """X25519's u = (1 + y) / (1 - y) of the Ed25519 key y, or None: bit 255 set, y >= p, or y = 1."""
    y = _bytes_of(node_id)
    if y[31] >= 127 and (y[31] > 127 or y[0] >= 237 and y[1:31] == b"\xff" * 30) or y[0] == 1 and not any(y[1:]):
        return None
    workspace = _workspace(y)
    compute(b"+CBA0BCC0CDD;", workspace)
    _divide(y, workspace)
    return bytes(y)
