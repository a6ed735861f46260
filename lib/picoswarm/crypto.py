"""The cryptography that the rest of the library uses, one interface over three back ends (docs/protocol.md section 1).

`compat.KERNELS` picks the back end: "viper" (machine code, boards), "int" (plain Python), "host" (CPython with the
`cryptography` package). All three give the same bytes, the same refusals and the same ValueErrors. Not safe to call from
two threads or from an interrupt: the device back end keeps its scratch blocks per module. Ed25519 and SHA-512 have fronts
of their own, because a node needs them at first boot only; so has the AEAD, which discovery does without.
"""

from .compat import KERNELS, const

if KERNELS == "host":
    from .kernels_host import X25519, ChaCha20, Hmac, u_from_id  # noqa: F401
elif KERNELS == "viper":
    from .cipher_viper import ChaCha20, Hmac  # noqa: F401
    from .curve_viper import X25519, u_from_id  # noqa: F401
else:
    from .cipher_int import ChaCha20, Hmac  # noqa: F401
    from .curve_int import X25519, u_from_id  # noqa: F401

_DIGEST = const(32)
_HKDF_MAX = const(8160)  # 255 digests, RFC 5869 section 2.3


def hkdf(ikm, info, n=32, salt=b""):
    """`n` bytes (0 to 8160) of key material from `ikm`, bound to `info`: RFC 5869 with SHA-256. An empty salt is 32 zero
    bytes, as the RFC says. Raises ValueError for another `n`."""
    if not 0 <= n <= _HKDF_MAX:
        raise ValueError("hkdf: length")
    mac = Hmac(salt)
    mac.rekey(mac.digest(ikm), 0, _DIGEST)
    block = bytearray(_DIGEST)  # the one before, which the first one has not
    block += info
    block.append(0)
    at = _DIGEST
    out = bytearray(n)
    for i in range(0, n, _DIGEST):
        block[-1] += 1
        mac.sign(block, at, len(block), 0)
        at = 0
        out[i : i + _DIGEST] = block[: min(n - i, _DIGEST)]
    return bytes(out)


def run(job):
    """Drive a public-key job to its end and return its result. It blocks: a node steps its jobs instead."""
    while job.step():
        pass
    return job.result
