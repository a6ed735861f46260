"""Who belongs to the mesh: the network key of each epoch and what is derived from it (docs/protocol.md section 1).

At most two network keys are held while a mesh moves from one epoch to the next. Epochs are numbers modulo 16 in serial
order: of two, the higher is the one that the other reaches in fewer than 8 steps up. Sent under the highest, answered
under the request's epoch; the lower goes after a day of uptime or on the operator's word. A running node keeps an
identity.Keyring and has no need of this module. Pure.
"""

from binascii import hexlify

from .compat import const
from .crypto import ChaCha20, Hmac, hkdf
from .errors import LocalError, Malformed
from .identity import Keyring

KEY = 32  # bytes of a network key
EPOCHS = 16

_RECORD = const(33)  # epoch 1 | key 32, in the key file
_HALF = const(8)


def is_higher(a, b):
    """Whether epoch `a` follows epoch `b` in serial order modulo 16. Two epochs 8 apart do not follow each other."""
    return 0 < (a - b) % EPOCHS < _HALF


class NetworkKey:
    """One network key and its derived keys. Raises LocalError for a wrong size, an epoch outside 0-15, or a blank:
    32 equal bytes are what erased or cleared memory looks like, and no mesh may start from them by accident."""

    def __init__(self, key32, epoch):
        if len(key32) != KEY:
            raise LocalError("a network key is 32 bytes")
        if not 0 <= epoch < EPOCHS:
            raise LocalError("an epoch lies in 0..15")
        self.key = bytes(key32)
        if self.key == self.key[:1] * KEY:
            raise LocalError("blank network key")
        self.epoch = epoch
        datagram = hkdf(self.key, b"picoswarm datagram v1", 64)
        self.mac = Hmac(datagram[:32], 12, bytes((0x10 | epoch,)))  # Kd_mac: the tag of the datagram envelope
        self.stream = ChaCha20(datagram[32:])  # Kd_enc: its encryption
        self.label = hkdf(self.key, b"picoswarm label v1", 8)  # binds pair tags to the epoch, never sent
        self.psk = hkdf(self.key, b"picoswarm session v1")  # the pre-shared key of Noise

    def fingerprint(self):
        """A short name of this key that tells nothing about it: two nodes of one mesh and epoch show the same."""
        text = hexlify(hkdf(self.key, b"picoswarm fingerprint v1", 4)).decode()
        return text[:4] + "-" + text[4:]


def encode_keys(keyring):
    """The payload of the network key file: epoch 1 | key 32, the highest first."""
    payload = bytes((keyring.highest.epoch,)) + keyring.highest.key
    if keyring.lower is not None:
        payload += bytes((keyring.lower.epoch,)) + keyring.lower.key
    return payload


class Membership(Keyring):
    """The network keys of one mesh, one or two, as a folder holds them and as they follow each other."""

    def __init__(self, *network_keys):
        """From one key or two, in any order. Raises LocalError as `add` does, and for none."""
        if not 1 <= len(network_keys) <= 2:
            raise LocalError("a node holds one network key or two")
        super().__init__(network_keys[0])
        if len(network_keys) == 2:
            self.add(network_keys[1])

    def add(self, network_key, uptime_s=0):
        """Take in a key; the two highest are kept. False: nothing changed, because the key is held already or is older
        than both. Raises LocalError for a second key of an epoch that is held, or an epoch 8 away from the highest,
        which serial order cannot place."""
        held = self.find(network_key.epoch)
        if held is not None:
            if held.key != network_key.key:
                raise LocalError("another key of epoch %d is held" % network_key.epoch)
            return False
        if is_higher(network_key.epoch, self.highest.epoch):
            self.lower = self.highest
            self.highest = network_key
            self.since_s = uptime_s
            return True
        if not is_higher(self.highest.epoch, network_key.epoch):
            raise LocalError("epoch %d is 8 away from %d" % (network_key.epoch, self.highest.epoch))
        if self.lower is not None and not is_higher(network_key.epoch, self.lower.epoch):
            return False
        self.lower = network_key
        return True

    def drop_lower(self):
        """Forget the lower key, on the operator's word or after a revocation. False when there was none."""
        if self.lower is None:
            return False
        self.lower = None
        return True

    def encode(self):
        """The payload of the network key file: epoch 1 | key 32, the highest first."""
        return encode_keys(self)

    @staticmethod
    def decode(payload):
        """The Membership of a network key file. Raises Malformed."""
        if len(payload) not in (_RECORD, 2 * _RECORD):
            raise Malformed("network keys: length")
        try:
            highest = NetworkKey(payload[1:_RECORD], payload[0])
            membership = Membership(highest)
            if len(payload) > _RECORD:
                membership.add(NetworkKey(payload[_RECORD + 1 :], payload[_RECORD]))
        except LocalError as error:
            raise Malformed("network keys: %s" % error)
        if membership.encode() != payload:
            raise Malformed("network keys: order")
        return membership
