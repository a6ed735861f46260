"""Frames of a session (mux.py), composed in place. Pure; a node without sessions never loads it."""

from .compat import KERNELS

if KERNELS == "viper":
    from .frames_viper import frame  # noqa: F401
else:

    def frame(out, at, data, head):
        """Write the header of a mux frame, and all of `data`, to out[at:]. `head`: channel << 16 | flags << 12 | size of
        `data`. Returns where that ends."""
        out[at] = head >> 16
        out[at + 1] = head >> 8 & 0xFF
        out[at + 2] = head & 0xFF
        at += 3
        out[at : at + len(data)] = data
        return at + len(data)
