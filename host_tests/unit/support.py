"""What the unit tests need of a test framework, on every runtime that they run on."""

import os
from binascii import unhexlify

# Whether the full counts are asked for (PICOSWARM_LONG=1, `make test-long`).
LONG = os.getenv("PICOSWARM_LONG") == "1"


class Skip(Exception):
    """Raised by a test that cannot run here; the message says why."""


def raises(kind, function, *args):
    """Assert that `function(*args)` raises `kind`; returns the exception."""
    try:
        result = function(*args)
    except kind as error:
        return error
    raise AssertionError("%s was not raised; the result is %r" % (kind.__name__, result))


def unhex(text):
    """Bytes of hexadecimal digits; white space between them is ignored."""
    return unhexlify("".join(text.split()))


def needs_machine_code():
    """Raise Skip on a runtime without machine code: the plain Python in its place makes objects as it goes."""
    from picoswarm.compat import KERNELS

    if KERNELS != "viper":
        raise Skip("this asks it of machine code, which needs 32-bit words; this runtime takes " + KERNELS)


def back_ends(group):
    """The modules of a group of kernels ("cipher", "aead", "curve", "ed25519", "sha512") that this runtime loads: plain
    integers everywhere, and what the runtime prefers."""
    from picoswarm.compat import KERNELS

    names = [group + "_int"]
    if KERNELS == "host":
        names.append("kernels_host")
    elif KERNELS == "viper" and group != "ed25519":  # that one has no module with all of it but its front
        names.append(group + "_viper")
    return [__import__("picoswarm." + name, None, None, (name,)) for name in names]
