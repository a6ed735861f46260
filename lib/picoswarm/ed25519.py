"""Ed25519 (RFC 8032): the front of three back ends, and the refusals in which they must not differ.

A signature is good when the cofactorless equation R = S*B - k*A holds, R compared as an encoding. Refused before any
arithmetic: S >= L, a key or R that is not canonical (y >= p), a key of small order. Loaded at first boot and where
signatures are used; a node that has its key file does not need it. A board loads what makes signatures and what checks them
apart, as each takes 3 KB.
"""

from .compat import KERNELS

_P_HEAD = 0xED  # lowest byte of p = 2**255 - 19; the others are 30 times 0xFF, then 0x7F
# L = 2**252 + 27742317777372353535851937790883648493, little-endian
_L = b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14" + bytes(15) + b"\x10"
# y of the points of order 1, 2, 4 and 8; with y >= p refused, these are all encodings of theirs but for the sign bit
_SMALL = (
    b"\x01" + bytes(31),
    b"\xec" + b"\xff" * 30 + b"\x7f",
    bytes(32),
    b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
)


def _y(data):
    """The encoding without its sign bit, or None when y >= p."""
    y = bytes(data[:31]) + bytes((data[31] & 0x7F,))
    if y[31] == 0x7F and y[0] >= _P_HEAD and y[1:31] == b"\xff" * 30:
        return None
    return y


def _below_l(s):
    for i in range(31, -1, -1):
        if s[i] != _L[i]:
            return s[i] < _L[i]
    return False


class _Refused:
    """A job that is over before it begins."""

    result = False

    def step(self):
        return False


def PublicKey(seed):
    """The job of the 32-byte public key of a 32-byte seed. Raises ValueError for another size."""
    if len(seed) != 32:
        raise ValueError("ed25519: size")
    if KERNELS == "viper":
        from .ed25519sign_viper import PublicKey as make
    elif KERNELS == "host":
        from .kernels_host import PublicKey as make
    else:
        from .ed25519_int import PublicKey as make
    return make(bytes(seed))


def Sign(seed, public, message):
    """The job of the 64-byte signature of `message` (bytes) under a seed and its own public key, 32 bytes each. The public
    key must be that of the seed: a signature made with another one gives the secret away (`Identity` holds the two)."""
    if len(seed) != 32 or len(public) != 32:
        raise ValueError("ed25519: size")
    if KERNELS == "viper":
        from .ed25519sign_viper import Sign as make
    elif KERNELS == "host":
        from .kernels_host import Sign as make
    else:
        from .ed25519_int import Sign as make
    return make(bytes(seed), bytes(public), message)


def Verify(public, signature, message):
    """The job whose result says whether `signature` (64 bytes) is that of `message` under `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        raise ValueError("ed25519: size")
    key = _y(public)
    if key is None or key in _SMALL or _y(signature) is None or not _below_l(signature[32:]):
        return _Refused()
    if KERNELS == "viper":
        from .ed25519verify_viper import Verify as make
    elif KERNELS == "host":
        from .kernels_host import Verify as make
    else:
        from .ed25519_int import Verify as make
    return make(bytes(public), bytes(signature), message)
