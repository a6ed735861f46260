"""The Noise handshakes XXpsk0 and XX over X25519, ChaCha20-Poly1305 and SHA-256, in either role (the Noise specification,
revision 34; docs/protocol.md 4.2). Pure."""

from .aead import Aead
from .compat import const, sha256
from .crypto import X25519, hkdf
from .keymap import id_from_u, is_id_of

_TAG = const(16)

# Tokens. The number of a key agreement says whose static key takes part: nobody's (0), the responder's, the initiator's.
_RESPONDER = const(1)
_PSK = const(3)
_EPHEMERAL = const(4)
_STATIC = const(5)  # and 6 is the payload
_PATTERN = (b"\x03\x04\x06", b"\x04\x00\x05\x01\x06", b"\x05\x02\x06")  # messages 1, 2 and 3


def _crypt(key, nonce, digest, buf, at, end, is_read):
    """Encrypt buf[at:end] and put a tag behind it, or undo that; leave it as it is while there is no key. Returns the hash
    that follows `digest`, or None for what does not open."""
    if key is None:
        return sha256(digest + buf[at:end]).digest()
    cipher = Aead(key)
    nonce = bytes((0, 0, 0, 0, nonce, 0, 0, 0, 0, 0, 0, 0))
    if not is_read:
        cipher.seal(nonce, digest, buf, at, end)
    end += _TAG
    hashed = sha256(digest + buf[at:end]).digest()
    return None if is_read and cipher.open(nonce, digest, buf, at, end) < 0 else hashed


class Noise:
    """One handshake. `identity` has `static_private` and `static_public`, 32 bytes each; `ephemeral32` is random and fresh;
    `psk32` None makes it plain XX. `peer_id` is the node id of the peer's static key once that came. After message 3 `keys`
    holds 64 bytes: the key under which the initiator sends, then the responder's."""

    def __init__(self, identity, ephemeral32, prologue, psk32, is_initiator):
        self._identity = identity
        self.ephemeral = ephemeral32
        self.expected = None  # the node id that the peer should have
        self.job = None  # of its public half, where that was begun before; what is made of it is used once
        self._psk = psk32
        self._is_initiator = is_initiator
        name = b"Noise_XX_25519_ChaChaPoly_SHA256"
        if psk32:  # a name longer than a hash is hashed
            name = sha256(b"Noise_XXpsk0_25519_ChaChaPoly_SHA256").digest()
        # Chaining key, hash, cipher key, nonce, the peer's ephemeral and its static key.
        self._state = name, sha256(name + prologue).digest(), None, 0, None, None
        self._messages = 0
        self.peer_id = self.keys = None
        self.at = self.end = 0

    def _agreement(self, token, their_ephemeral, their_static):
        """The job of a key agreement."""
        if token == _RESPONDER + self._is_initiator:  # the own static key takes part
            return X25519(self._identity.static_private, their_ephemeral)
        return X25519(self.ephemeral, their_static if token else their_ephemeral)

    def message(self, buf, at, end, payload=None):
        """A generator that does the next message and yields True between slices. With `payload` it writes the message to
        `buf` from `at` on, at most 96 bytes more than the payload, and leaves its end in `end`. Without, it reads
        buf[at:end] and leaves the bounds of the decrypted payload in `at` and `end`; an `end` of -1 refuses the message, and
        nothing else has changed then."""
        is_read = payload is None
        chain, digest, key, nonce, their_ephemeral, their_static = self._state
        peer_id = self.peer_id
        self.end = -1
        for token in _PATTERN[self._messages]:
            job = secret = None
            if token < _PSK:
                job = self._agreement(token, their_ephemeral, their_static)
            elif token == _PSK:
                secret = self._psk
            elif token == _EPHEMERAL and not is_read:
                job = self.job or X25519(self.ephemeral)
            if job:
                while job.step():
                    yield True
                yield True  # the last step is as long as any, and what follows takes a board 4 ms, as a payload does
                secret = job.result
                if secret is None:
                    return
            if token == _EPHEMERAL:
                if not is_read:
                    buf[at : at + 32] = secret
                elif end - at < 32:
                    return
                else:
                    secret = their_ephemeral = bytes(buf[at : at + 32])
                digest = sha256(digest + secret).digest()
                at += 32
                if not self._psk:
                    secret = None
            elif token > _EPHEMERAL:
                tag = _TAG if key else 0
                if is_read:
                    tail = at + 32 + _TAG if token == _STATIC else end
                    if tail > end or tail - tag < at:
                        return
                else:
                    text = self._identity.static_public if token == _STATIC else payload
                    tail = at + len(text) + tag
                    buf[at : tail - tag] = text
                stop = tail - tag
                digest = _crypt(key, nonce, digest, buf, at, stop, is_read)
                nonce += 1
                if digest is None:
                    return
                if is_read and token == _STATIC:
                    their_static = bytes(buf[at:stop])
                    peer_id = self.expected
                    if not (peer_id and is_id_of(peer_id, their_static)):
                        yield True  # what follows costs an inversion
                        peer_id = id_from_u(their_static)
                    if peer_id is None:
                        return
                start = at
                at = tail
            if secret:
                secret = hkdf(secret, b"", 96 if token == _PSK else 64, chain)
                chain = secret[:32]
                key = secret[-32:]
                nonce = 0
                if token == _PSK:
                    digest = sha256(digest + secret[32:64]).digest()
            if token == _STATIC:
                yield True
        self._state = chain, digest, key, nonce, their_ephemeral, their_static
        self._messages += 1
        self.peer_id = peer_id
        if self._messages == len(_PATTERN):
            self.keys = hkdf(b"", b"", 64, chain)
        self.at = start
        self.end = stop if is_read else at
