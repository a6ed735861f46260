"""RLPx, sans-I/O: the encrypted connection of devp2p (specs of devp2p, rlpx.md; EIP-8).

initiator   auth: ECIES of (signature, public key 64, nonce 32, version)
recipient   ack: ECIES of (ephemeral key 64, nonce 32, version)
then        frames: header 16, MAC 16, body in multiples of 16, MAC 16; AES-256-CTR, and MACs that run over all that went
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Any

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from . import rlp
from .keys import keccak256, public_bytes, public_key, recover, shared, sign
from .rlp import Malformed

VERSION = 4
AUTH_MAX = 2048  # bytes of a handshake message
OVERHEAD = 65 + 16 + 32  # of ECIES
FRAME_MAX = (1 << 24) - 1
ZERO_HEADER = b"\xc2\x80\x80"


def _keys(secret: bytes) -> tuple[bytes, bytes]:
    """For encryption 16 and for the MAC 32, from NIST SP 800-56 with SHA-256."""
    material = hashlib.sha256(b"\0\0\0\1" + secret).digest()
    return material[:16], hashlib.sha256(material[16:]).digest()


def encrypt(to: PublicKey, message: bytes, shared_data: bytes) -> bytes:
    """ECIES: only the owner of the key can read it."""
    ephemeral = PrivateKey()
    key, mac_key = _keys(shared(ephemeral, to))
    iv = os.urandom(16)
    text = iv + Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(message)
    mac = hmac.digest(mac_key, text + shared_data, "sha256")
    return b"\4" + public_bytes(ephemeral.public_key) + text + mac


def decrypt(own: PrivateKey, data: bytes, shared_data: bytes) -> bytes:
    """Raises Malformed for what is not for this key."""
    if len(data) < OVERHEAD or data[0] != 4:
        raise Malformed("it is no sealed message")
    key, mac_key = _keys(shared(own, public_key(data[1:65])))
    text, mac = data[65:-32], data[-32:]
    if not hmac.compare_digest(hmac.digest(mac_key, text + shared_data, "sha256"), mac):
        raise Malformed("it is not sealed for this node")
    return Cipher(algorithms.AES(key), modes.CTR(text[:16])).decryptor().update(text[16:])


class _Mac:
    """A MAC that runs over all frames of one direction."""

    def __init__(self, key: bytes, start: bytes) -> None:
        self._hash = keccak.new(digest_bits=256, update_after_digest=True)
        self._hash.update(start)
        self._block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()

    def _stir(self, with_: bytes) -> bytes:
        digest = self._hash.digest()[:16]
        seed = bytes(a ^ b for a, b in zip(self._block.update(digest), with_, strict=True))
        self._hash.update(seed)
        return self._hash.digest()[:16]

    def header(self, sealed: bytes) -> bytes:
        """Of 16 bytes of a header."""
        return self._stir(sealed)

    def body(self, sealed: bytes) -> bytes:
        """Of a frame's body."""
        self._hash.update(sealed)
        return self._stir(self._hash.digest()[:16])


class Rlpx:
    """One side. `out` is to be sent; `receive` returns the frames that are complete. Raises Malformed, after which it is
    over."""

    def __init__(self, key: PrivateKey, remote: bytes | None = None) -> None:
        """`remote`: the public key (64) that is dialed; None: this side was dialed."""
        self.out = bytearray()
        self.remote = remote  # proven once `is_ready`
        self.longest = FRAME_MAX  # frame that is taken
        self.is_ready = False
        self._key = key
        self._ephemeral = PrivateKey()
        self._nonce = os.urandom(32)
        self._is_initiator = remote is not None
        self._waiting = bytearray()
        self._size = -1  # of the frame whose header is here
        self._auth = b""
        if remote is not None:
            self._say_auth(public_key(remote))

    def _say_auth(self, to: PublicKey) -> None:
        secret = shared(self._key, to)
        signature = sign(self._ephemeral, bytes(a ^ b for a, b in zip(secret, self._nonce, strict=True)))
        body = rlp.encode([signature, public_bytes(self._key.public_key), self._nonce, VERSION])
        self._auth = self._sealed(to, body)
        self.out += self._auth

    def _sealed(self, to: PublicKey, body: bytes) -> bytes:
        """A handshake message with padding, so that its size tells nothing."""
        body += os.urandom(100 + os.urandom(1)[0] % 100)
        head = (len(body) + OVERHEAD).to_bytes(2, "big")
        return head + encrypt(to, body, head)

    def receive(self, data: bytes) -> list[bytes]:
        """Take what came; the bodies of complete frames."""
        self._waiting += data
        if not self.is_ready and not self._shake_hands():
            return []
        frames = []
        while (frame := self._next_frame()) is not None:
            frames.append(frame)
        return frames

    def _shake_hands(self) -> bool:
        if len(self._waiting) < 2:
            return False
        size = int.from_bytes(self._waiting[:2], "big")
        if not OVERHEAD < size <= AUTH_MAX:
            raise Malformed("a handshake of that size does not exist")
        if len(self._waiting) < 2 + size:
            return False
        packet = bytes(self._waiting[: 2 + size])
        del self._waiting[: 2 + size]
        items = rlp.listed(rlp.decode(decrypt(self._key, packet[2:], packet[:2]), False), 3)
        if self._is_initiator:
            their_ephemeral, their_nonce = public_key(rlp.sized(items[0], 64)), rlp.sized(items[1], 32)
            self._agree(their_ephemeral, their_nonce, self._auth, packet)
        else:
            self._answer(packet, items)
        return True

    def _answer(self, auth: bytes, items: list[Any]) -> None:
        signature, their_nonce = rlp.sized(items[0], 65), rlp.sized(rlp.listed(items, 4)[2], 32)
        self.remote = rlp.sized(items[1], 64)
        static = public_key(self.remote)
        secret = shared(self._key, static)
        their_ephemeral = recover(signature, bytes(a ^ b for a, b in zip(secret, their_nonce, strict=True)))
        ack = self._sealed(static, rlp.encode([public_bytes(self._ephemeral.public_key), self._nonce, VERSION]))
        self.out += ack
        self._agree(their_ephemeral, their_nonce, auth, ack)

    def _agree(self, their_ephemeral: PublicKey, their_nonce: bytes, auth: bytes, ack: bytes) -> None:
        agreed = shared(self._ephemeral, their_ephemeral)
        nonces = their_nonce + self._nonce if self._is_initiator else self._nonce + their_nonce
        secret = keccak256(agreed + keccak256(nonces))
        aes = keccak256(agreed + secret)
        mac = keccak256(agreed + aes)
        sent, got = (auth, ack) if self._is_initiator else (ack, auth)
        self._egress = _Mac(mac, bytes(a ^ b for a, b in zip(mac, their_nonce, strict=True)) + sent)
        self._ingress = _Mac(mac, bytes(a ^ b for a, b in zip(mac, self._nonce, strict=True)) + got)
        self._seal = Cipher(algorithms.AES(aes), modes.CTR(bytes(16))).encryptor()
        self._open = Cipher(algorithms.AES(aes), modes.CTR(bytes(16))).decryptor()
        self.is_ready = True

    def send(self, body: bytes) -> None:
        """Seal a frame into `out`."""
        header = self._seal.update((len(body).to_bytes(3, "big") + ZERO_HEADER).ljust(16, b"\0"))
        self.out += header + self._egress.header(header)
        sealed = self._seal.update(body + bytes(-len(body) % 16))
        self.out += sealed + self._egress.body(sealed)

    def _next_frame(self) -> bytes | None:
        if self._size < 0:
            if len(self._waiting) < 32:
                return None
            header = bytes(self._waiting[:16])
            if not hmac.compare_digest(self._ingress.header(header), bytes(self._waiting[16:32])):
                raise Malformed("a frame's header is not authentic")
            del self._waiting[:32]
            self._size = int.from_bytes(self._open.update(header)[:3], "big")
            if self._size > self.longest:
                raise Malformed("a frame is too long")
        whole = self._size + -self._size % 16
        if len(self._waiting) < whole + 16:
            return None
        sealed = bytes(self._waiting[:whole])
        if not hmac.compare_digest(self._ingress.body(sealed), bytes(self._waiting[whole : whole + 16])):
            raise Malformed("a frame is not authentic")
        del self._waiting[: whole + 16]
        body = self._open.update(sealed)[: self._size]
        self._size = -1
        return body
