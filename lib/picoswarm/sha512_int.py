"""SHA-512 (FIPS 180-4) in plain Python integers: right on every runtime, and the reference for the viper back end. The
constants are computed from their definition. Not constant time."""

from .compat import const

_BLOCK = const(128)
_MASK = 0xFFFFFFFFFFFFFFFF


def _fractions(primes, degree):
    """The first 64 bits of the fractional part of each prime's square root (degree 2) or cube root (3), as bytes: one
    object, since many small ones that outlive the churn of making them would leave a small heap in pieces."""
    fractions = []
    for prime in primes:
        number = prime << 64 * degree
        x, root = 8 << 64, 0  # Newton's method from above: no prime in use has a root of 8 or more
        while root < x:
            x = root or x
            root = ((degree - 1) * x + number // x ** (degree - 1)) // degree
        fractions.append((x & _MASK).to_bytes(8, "big"))
    return b"".join(fractions)


def _words(data):
    return [int.from_bytes(data[i : i + 8], "big") for i in range(0, len(data), 8)]


_PRIMES = [n for n in range(2, 410) if all(n % i for i in range(2, n))]
_ROUNDS = _fractions(_PRIMES, 3)
_INITIAL = _fractions(_PRIMES[:8], 2)


def _compress(words, block):
    """The hash words after one 128-byte block."""
    w = _words(block)
    for i in range(64):
        x, y = w[i + 1], w[i + 14]
        s0 = (x | x << 64) >> 1 ^ (x | x << 64) >> 8 ^ x >> 7
        s1 = (y | y << 64) >> 19 ^ (y | y << 64) >> 61 ^ y >> 6
        w.append((w[i] + s0 + w[i + 9] + s1) & _MASK)
    a, b, c, d, e, f, g, h = words
    for k, wi in zip(_words(_ROUNDS), w):  # noqa: B905  (MicroPython's zip has no strict)
        x = e | e << 64
        t1 = h + ((x >> 14 ^ x >> 18 ^ x >> 41) & _MASK) + (g ^ e & (f ^ g)) + k + wi
        x = a | a << 64
        t2 = ((x >> 28 ^ x >> 34 ^ x >> 39) & _MASK) + (a & b | c & (a | b))
        a, b, c, d, e, f, g, h = (t1 + t2) & _MASK, a, b, c, (d + t1) & _MASK, e, f, g
    return [(x + y) & _MASK for x, y in zip(words, (a, b, c, d, e, f, g, h))]  # noqa: B905


def sha512(data):
    """The 64-byte SHA-512 digest of `data`."""
    size = len(data)
    whole = size - size % _BLOCK
    tail = bytes(data[whole:]) + b"\x80"
    tail += bytes(-(len(tail) + 16) % _BLOCK + 8) + (size * 8).to_bytes(8, "big")
    words = _words(_INITIAL)
    for part, end in ((data, whole), (tail, len(tail))):
        for at in range(0, end, _BLOCK):
            words = _compress(words, bytes(part[at : at + _BLOCK]))
    return b"".join([word.to_bytes(8, "big") for word in words])
