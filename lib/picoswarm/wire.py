"""Fields inside buffers, byte by byte and in place. Pure; nothing here allocates.

A slice would be shorter and is not used on purpose: MicroPython 1.25 makes a heap object of every slice, even of one that
is assigned to.
"""

from .compat import KERNELS

if KERNELS == "viper":
    from .wire_viper import copy, same  # noqa: F401
else:

    def copy(to, at, source, start, n):
        """Copy source[start:start+n] to to[at:at+n]."""
        for i in range(n):
            to[at + i] = source[start + i]

    def same(a, at, b, start, n):
        """Whether a[at:at+n] equals b[start:start+n]. For public bytes: it stops at the first difference."""
        for i in range(n):
            if a[at + i] != b[start + i]:
                return False
        return True


def u16(buf, at):
    """The big-endian 16-bit number at buf[at:at+2]."""
    return buf[at] << 8 | buf[at + 1]


def put_u16(buf, at, value):
    """Write `value` (0-65535) big-endian to buf[at:at+2]."""
    buf[at] = value >> 8
    buf[at + 1] = value & 0xFF
