"""Arithmetic modulo p = 2**255 - 19 in viper: an engine that runs small programs over field elements.

**Elements.** 20 signed limbs of 13 bits in 32-bit words, little-endian, value modulo p. A carried element has limbs of
at most 4,096 in absolute value (limb 2 a few more). Elements lie in the 80-byte slots of one bytearray, the workspace,
and are named by letters: "A" is the first slot.

**Programs** are operations of four bytes, done one after another, ended by ";". What, result, two operands:

    +dab   d = a + b and (next slot) a - b, not carried; a is none of the results
    ?dab   d = b if the selection is set, else a
    kdab   d = a + k*b, carried, for a digit k; "a" stands for 121665
    *dab   d = a * b, carried
    ^da    d = a * a, carried (the fourth byte is not read)

A product may have a byte of 128 + n before it: it is done n times. Limbs of its operands may be up to m and n times those
of a carried element with m * n <= 6: a column then stays below 6 * 20 * 2**24 < 2**31.

**Why this shape.** A product of limbs, added to its column, costs 8 instructions of precompiled code, which has registers
for two locals only; written in any other way it costs more. So their number counts: Karatsuba on halves of ten limbs needs
300 for a product and 165 for a square instead of 400 and 210. The sums of the middle product may wrap modulo 2**32; the
columns that they give do not. No loop is longer than the 2 KB that branches reach on armv6m (MicroPython 1.25) and
xtensawin: hence rounds of one product and the linear operations before it, with a call for each instead of a loop around
them.

**Constant time.** Which instructions run and which addresses they touch depends on the program and on public counters
only. A secret enters as limb values, and as the mask of "?", which is computed without a branch from two bits of `bits`.
The 32-bit multiplication takes one fixed time on the chips meant (M0+ of RP2040, M33, LX6/LX7, C3).
"""

from .cipher_viper import scratch

_no_bits = bytes(32)

# Slot A ** 11 in B and ** (2**250 - 1) in C; overwrites D and E. The inversion goes on from there: 1 / A in C.
CHAIN = (
    b"^BA ^CB ^CC *CCA*BBC"  # 9, 11
    b"^DB *CDC"  # 2**5 - 1
    b"^DC \x84^DD *CDC"  # 2**10 - 1
    b"^DC \x89^DD *DDC"  # 2**20 - 1
    b"^ED \x93^EE *DED"  # 2**40 - 1
    b"\x8a^DD *CDC"  # 2**50 - 1
    b"^DC \xb1^DD *DDC"  # 2**100 - 1
    b"^ED \xe3^EE *DED"  # 2**200 - 1
    b"\xb2^DD *CDC;"
)
INVERSE = b"\x85^CC *CCB;"  # p - 2 = 2**255 - 21


@micropython.viper
def _round(p: ptr32, x: int):
    """Run the operations at frame[0] up to a product and move frame[0] behind it, or to the end. On entry p is the frame
    and x the number of a bit; then they are what the inner loops use most, because the first two parameters are the ones
    that get registers."""
    frame = p
    g = ptr8(p[0])
    base = p[1] - 5200  # of slot chr(0)
    bits = ptr8(p[2])
    low = 8191
    half = 4096
    across = 608
    mask = ((bits[x >> 3] >> (x & 7)) ^ (bits[(x + 1) >> 3] >> ((x + 1) & 7))) & 1
    mask = 0 - mask
    # Linear operations, five limbs at a time, until a product, the end, or a byte that says how often.
    while True:
        op = g[0]
        if op == 42 or op == 94 or op == 59 or op > 128:  # * ^ ;
            break
        q = ptr32(base + g[1] * 80)
        p = ptr32(base + g[2] * 80)
        e = ptr32(base + g[3] * 80)
        g = ptr8(int(g) + 4)
        k = op - 48  # of a digit
        if op == 97:  # a
            k = 121665
        x = 0
        t = 4
        while t:
            if op == 43:  # +
                x = e[0]
                q[0] = p[0] + x
                q[20] = p[0] - x
                x = e[1]
                q[1] = p[1] + x
                q[21] = p[1] - x
                x = e[2]
                q[2] = p[2] + x
                q[22] = p[2] - x
                x = e[3]
                q[3] = p[3] + x
                q[23] = p[3] - x
                x = e[4]
                q[4] = p[4] + x
                q[24] = p[4] - x
            elif op == 63:  # ?
                x = p[0]
                q[0] = (e[0] ^ x) & mask ^ x
                x = p[1]
                q[1] = (e[1] ^ x) & mask ^ x
                x = p[2]
                q[2] = (e[2] ^ x) & mask ^ x
                x = p[3]
                q[3] = (e[3] ^ x) & mask ^ x
                x = p[4]
                q[4] = (e[4] ^ x) & mask ^ x
            else:
                x = e[0] * k + p[0] + x
                q[0] = x << 19 >> 19
                x = (x + half) >> 13
                x = e[1] * k + p[1] + x
                q[1] = x << 19 >> 19
                x = (x + half) >> 13
                x = e[2] * k + p[2] + x
                q[2] = x << 19 >> 19
                x = (x + half) >> 13
                x = e[3] * k + p[3] + x
                q[3] = x << 19 >> 19
                x = (x + half) >> 13
                x = e[4] * k + p[4] + x
                q[4] = x << 19 >> 19
                x = (x + half) >> 13
            p = ptr32(int(p) + 20)
            e = ptr32(int(e) + 20)
            q = ptr32(int(q) + 20)
            t -= 1
        if op != 43 and op != 63:
            p = ptr32(int(q) - 80)
            x = x * across + p[0]
            p[0] = x << 19 >> 19
            x = ((x + half) >> 13) + p[1]
            p[1] = x << 19 >> 19
            p[2] = ((x + half) >> 13) + p[2]
    # A product of the high halves H, of the low halves L, of the sums of halves M: in q 19 words of H, 19 of L, one free,
    # 19 of M, then the sums. Limb by limb of one factor, the columns that are not complete yet stay in locals.
    scratch = int(frame) + 16
    q = ptr32(scratch)
    if op == 42:  # *
        e = ptr32(base + g[2] * 80)
        p = ptr32(base + g[3] * 80)
        r = ptr32(int(q) + 232)
        t = 5
        while t:
            r[0] = e[0] + e[10]
            r[10] = p[0] + p[10]
            r[1] = e[1] + e[11]
            r[11] = p[1] + p[11]
            e = ptr32(int(e) + 8)
            p = ptr32(int(p) + 8)
            r = ptr32(int(r) + 8)
            t -= 1
        t = 3
        while True:
            c0 = 0
            c1 = 0
            c2 = 0
            c3 = 0
            c4 = 0
            c5 = 0
            c6 = 0
            c7 = 0
            c8 = 0
            n = 2
            while n:
                x = e[0]
                q[0] = p[0] * x + c0
                c1 = p[1] * x + c1
                c2 = p[2] * x + c2
                c3 = p[3] * x + c3
                c4 = p[4] * x + c4
                c5 = p[5] * x + c5
                c6 = p[6] * x + c6
                c7 = p[7] * x + c7
                c8 = p[8] * x + c8
                c9 = p[9] * x
                x = e[1]
                q[1] = p[0] * x + c1
                c2 = p[1] * x + c2
                c3 = p[2] * x + c3
                c4 = p[3] * x + c4
                c5 = p[4] * x + c5
                c6 = p[5] * x + c6
                c7 = p[6] * x + c7
                c8 = p[7] * x + c8
                c9 = p[8] * x + c9
                c10 = p[9] * x
                x = e[2]
                q[2] = p[0] * x + c2
                c3 = p[1] * x + c3
                c4 = p[2] * x + c4
                c5 = p[3] * x + c5
                c6 = p[4] * x + c6
                c7 = p[5] * x + c7
                c8 = p[6] * x + c8
                c9 = p[7] * x + c9
                c10 = p[8] * x + c10
                c11 = p[9] * x
                x = e[3]
                q[3] = p[0] * x + c3
                c4 = p[1] * x + c4
                c5 = p[2] * x + c5
                c6 = p[3] * x + c6
                c7 = p[4] * x + c7
                c8 = p[5] * x + c8
                c9 = p[6] * x + c9
                c10 = p[7] * x + c10
                c11 = p[8] * x + c11
                c12 = p[9] * x
                x = e[4]
                q[4] = p[0] * x + c4
                c0 = p[1] * x + c5
                c1 = p[2] * x + c6
                c2 = p[3] * x + c7
                c3 = p[4] * x + c8
                c4 = p[5] * x + c9
                c5 = p[6] * x + c10
                c6 = p[7] * x + c11
                c7 = p[8] * x + c12
                c8 = p[9] * x
                e = ptr32(int(e) + 20)
                q = ptr32(int(q) + 20)
                n -= 1
            q[0] = c0
            q[1] = c1
            q[2] = c2
            q[3] = c3
            q[4] = c4
            q[5] = c5
            q[6] = c6
            q[7] = c7
            q[8] = c8
            t -= 1
            if t == 0:
                break
            if t == 2:
                e = ptr32(int(e) - 80)
                p = ptr32(int(p) - 40)
                q = ptr32(int(q) + 36)
            else:
                q = ptr32(int(q) + 40)
                e = ptr32(int(q) + 76)
                p = ptr32(int(q) + 116)
    # A square likewise; a limb is doubled once its own square is taken.
    if op == 94:  # ^
        p = ptr32(base + g[2] * 80)
        r = ptr32(int(q) + 232)
        t = 2
        while t:
            r[0] = p[0] + p[10]
            r[1] = p[1] + p[11]
            r[2] = p[2] + p[12]
            r[3] = p[3] + p[13]
            r[4] = p[4] + p[14]
            p = ptr32(int(p) + 20)
            r = ptr32(int(r) + 20)
            t -= 1
        t = 3
        while True:
            x = p[0]
            q[0] = x * x
            x = x + x
            q[1] = p[1] * x
            c2 = p[2] * x
            c3 = p[3] * x
            c4 = p[4] * x
            c5 = p[5] * x
            c6 = p[6] * x
            c7 = p[7] * x
            c8 = p[8] * x
            c9 = p[9] * x
            x = p[1]
            q[2] = x * x + c2
            x = x + x
            q[3] = p[2] * x + c3
            c4 = p[3] * x + c4
            c5 = p[4] * x + c5
            c6 = p[5] * x + c6
            c7 = p[6] * x + c7
            c8 = p[7] * x + c8
            c9 = p[8] * x + c9
            c10 = p[9] * x
            x = p[2]
            q[4] = x * x + c4
            x = x + x
            q[5] = p[3] * x + c5
            c6 = p[4] * x + c6
            c7 = p[5] * x + c7
            c8 = p[6] * x + c8
            c9 = p[7] * x + c9
            c10 = p[8] * x + c10
            c11 = p[9] * x
            x = p[3]
            q[6] = x * x + c6
            x = x + x
            q[7] = p[4] * x + c7
            c8 = p[5] * x + c8
            c9 = p[6] * x + c9
            c10 = p[7] * x + c10
            c11 = p[8] * x + c11
            c12 = p[9] * x
            x = p[4]
            q[8] = x * x + c8
            x = x + x
            q[9] = p[5] * x + c9
            c10 = p[6] * x + c10
            c11 = p[7] * x + c11
            c12 = p[8] * x + c12
            c13 = p[9] * x
            x = p[5]
            q[10] = x * x + c10
            x = x + x
            q[11] = p[6] * x + c11
            c12 = p[7] * x + c12
            c13 = p[8] * x + c13
            c14 = p[9] * x
            x = p[6]
            q[12] = x * x + c12
            x = x + x
            q[13] = p[7] * x + c13
            c14 = p[8] * x + c14
            c15 = p[9] * x
            x = p[7]
            q[14] = x * x + c14
            x = x + x
            q[15] = p[8] * x + c15
            c16 = p[9] * x
            x = p[8]
            q[16] = x * x + c16
            x = x + x
            q[17] = p[9] * x
            x = p[9]
            q[18] = x * x
            t -= 1
            if t == 0:
                break
            if t == 2:
                p = ptr32(int(p) - 40)
                q = ptr32(int(q) + 76)
            else:
                q = ptr32(int(q) + 80)
                p = ptr32(int(q) + 76)
    # The reduction. With y = 2**130 the product is L + (M - L - H) * y + H * y**2, and y**2 = 608 modulo p.
    if op == 42 or op == 94:
        p = ptr32(scratch)
        q = ptr32(scratch + 156)
        # What is above 2**260 is carried into limbs of 13 bits (x) and added 608-fold to L, in columns 0 to 8 first. There
        # and ten columns higher L[k + 10] - H[k] (y) is part of the sum; column k + 10 takes the place of L[k + 10].
        x = 0
        t = 3
        while t:
            y = p[29] - p[0]
            x = (x >> 13) + q[10] - p[10] - y
            p[29] = q[0] - p[19] + y
            p[19] = (x & low) * across + p[19]
            y = p[30] - p[1]
            x = (x >> 13) + q[11] - p[11] - y
            p[30] = q[1] - p[20] + y
            p[20] = (x & low) * across + p[20]
            y = p[31] - p[2]
            x = (x >> 13) + q[12] - p[12] - y
            p[31] = q[2] - p[21] + y
            p[21] = (x & low) * across + p[21]
            p = ptr32(int(p) + 12)
            q = ptr32(int(q) + 12)
            t -= 1
        p[29] = q[0] - p[19] - p[0]  # column 19
        t = 2
        while t:
            x = (x >> 13) + p[0]
            p[19] = (x & low) * across + p[19]
            x = (x >> 13) + p[1]
            p[20] = (x & low) * across + p[20]
            x = (x >> 13) + p[2]
            p[21] = (x & low) * across + p[21]
            x = (x >> 13) + p[3]
            p[22] = (x & low) * across + p[22]
            x = (x >> 13) + p[4]
            p[23] = (x & low) * across + p[23]
            p = ptr32(int(p) + 20)
            t -= 1
        p[19] = (x >> 13) * across + p[19]
        q = ptr32(base + g[1] * 80)
        g = ptr8(int(g) + 4)
        # Carry to limbs from -4096 to 4095, and what leaves limb 19 comes back 608-fold.
        x = 0
        t = 4
        while t:
            x = ((x + half) >> 13) + p[0]
            q[0] = x << 19 >> 19
            x = ((x + half) >> 13) + p[1]
            q[1] = x << 19 >> 19
            x = ((x + half) >> 13) + p[2]
            q[2] = x << 19 >> 19
            x = ((x + half) >> 13) + p[3]
            q[3] = x << 19 >> 19
            x = ((x + half) >> 13) + p[4]
            q[4] = x << 19 >> 19
            p = ptr32(int(p) + 20)
            q = ptr32(int(q) + 20)
            t -= 1
        p = ptr32(int(q) - 80)
        x = ((x + half) >> 13) * across + p[0]
        p[0] = x << 19 >> 19
        x = ((x + half) >> 13) + p[1]
        p[1] = x << 19 >> 19
        p[2] = ((x + half) >> 13) + p[2]
    frame[0] = int(g)


@micropython.viper
def repeat(program: ptr8, workspace: ptr32, bits: ptr8, i: int, n: int):
    """Run a program n times. Its "?" select if bits i-1 and i differ, the next time if bits i-2 and i-1 do, and so on."""
    area = scratch
    # The round, the workspace and the bits; the rest is for the columns of a product and the sums of its operands.
    frame = ptr32(area)
    frame[1] = int(workspace)
    frame[2] = int(bits)
    one_round = _round
    while n:
        n -= 1
        i -= 1
        at = int(program)
        while True:
            op = ptr8(at)[0]
            if op == 59:  # ;
                break
            turns = 1
            if op > 128:
                turns = op - 128
                at += 1
            while turns:
                turns -= 1
                frame[0] = at
                one_round(area, i)
            at = frame[0]
    # The collector must not take these for references.
    frame[0] = 0
    frame[1] = 0
    frame[2] = 0


def compute(program, workspace):
    """Run a program once; its "?" take their first operand."""
    repeat(program, workspace, _no_bits, 1, 1)


@micropython.viper
def unpack(slot: ptr32, source: ptr8):
    """Carried limbs of 32 bytes, little-endian; bit 255 is not read."""
    x = 0
    held = 0
    n = 0
    i = 0
    j = 0
    low = 8191
    while i < 20:
        while n < 13:
            if j < 32:
                held |= source[j] << n
            j += 1
            n += 8
        if i == 19:
            low = 255
        x += held & low
        slot[i] = x << 19 >> 19
        x = (x + 4096) >> 13
        held >>= 13
        n -= 13
        i += 1


@micropython.viper
def pack(out: ptr8, slot: ptr32) -> int:
    """32 bytes, little-endian, below p, of an element; the slot then holds the same in limbs from 0 to 8191. Returns 0 if
    all are zero."""
    # Twice what is above 2**255 comes back as 19 times itself. Then p is subtracted where adding 19 passes 2**255: the
    # last turn takes the 19 away again where it did not.
    turn = 0
    x = 0
    while turn < 5:
        if turn == 3:
            x = 1
        if turn == 4:
            x -= 1
        x *= 19
        i = 0
        while i < 20:
            x += slot[i]
            slot[i] = x & 8191
            x >>= 13
            i += 1
        x = (x << 5) + (slot[19] >> 8)
        slot[19] = slot[19] & 255
        turn += 1
    x = 0
    n = 0
    i = 0
    j = 0
    together = 0
    while j < 32:
        if n < 8:
            x |= slot[i] << n
            n += 13
            i += 1
        out[j] = x
        together |= out[j]
        x >>= 8
        n -= 8
        j += 1
    return together
