"""What a running node keeps of its start: keys, random bytes, and the rules that every node id obeys (docs/protocol.md
section 1).

Making and reading keys is the business of nodekey.py and membership.py, gathering randomness that of entropy.py; a node
forgets them once it runs. Pure.
"""

from .compat import const, sha256
from .crypto import hkdf

_LOWER_KEPT_S = const(86400)
_EPOCH = const(9)  # see reasons.py
_REVOKED = const(22)


def is_valid_id(id32):
    """Whether 32 bytes can be a node id: sign bit 0, y < p = 2**255 - 19, and y != 1, the one y that has no static key. It
    does not ask whether the point is on the curve: whoever holds no key for it fails the proof that comes next."""
    if len(id32) != 32 or id32[31] > 0x7F:
        return False
    if id32[31] == 0x7F and id32[0] >= 0xED:
        return bytes(id32[1:31]) != b"\xff" * 30
    return id32[0] != 1 or bytes(id32[1:]) != bytes(31)


def check_id(id32):
    """The 32 bytes of what a user calls a node's id, in any buffer. Raises LocalError for anything else, which would take
    machine code anywhere."""
    if isinstance(id32, (bytes, bytearray, memoryview)) and len(id32) == 32:
        return bytes(id32)
    from .errors import LocalError

    raise LocalError("a node id is 32 bytes")


def pair_key(shared32, id_a, id_b):
    """The 16-byte key of the pair {a, b} from their X25519 result, the same at both ends and in every epoch."""
    id_a = bytes(id_a)
    id_b = bytes(id_b)
    if id_b < id_a:
        id_a, id_b = id_b, id_a
    return hkdf(shared32, b"picoswarm pair v1" + id_a + id_b, 16)


class Kept:
    """What a running node keeps of an Identity (`id`, `static_private`) or a NetworkKey (all its values), under the same
    names. An instance of those classes would keep the whole module in memory."""


class Keyring:
    """The network keys that a running node holds: `highest`, and `lower` or None. `serial`: of the last change of keys that
    it took (changes.py), 0 for none yet, None where it takes none. `revoked`: the first 16 bytes of each revoked id.
    `retired`: the key that a gateway keeps for those that missed a revocation (returning.py)."""

    serial = retired = None
    revoked = b""

    def __init__(self, highest, lower=None):
        self.highest = highest
        self.lower = lower
        self.since_s = 0  # uptime when the highest key came

    def find(self, epoch):
        """The network key of an epoch, or None."""
        if self.highest.epoch == epoch:
            return self.highest
        if self.lower is not None and self.lower.epoch == epoch:
            return self.lower
        return None

    def refusal(self, session):
        """Why there may be no session with a peer that has proven itself, or 0."""
        if session.id[:16] in self.revoked:
            return _REVOKED
        return 0 if self.find(session.epoch) else _EPOCH

    def expire(self, uptime_s):
        """Forget the lower key 24 hours of uptime after the highest came; a restart begins the day anew. True when it
        went: the caller closes that key's sessions and saves."""
        if self.lower is None or uptime_s - self.since_s < _LOWER_KEPT_S:
            return False
        self.lower = None
        return True


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
            self._stock = sha256(self._state).digest()
            self._state = sha256(self._stock + self._state).digest()
            at = 0
        self._at = at + n
        return self._stock[at : at + n]
