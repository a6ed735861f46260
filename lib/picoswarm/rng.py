"""The random bytes of a running node. The pool that the first state comes from is in entropy.py. Pure."""

from .compat import sha256


class Rng:
    """Bytes that nobody can guess who does not know the state: request ids, token secrets. `state32` is secret."""

    def __init__(self, state32):
        self._state = state32
        self._stock = b""
        self._at = 32

    def draw(self, n):
        """`n` random bytes, at most 32. They come from a stock of one digest, so that a request id costs a slice and not
        a hash; the state moves on one way with each stock."""
        at = self._at
        if at + n > 32:
            self._stock = sha256(self._state + b"\x01").digest()
            self._state = sha256(self._state + b"\x02").digest()
            at = 0
        self._at = at + n
        return self._stock[at : at + n]
