"""Merlin transcripts over STROBE-128 (merlin.cool; strobe.sourceforge.io, version 1.0.2), of which SecretConnection needs
two operations: to take a message in, and to draw bytes that depend on all that was taken in.
"""

from __future__ import annotations

MASK = (1 << 64) - 1
RATE = 166  # bytes of the state that STROBE-128 uses
A, C, M = 2, 4, 16  # flags of an operation: of the application, of the cipher, of the protocol's own framing
PRF = 1 | A | C
ROUNDS = 24


def _round_constants() -> list[int]:
    """Keccak's 24 constants, from its linear feedback register (FIPS 202, algorithm 5)."""
    constants, register = [], 1
    for _ in range(ROUNDS):
        value = 0
        for j in range(7):
            if register & 1:
                value |= 1 << ((1 << j) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(value)
    return constants


def _steps() -> list[tuple[int, int, int]]:
    """Of each lane but the first where rho and pi bring it from, where to, and by how much it turns (FIPS 202, 3.2.2-3)."""
    steps, x, y = [], 1, 0
    for t in range(ROUNDS):
        turned = ((t + 1) * (t + 2) // 2) % 64
        target_x, target_y = y, (2 * x + 3 * y) % 5
        steps.append((x + 5 * y, target_x + 5 * target_y, turned))
        x, y = target_x, target_y
    return steps


CONSTANTS = _round_constants()
STEPS = _steps()


def keccak_f(state: bytearray) -> None:
    """Keccak-f[1600] of 200 bytes, in place."""
    a = [int.from_bytes(state[i : i + 8], "little") for i in range(0, 200, 8)]
    for constant in CONSTANTS:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[x - 1] ^ ((c[(x + 1) % 5] << 1 | c[(x + 1) % 5] >> 63) & MASK) for x in range(5)]
        a = [lane ^ d[i % 5] for i, lane in enumerate(a)]
        b = [a[0]] * 25
        for source, target, by in STEPS:
            b[target] = (a[source] << by | a[source] >> (64 - by)) & MASK
        for y in range(0, 25, 5):
            row = b[y : y + 5]
            for x in range(5):
                a[y + x] = row[x] ^ (~row[(x + 1) % 5] & MASK & row[(x + 2) % 5])
        a[0] ^= constant
    state[:] = b"".join(lane.to_bytes(8, "little") for lane in a)


class Transcript:
    """What was said so far, under a label. Labels and messages are bytes."""

    def __init__(self, label: bytes) -> None:
        self._state = bytearray(200)
        self._state[:18] = bytes((1, RATE + 2, 1, 0, 1, 96)) + b"STROBEv1.0.2"
        keccak_f(self._state)
        self._at = self._began = 0
        self._meta(b"Merlin v1.0")
        self.append(b"dom-sep", label)

    def append(self, label: bytes, message: bytes) -> None:
        """Take a message in."""
        self._meta(label, len(message))
        self._begin(A)
        self._absorb(message)

    def draw(self, label: bytes, size: int) -> bytes:
        """`size` bytes that nobody has who took in something else."""
        self._meta(label, size)
        self._begin(PRF)
        out = bytearray()
        for _ in range(size):
            out.append(self._state[self._at])
            self._state[self._at] = 0
            self._step()
        return bytes(out)

    def _meta(self, label: bytes, size: int | None = None) -> None:
        self._begin(A | M)
        self._absorb(label)
        if size is not None:
            self._absorb(size.to_bytes(4, "little"))

    def _begin(self, flags: int) -> None:
        began, self._began = self._began, self._at + 1
        self._absorb(bytes((began, flags)))
        if flags & C and self._at:
            self._run()

    def _absorb(self, data: bytes) -> None:
        for byte in data:
            self._state[self._at] ^= byte
            self._step()

    def _step(self) -> None:
        self._at += 1
        if self._at == RATE:
            self._run()

    def _run(self) -> None:
        self._state[self._at] ^= self._began
        self._state[self._at + 1] ^= 4
        self._state[RATE + 1] ^= 0x80
        keccak_f(self._state)
        self._at = self._began = 0
