"""The node key: made on the node at its first boot, read from its folder at the others (docs/protocol.md section 1).

The key is Ed25519; its 32-byte public key is the node id. The same secret serves X25519 through the birational map, so that
id and static key determine each other. For that map to have one inverse, the sign bit of every id is 0: seeds are drawn
until it is. A running node has no need of this module. Pure.
"""

from binascii import hexlify

from .compat import collect, const
from .crypto import u_from_id
from .errors import LocalError, Malformed
from .identity import is_valid_id

_PAYLOAD = const(96)  # key file: seed 32 | static private key 32 | id 32


def is_valid_static(u32):
    """Whether 32 bytes can be a static X25519 key: bit 255 is 0, u < p, and u != p - 1, the one u that has no id."""
    if len(u32) != 32 or u32[31] > 0x7F:
        return False
    return u32[31] != 0x7F or u32[0] < 0xEC or bytes(u32[1:31]) != b"\xff" * 30


def short(id32):
    """The first 4 bytes of an id in hex: how a node is named in print."""
    return hexlify(bytes(id32[:4])).decode()


class Identity:
    """A node key. `.id` and `.static_public` are public; `.seed` and `.static_private` are the secrets, and nothing here
    prints them."""

    def __init__(self, seed, static_private, id32):
        """Raises LocalError unless the parts have 32 bytes, the id is valid and the private key is clamped."""
        if len(seed) != 32 or len(static_private) != 32 or not is_valid_id(id32):
            raise LocalError("identity: size or id")
        if static_private[0] & 7 or static_private[31] & 0xC0 != 0x40:
            raise LocalError("identity: private key is not clamped")
        self.seed = bytes(seed)
        self.static_private = bytes(static_private)
        self.id = bytes(id32)

    @property
    def static_public(self):
        """The public static key, 32 bytes. It costs an inversion."""
        return u_from_id(self.id)

    def encode(self):
        """The payload of the identity key file. The static private key and the id stand in it, so that a node which has
        the file needs neither SHA-512 nor Ed25519."""
        return self.seed + self.static_private + self.id

    @staticmethod
    def decode(payload):
        """The Identity of a key file. Raises Malformed."""
        if len(payload) != _PAYLOAD:
            raise Malformed("identity: length")
        try:
            return Identity(payload[:32], payload[32:64], payload[64:])
        except LocalError as error:
            raise Malformed(str(error))


_loaded = []


def _makers():
    """(PublicKey, sha512), imported when the first key is made: a node that has its key file never loads them. Garbage goes
    before and after, so that they do not settle between it and leave a small heap in pieces."""
    if not _loaded:
        collect()
        from .ed25519 import PublicKey
        from .sha512 import sha512

        _loaded.append((PublicKey, sha512))
        collect()
    return _loaded[0]


class Create:
    """The job that makes a node key from an entropy pool (see crypto.run): about two Ed25519 key generations, in slices.

    Raises EntropyError, from the pool, before anything is made.
    """

    def __init__(self, pool):
        self._public_key, self._sha512 = _makers()
        self._pool = pool
        self._id = self.result = None
        self._draw()

    def _draw(self):
        self._seed = self._pool.draw_key(32)
        self._job = self._public_key(self._seed)

    def step(self):
        """One slice of work; True while more is left, then `.result` is the Identity."""
        if self._id is None:
            if not self._job.step():
                if is_valid_id(self._job.result):
                    self._id = self._job.result
                else:
                    self._draw()
            return True  # what follows costs an inversion, as the job's own last step does: a slice of its own
        private = bytearray(self._sha512(self._seed)[:32])
        private[0] &= 0xF8
        private[31] = private[31] & 0x3F | 0x40
        self.result = Identity(self._seed, private, self._id)
        self._pool = self._seed = self._job = None
        return False
