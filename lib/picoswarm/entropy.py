"""The random pool: raw source bytes in, keys and the seed of request ids (identity.Rng) out. Pure: who collects the bytes
hands them in.

A board's `os.urandom` is no generator to make keys from directly (RP2: sampled ring oscillators; ESP32: a true source only
while the radio is on), so its bytes pass health tests in the manner of NIST SP 800-90B section 4.4 and are hashed into a
state. What else tells two boards apart (stored seed, chip id, tick jitter) is hashed in too but never counted. Output is
hashed from the state, which then moves on one way: what is read from the pool later does not reveal what was drawn.
"""

from .compat import const, sha256
from .errors import EntropyError

_NEEDED = const(256)  # bits credited before a key is drawn
_BITS_PER_BYTE = const(2)  # min-entropy that the source is credited with
_WINDOW = const(128)  # source bytes tested together
# Cut-offs of SP 800-90B sections 4.4.1 and 4.4.2 for a false alarm of 2**-30 when the source has 2 bits a byte:
_RUN = const(16)  # equal bytes in a row, 1 + 30/2
_FREQUENT = const(65)  # times one byte in a window, the binomial quantile
_DISTINCT = const(16)  # values in a window, at least: 128 uniform bytes have 78 or more
_BLOCK = const(16)  # bytes in a row that come twice from no source that works

_DRAW_MAX = const(8160)  # 255 digests


def _trouble(samples):
    """Why these samples cannot come from a working source, or None."""
    counts = bytearray(256)
    run = most = distinct = 0
    before = -1
    for sample in samples:
        run = run + 1 if sample == before else 1
        if run == _RUN:
            return "repeats one byte"
        before = sample
        counts[sample] += 1
        most = max(most, counts[sample])
        distinct += counts[sample] == 1
    if most >= _FREQUENT:
        return "favours one byte"
    if distinct < _DISTINCT:
        return "takes too few values"
    return None


class Pool:
    """A forward-secure random pool. `separators` are bytes that tell this board from its clones."""

    def __init__(self, *separators):
        self._state = sha256(b"picoswarm entropy v1").digest()
        self._window = b""  # source bytes not yet tested
        self._last = None  # the last block of the window before
        self._credit = 0  # bits
        for separator in separators:
            self.add(separator)

    @property
    def ready(self):
        """Whether enough healthy source bytes have come for keys."""
        return self._credit >= _NEEDED

    def add(self, data):
        """Mix in bytes that are not credited: a stored seed, a chip id, jitter."""
        h = sha256(self._state)
        h.update(b"\x00")
        h.update(data)
        self._state = h.digest()

    def feed(self, source):
        """Mix in raw bytes of the random source and credit them, 128 bytes at a time. Raises EntropyError when they fail
        a health test: all credit is lost then, and only new healthy bytes make the pool ready."""
        self.add(source)
        self._window += bytes(source)
        while len(self._window) >= _WINDOW:
            window, self._window = self._window[:_WINDOW], self._window[_WINDOW:]
            trouble = self._examine(window)
            self._last = window[-_BLOCK:]
            if trouble:
                self._credit = 0
                self._window = b""
                raise EntropyError("the random source " + trouble)
            self._credit = min(self._credit + _WINDOW * _BITS_PER_BYTE, _NEEDED)

    def _examine(self, window):
        # A counter passes as it is, but its steps do not.
        steps = bytes([(window[i] - window[i - 1]) & 255 for i in range(_WINDOW)])
        trouble = _trouble(window) or _trouble(steps)
        if trouble:
            return trouble
        repeats = self._last and window.find(self._last) >= 0
        for i in range(0, _WINDOW, _BLOCK):
            repeats = repeats or window.find(window[i : i + _BLOCK], i + 1) >= 0
        return "repeats a block" if repeats else None

    def draw(self, n):
        """`n` random bytes (0 to 8160), ready or not: for what must differ, not for keys."""
        if not 0 <= n <= _DRAW_MAX:
            raise ValueError("entropy: length")
        out = b""
        i = 0
        while len(out) < n:
            i += 1
            out += sha256(self._state + bytes((1, i))).digest()
        self._state = sha256(self._state + b"\x02").digest()
        return out[:n]

    def draw_key(self, n=32):
        """`n` random bytes for a key. Raises EntropyError while the pool is not ready."""
        if not self.ready:
            raise EntropyError("no healthy random source yet: no key is made")
        return self.draw(n)
