"""Copying and comparing inside buffers, as machine code (see wire.py for what they promise).

The bytecode of the same two loops costs a board some 800 instructions a byte and a call frame on the heap. Nothing is
checked here: every caller passes offsets that it has taken from a length or from its own layout.
"""


@micropython.viper
def copy(to: ptr8, at: int, source: ptr8, start: int, n: int):  # noqa: F821
    """Copy source[start:start+n] to to[at:at+n]."""
    end: int = at + n
    while at < end:
        to[at] = source[start]
        at += 1
        start += 1


@micropython.viper
def same(a: ptr8, at: int, b: ptr8, start: int, n: int) -> bool:  # noqa: F821
    """Whether a[at:at+n] equals b[start:start+n]."""
    end: int = at + n
    while at < end:
        if a[at] != b[start]:
            return False
        at += 1
        start += 1
    return True
