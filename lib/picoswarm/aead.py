"""ChaCha20-Poly1305 (RFC 8439) and the comparison of secrets: the front of three back ends. Only sessions need it, so that a
node which does discovery alone does not import it."""

from .compat import KERNELS

if KERNELS == "host":
    from .kernels_host import Aead, equal, poly1305  # noqa: F401
elif KERNELS == "viper":
    from .aead_viper import Aead, equal, poly1305  # noqa: F401
else:
    from .aead_int import Aead, equal, poly1305  # noqa: F401
