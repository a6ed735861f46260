"""X25519 (RFC 7748) and the map between Ed25519 and X25519 keys on plain big integers: the reference, and what runs where
viper is missing. Big-integer arithmetic is not constant time."""

from .compat import const

P = 2**255 - 19
_A24 = const(121665)
_BITS_PER_STEP = const(5)  # about 0.2 M instructions each on a Cortex-M0+


def inverse(x):
    """1/x modulo p (0 for 0), by the extended Euclidean algorithm: a tenth of the work of pow(x, p - 2, p)."""
    a, b = x % P, P
    s, t = 1, 0
    while a:
        q = b // a
        a, b = b - q * a, a
        s, t = t - q * s, s
    return t % P


def _check(name, *values):
    for value in values:
        if len(value) != 32:
            raise ValueError(name)


class X25519:
    """RFC 7748 X25519 as a job; `u32` None means the base point. An all-zero result is refused: None."""

    def __init__(self, private32, u32=None):
        u32 = b"\x09" + bytes(31) if u32 is None else u32
        _check("x25519: size", private32, u32)
        k = int.from_bytes(bytes(private32), "little") & (2**255 - 8)
        self._k = k & (2**254 - 1) | 2**254
        self._x1 = (int.from_bytes(bytes(u32), "little") & (2**255 - 1)) % P
        self._ladder = (1, 0, self._x1, 1)
        self._bit = 254
        self.result = None

    def step(self):
        """Five bits of the ladder; at the end the inversion. True while work is left."""
        if self._bit < 0:
            if self._ladder is not None:
                x, z, _, _ = self._ladder
                out = x * inverse(z) % P
                self.result = out.to_bytes(32, "little") if out else None
                self._k = self._ladder = None
            return False
        x1 = self._x1
        x2, z2, x3, z3 = self._ladder
        for _ in range(_BITS_PER_STEP):
            one = self._k >> self._bit & 1
            if one:
                x2, z2, x3, z3 = x3, z3, x2, z2
            a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
            aa, bb = a * a % P, b * b % P
            da, cb = d * a % P, c * b % P
            e = aa - bb
            x3, z3 = (da + cb) * (da + cb) % P, x1 * ((da - cb) * (da - cb) % P) % P
            x2, z2 = aa * bb % P, e * (aa + _A24 * e) % P
            if one:
                x2, z2, x3, z3 = x3, z3, x2, z2
            self._bit -= 1
        self._ladder = (x2, z2, x3, z3)
        return True


def u_from_id(id32):
    """The X25519 key of an Ed25519 key, u = (1+y)/(1-y), 32 bytes; None when the top bit is set, y >= p or y = 1."""
    _check("u_from_id: size", id32)
    y = int.from_bytes(bytes(id32), "little")
    if y >= P or y == 1:
        return None
    return ((1 + y) * inverse(1 - y) % P).to_bytes(32, "little")
