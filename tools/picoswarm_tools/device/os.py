"""The emulator port's `os` has no urandom. This one is a fixed stream: a run under emulation is the same every time."""

from hashlib import sha256

from uos import *  # noqa: F403

_drawn = 0


def urandom(n):
    """`n` bytes of SHA-256 in counter mode."""
    global _drawn
    out = b""
    while len(out) < n:
        _drawn += 1
        out += sha256(b"picoswarm emulator %d" % _drawn).digest()
    return out[:n]


def getenv(name, default=None):
    """A board has no environment."""
    return default
