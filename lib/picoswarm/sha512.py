"""SHA-512 (FIPS 180-4) of a whole message: the front of three back ends. Only Ed25519 needs it, so that a node does not
import it after its first boot."""

from .compat import KERNELS

if KERNELS == "host":
    from .kernels_host import sha512  # noqa: F401
elif KERNELS == "viper":
    from .sha512_viper import sha512  # noqa: F401
else:
    from .sha512_int import sha512  # noqa: F401
