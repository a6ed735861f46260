"""Ed25519 (RFC 8032) on plain big integers: the reference, and what runs where viper is missing. Big-integer arithmetic is
not constant time, neither is this. The refusals of malformed input are in ed25519.py."""

from .compat import const
from .curve_int import P, inverse
from .sha512 import sha512

L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * inverse(121666) % P
_SQRT_M1 = pow(2, (P - 1) // 4, P)
_BITS_PER_STEP = const(2)  # at most about 0.5 M instructions each on a Cortex-M0+

_IDENTITY = (0, 1, 1, 0)  # extended coordinates X, Y, Z, T of RFC 8032 section 5.1.4


def _add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * _D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(p):
    a = p[0] * p[0] % P
    b = p[1] * p[1] % P
    c = 2 * p[2] * p[2] % P
    h = a + b
    e = h - (p[0] + p[1]) * (p[0] + p[1]) % P
    g = a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _encode(p):
    z = inverse(p[2])
    out = bytearray((p[1] * z % P).to_bytes(32, "little"))
    out[31] |= (p[0] * z % P & 1) << 7
    return bytes(out)


def _decode(data):
    """The point of a 32-byte encoding, or None when there is none."""
    y = int.from_bytes(bytes(data), "little")
    sign = y >> 255
    y &= 2**255 - 1
    u = y * y - 1
    v = _D * y * y + 1
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * _SQRT_M1 % P
        if (v * x * x - u) % P:
            return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


_BASE = _decode(b"\x58" + b"\x66" * 31)


class _Multiply:
    """The job of a * A + b * B: two scalars and two points, both handled bit by bit together."""

    def __init__(self, a, point_a, b=0, point_b=_IDENTITY):
        self._scalars = a, b
        self._table = (_IDENTITY, point_a, point_b, _add(point_a, point_b))
        self._bit = 255
        self.result = _IDENTITY

    def step(self):
        a, b = self._scalars
        for _ in range(_BITS_PER_STEP):
            if self._bit < 0:
                return False
            chosen = (a >> self._bit & 1) | (b >> self._bit & 1) << 1
            self.result = _double(self.result)
            if chosen:
                self.result = _add(self.result, self._table[chosen])
            self._bit -= 1
        return True


def _expand(seed):
    """(secret scalar, 32-byte prefix) of a seed."""
    h = sha512(seed)
    a = int.from_bytes(h[:32], "little") & (2**255 - 8)
    return a & (2**254 - 1) | 2**254, h[32:]


def _hash(*parts):
    return int.from_bytes(sha512(b"".join([bytes(part) for part in parts])), "little") % L


class PublicKey:
    """The public key of a seed, 32 bytes, as a job."""

    def __init__(self, seed):
        # The scalar modulo L gives the same multiple of the base point.
        self._job = _Multiply(_expand(seed)[0] % L, _BASE)
        self.result = None

    def step(self):
        if self._job.step():
            return True
        self.result = _encode(self._job.result)
        return False


class Sign:
    """The 64-byte signature of a message, as a job."""

    def __init__(self, seed, public, message):
        self._a, prefix = _expand(seed)
        self._r = _hash(prefix, message)
        self._public, self._message = public, message
        self._job = _Multiply(self._r, _BASE)
        self.result = None

    def step(self):
        if self._job.step():
            return True
        r = _encode(self._job.result)
        s = (self._r + _hash(r, self._public, self._message) * self._a) % L
        self.result = r + s.to_bytes(32, "little")
        return False


class Verify:
    """Whether a signature is that of a message under a public key, as a job: R = S * B - k * A, encodings compared."""

    def __init__(self, public, signature, message):
        self.result = False
        self._job = None
        self._r = bytes(signature[:32])
        point = _decode(public)
        if point is not None:
            k = _hash(self._r, public, message)
            minus_a = (P - point[0], point[1], 1, P - point[3])
            self._job = _Multiply(int.from_bytes(bytes(signature[32:]), "little"), _BASE, k, minus_a)

    def step(self):
        if self._job is None:
            return False
        if self._job.step():
            return True
        self.result = _encode(self._job.result) == self._r
        self._job = None
        return False
