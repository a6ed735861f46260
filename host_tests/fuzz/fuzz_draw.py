"""Chance and damage, for what is fuzzed on both runtimes."""

CHANGES_MAX = 3


class Random:
    """A generator of bytes that repeats itself with its seed, and after 33 million."""

    def __init__(self, seed):
        self._state = seed * 7919 + 1

    def __call__(self, n):
        out = bytearray(n)
        state = self._state
        for i in range(n):
            state ^= (state & 0x1FFFF) << 13
            state ^= state >> 17
            state ^= (state & 0x1FFFFFF) << 5
            out[i] = state >> 11 & 0xFF
        self._state = state
        return bytes(out)


def mutate(text, draw):
    """One to three changes: a bit, a byte, a cut, a repeat, random bytes between, the first byte. None in one of eight."""
    text = bytearray(text)
    if not draw(1)[0] % 8:
        return text
    for _ in range(1 + draw(1)[0] % CHANGES_MAX):
        what = draw(1)[0] % 8
        at = (draw(1)[0] << 8 | draw(1)[0]) % max(1, len(text))
        if what < 2:
            text[at] ^= 1 << draw(1)[0] % 8
        elif what < 4:
            text[at] = draw(1)[0]
        elif what == 4:
            text = text[: max(1, at)]
        elif what == 5:
            text = text + text[at:]
        elif what == 6:
            text = text[:at] + draw(draw(1)[0] % 48) + text[at:]
        else:
            text[0] ^= 1 << draw(1)[0] % 8
    return text[:470]
