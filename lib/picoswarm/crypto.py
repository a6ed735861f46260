"""The cryptography that the rest of the library uses, one interface over three back ends (docs/protocol.md section 1).

`compat.KERNELS` picks the back end: "viper" (machine code, boards), "int" (plain Python), "host" (CPython with the
`cryptography` package). All three give the same bytes, the same refusals and the same ValueErrors. Not safe to call from
two threads or from an interrupt: the device back end keeps its scratch blocks per module. Ed25519 and SHA-512 have fronts
of their own, because a node needs them at first boot only.
"""

from .compat import KERNELS, const, sha256
from .wire import copy

if KERNELS == "host":
    from .kernels_host import X25519, Aead, ChaCha20, equal, id_from_u, poly1305, u_from_id  # noqa: F401
elif KERNELS == "viper":
    from .cipher_viper import Aead, ChaCha20, equal, poly1305  # noqa: F401
    from .curve_viper import X25519, id_from_u, u_from_id  # noqa: F401
else:
    from .cipher_int import Aead, ChaCha20, equal, poly1305  # noqa: F401
    from .curve_int import X25519, id_from_u, u_from_id  # noqa: F401

_BLOCK = const(64)  # SHA-256 block, bytes
_HKDF_MAX = const(8160)  # 255 digests, RFC 5869 section 2.3
_INNER_PAD = int.from_bytes(b"\x36" * _BLOCK, "little")
_OUTER_PAD = int.from_bytes(b"\x5c" * _BLOCK, "little")


class Hmac:
    """HMAC-SHA256 under one key (RFC 2104). The padded key blocks are kept, a hash state is not: stock firmware cannot
    copy one, and its objects end with their first `digest()`."""

    def __init__(self, key, size=32, prefix=b""):
        self.size = size
        self.prefix = prefix
        self.rekey(key)

    def rekey(self, key):
        if len(key) > _BLOCK:
            key = sha256(key).digest()
        # As 512-bit numbers: on a board a loop over 64 bytes costs more than the hashing.
        key = int.from_bytes(bytes(key), "little")
        self._inner = (key ^ _INNER_PAD).to_bytes(_BLOCK, "little")
        self._outer = (key ^ _OUTER_PAD).to_bytes(_BLOCK, "little")

    def sign(self, buf, start, end, at):
        """Write the tag of prefix || buf[start:end] to buf[at:at+size]."""
        copy(buf, at, self.digest(self.prefix, memoryview(buf)[start:end]), 0, self.size)

    def check(self, buf, start, end, at):
        """Whether buf[at:at+size] is the tag of prefix || buf[start:end]."""
        tag = self.digest(self.prefix, memoryview(buf)[start:end])
        differ = 0
        for i in range(self.size):
            differ |= tag[i] ^ buf[at + i]
        return differ == 0

    def digest(self, first, second=b""):
        """The 32-byte tag of `first` followed by `second` (any buffers)."""
        inner = sha256(self._inner)
        inner.update(first)
        inner.update(second)
        outer = sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def hkdf(ikm, info, n=32, salt=b""):
    """`n` bytes (0 to 8160) of key material from `ikm`, bound to `info`: RFC 5869 with SHA-256. An empty salt is 32 zero
    bytes, as the RFC says. Raises ValueError for another `n`."""
    if not 0 <= n <= _HKDF_MAX:
        raise ValueError("hkdf: length")
    expand = Hmac(Hmac(salt).digest(ikm))
    info = bytes(info)
    block = out = b""
    i = 0
    while len(out) < n:
        i += 1
        block = expand.digest(block, info + bytes((i,)))
        out += block
    return out[:n]


def run(job):
    """Drive a public-key job to its end and return its result. It blocks: a node steps its jobs instead."""
    while job.step():
        pass
    return job.result
