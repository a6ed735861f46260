"""Fields inside buffers, byte by byte and in place. Pure; nothing here allocates where machine code runs.

A slice would be shorter and is not used on purpose: MicroPython 1.25 makes a heap object of every slice, even of one that
is assigned to.
"""

from .compat import KERNELS

if KERNELS == "viper":
    from .wire_viper import copy, find, is_repeat, nearest, put_u16, same, u16  # noqa: F401
else:

    def copy(to, at, source, start, n):
        """Copy source[start:start+n] to to[at:at+n]."""
        to[at : at + n] = source[start : start + n]

    def same(a, at, b, start, n):
        """Whether a[at:at+n] equals b[start:start+n]. For public bytes: it stops at the first difference."""
        return a[at : at + n] == b[start : start + n]

    def find(pool, end, step, buf, at, n):
        """The offset of the record in use (of the table's `pool`, to `end`, each of `step` bytes) whose id begins as
        buf[at:at+n], or -1."""
        wanted = bytes(buf[at : at + n])
        record = pool.find(wanted)
        while record >= 0 and (record % step or not pool[record + 63]):
            record = pool.find(wanted, record + 1)
        return record

    def is_repeat(buf, n, seen):
        """Whether the first four bytes of the tag at buf[1:] are among the last `n` such, which `seen`, 4 * (n + 1) bytes,
        holds behind the number of the latest; if not, they take the place of the oldest."""
        tag = bytes(buf[1:5])
        at = seen.find(tag, 4)
        while at & 3 and at > 0:
            at = seen.find(tag, at + 1)
        if at > 0:
            return True
        if n:
            i = int.from_bytes(seen[:4], "little") % n + 1
            seen[:4] = i.to_bytes(4, "little")
            seen[4 * i : 4 * i + 4] = tag
        return False

    def nearest(pool, end, step, target, beyond, found, n):
        """Put the offsets of the `n` live entries of the table's `pool` (to `end`, each of `step` bytes) nearest to the
        8-byte prefix `target` in the integer array `found`, the nearest first, leaving out those whose distance has
        first 24 bits up to `beyond` (-1: none). Returns how many there are."""
        target = int.from_bytes(target[:8], "big")
        near = []
        for at in range(0, end, step):
            if pool[at + 63] & 15 == 1 and pool[at + 62]:
                distance = int.from_bytes(pool[at : at + 8], "big") ^ target
                if distance >> 40 > beyond:
                    near.append((distance, at))
        near.sort()
        near = near[:n]
        for i in range(len(near)):
            found[i] = near[i][1]
        return len(near)

    def u16(buf, at):
        """The big-endian 16-bit number at buf[at:at+2]."""
        return buf[at] << 8 | buf[at + 1]

    def put_u16(buf, at, value):
        """Write `value` (0-65535) big-endian to buf[at:at+2]."""
        buf[at] = value >> 8
        buf[at + 1] = value & 0xFF
