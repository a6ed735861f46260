"""SecretConnection of CometBFT, sans-I/O: authenticated encryption between two nodes (row T17, its spec/p2p).

    both    a length and an ephemeral X25519 key, then, sealed, an Ed25519 key and a signature of the transcript's challenge
    then    frames of 1,028 bytes (length 4, little endian, data, zeros), each sealed to 1,044 bytes, nonces counted per side

A node's id is the first 20 bytes of SHA-256 of its Ed25519 key.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .merlin import Transcript
from .proto import Malformed, blob, fields, message, one, uvarint

DATA_MAX = 1024
SEALED = 4 + DATA_MAX + 16
HELLO = 35  # bytes of an ephemeral key on the wire
AUTH_MAX = 1024  # of a key with its signature; 104 are needed


def node_id(public_key: bytes) -> bytes:
    """20 bytes, which CometBFT writes as 40 hexadecimal digits."""
    return sha256(public_key).digest()[:20]


class Refused(Exception):
    """The other side is not to be spoken with; the text says why."""


class SecretConnection:
    """One side of a connection. `out` holds what is to be sent; `receive` returns what the other side said."""

    def __init__(self, key: Ed25519PrivateKey, ephemeral: X25519PrivateKey | None = None) -> None:
        """`ephemeral`: the key of this connection, for tests."""
        self.remote_key: bytes | None = None  # proven, 32 bytes
        self._key = key
        self._ephemeral = ephemeral or X25519PrivateKey.generate()
        self._mine = self._ephemeral.public_key().public_bytes_raw()
        self._waiting = bytearray()
        self._plain = bytearray()
        self._challenge = b""
        self._seal: ChaCha20Poly1305 | None = None
        self._open: ChaCha20Poly1305 | None = None
        self._sent = self._received = 0
        self.out = bytearray(bytes((HELLO - 1,)) + blob(1, self._mine))

    def send(self, data: bytes) -> None:
        """Seal data into `out`, after the handshake."""
        assert self._seal
        for i in range(0, len(data), DATA_MAX):
            part = data[i : i + DATA_MAX]
            frame = len(part).to_bytes(4, "little") + part + bytes(DATA_MAX - len(part))
            self.out += self._seal.encrypt(_nonce(self._sent), frame, None)
            self._sent += 1

    def receive(self, data: bytes) -> bytes:
        """Take what came; returns the data in it, of a proven peer only. Raises Refused."""
        self._waiting += data
        if self._seal is None:
            if len(self._waiting) < HELLO:
                return b""
            self._agree(bytes(self._waiting[:HELLO]))
            del self._waiting[:HELLO]
        while len(self._waiting) >= SEALED:
            self._open_frame(bytes(self._waiting[:SEALED]))
            del self._waiting[:SEALED]
        if self.remote_key is None and (self._seal is None or not self._prove()):
            return b""
        plain = bytes(self._plain)
        self._plain.clear()
        return plain

    def _agree(self, hello: bytes) -> None:
        if hello[:3] != bytes((HELLO - 1, 0x0A, 32)):
            raise Refused("its first bytes are no key")
        theirs = hello[3:]
        low, high = sorted((self._mine, theirs))
        if low == high:
            raise Refused("it sent our own key back")
        try:
            shared = self._ephemeral.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError:  # a point of low order
            raise Refused("its key is worth nothing") from None
        transcript = Transcript(b"TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH")
        transcript.append(b"EPHEMERAL_LOWER_PUBLIC_KEY", low)
        transcript.append(b"EPHEMERAL_UPPER_PUBLIC_KEY", high)
        transcript.append(b"DH_SECRET", shared)
        info = b"TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN"
        keys = HKDF(SHA256(), 96, None, info).derive(shared)
        first, second = ChaCha20Poly1305(keys[:32]), ChaCha20Poly1305(keys[32:64])
        self._open, self._seal = (first, second) if self._mine == low else (second, first)
        self._challenge = transcript.draw(b"SECRET_CONNECTION_MAC", 32)
        public = blob(1, self._key.public_key().public_bytes_raw())
        auth = blob(1, public) + blob(2, self._key.sign(self._challenge))
        self.send(message(auth))

    def _open_frame(self, sealed: bytes) -> None:
        assert self._open
        try:
            frame = self._open.decrypt(_nonce(self._received), sealed, None)
        except InvalidTag:
            raise Refused("a frame is not authentic") from None
        self._received += 1
        size = int.from_bytes(frame[:4], "little")
        if size > DATA_MAX:
            raise Refused("a frame is too long")
        self._plain += frame[4 : 4 + size]

    def _prove(self) -> bool:
        """Check the other side's signature, once it is here."""
        try:
            size, start = uvarint(self._plain, 0)
            if size > AUTH_MAX:
                raise Refused("its proof is too long")
            if len(self._plain) < start + size:
                return False
            auth = fields(bytes(self._plain[start : start + size]))
            key = one(fields(one(auth, 1, b"")), 1, b"")
            Ed25519PublicKey.from_public_bytes(key).verify(one(auth, 2, b""), self._challenge)
        except IndexError:
            return False
        except (InvalidSignature, ValueError, Malformed):
            raise Refused("it cannot prove its key") from None
        del self._plain[: start + size]
        self.remote_key = key
        return True


def _nonce(count: int) -> bytes:
    return bytes(4) + count.to_bytes(8, "little")
