"""Frames of a session as machine code (see frames.py)."""


@micropython.viper
def frame(out: ptr8, at: int, data: ptr8, head: int) -> int:  # noqa: F821
    """Write the header of a frame and all of `data` to out[at:]; `head`: channel << 16 | flags << 12 | its size."""
    out = ptr8(int(out) + at)  # noqa: F821
    out[0] = head >> 16
    out[1] = head >> 8
    out[2] = head
    head &= 0xFFF
    end = at + 3 + head
    out = ptr8(int(out) + 3)  # noqa: F821
    at = head
    while at >= 8:
        out[0] = data[0]
        out[1] = data[1]
        out[2] = data[2]
        out[3] = data[3]
        out[4] = data[4]
        out[5] = data[5]
        out[6] = data[6]
        out[7] = data[7]
        out = ptr8(int(out) + 8)  # noqa: F821
        data = ptr8(int(data) + 8)  # noqa: F821
        at -= 8
    while at:
        out[0] = data[0]
        out = ptr8(int(out) + 1)  # noqa: F821
        data = ptr8(int(data) + 1)  # noqa: F821
        at -= 1
    return end
