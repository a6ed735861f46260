"""Records sealed and opened by one call each (docs/protocol.md 4.4): by libsodium where PyNaCl is there, else by the
`cryptography` package. For records of a hundred bytes libsodium takes half the time, since it needs no context: a key is 32
bytes, and not 2.3 KB of an OpenSSL object. Of PyNaCl the functions of C are called: its own around them take six times as
long."""

from __future__ import annotations

from struct import Struct
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

try:
    from nacl._sodium import ffi, lib

    SEAL = lib.crypto_aead_chacha20poly1305_ietf_encrypt
    OPEN = lib.crypto_aead_chacha20poly1305_ietf_decrypt
    NULL = ffi.NULL
    if lib.sodium_init() < 0:  # 1: it was called before
        ffi = None
except (ImportError, AttributeError):
    ffi = None

HEAD = 2
TAG = 16
KEY = 32  # bytes
REKEY = 1 << 20  # records
MOST = 0x10000  # bytes of a record, by its length of two
NONCE = Struct("<4xQ").pack  # from the number of a record
LENGTH = Struct(">H").pack


class Scratch:
    """Where libsodium writes: one for all ciphers of a thread, since others run while it does."""

    def __init__(self) -> None:
        self.out = ffi and ffi.new("unsigned char[]", MOST)
        self.view: Any = ffi and ffi.buffer(self.out)


class OpensslCipher:
    """One direction of a session."""

    __slots__ = ("_aead", "_count", "_key")

    def __init__(self, key: bytes, scratch: Scratch) -> None:
        self._key = bytes(key)
        self._aead: ChaCha20Poly1305 | None = None
        self._count = 0  # records so far

    def rest(self) -> None:
        """It will not be used for a while."""
        self._aead = None

    def _ready(self) -> ChaCha20Poly1305:
        self._aead = aead = ChaCha20Poly1305(self._key)
        return aead

    def seal(self, plain: bytes) -> bytes:
        """The next record."""
        head = LENGTH(len(plain) + TAG)
        sealed = (self._aead or self._ready()).encrypt(NONCE(self._count), plain, head)
        self._count += 1
        if not self._count % REKEY:
            self._renew()
        return head + sealed

    def open(self, data: bytes, at: int, end: int) -> bytes:
        """The plaintext of the record data[at:end]. Raises InvalidTag."""
        body = at + HEAD
        plain = (self._aead or self._ready()).decrypt(NONCE(self._count), data[body:end], data[at:body])
        self._count += 1
        if not self._count % REKEY:
            self._renew()
        return plain

    def _renew(self) -> None:
        self._key = next_key(self._key)
        self._aead = None


class SodiumCipher:
    """The same by libsodium. Raises ValueError for a key of another length, as OpenSSL's does: C would read on."""

    __slots__ = ("_count", "_key", "_out", "_view")

    def __init__(self, key: bytes, scratch: Scratch) -> None:
        if len(key) != KEY:
            raise ValueError(f"a key of {len(key)} bytes")
        self._key = bytes(key)
        self._out, self._view = scratch.out, scratch.view
        self._count = 0

    def rest(self) -> None:
        """There is nothing to let go of."""

    def seal(self, plain: bytes) -> bytes:
        """The next record."""
        n = len(plain) + TAG
        head = LENGTH(n)
        count = self._count
        SEAL(self._out, NULL, plain, n - TAG, head, HEAD, NULL, NONCE(count), self._key)
        sealed = head + self._view[:n]
        self._count = count = count + 1
        if not count % REKEY:
            self._key = next_key(self._key)
        return sealed

    def open(self, data: bytes, at: int, end: int) -> bytes:
        """The plaintext of the record data[at:end]. Raises InvalidTag."""
        body = at + HEAD
        n = end - body
        count = self._count
        if OPEN(self._out, NULL, NULL, data[body:end], n, data[at:body], HEAD, NONCE(count), self._key):
            raise InvalidTag
        self._count = count = count + 1
        if not count % REKEY:
            self._key = next_key(self._key)
        return self._view[: n - TAG]


def next_key(key: bytes) -> bytes:
    """REKEY of Noise."""
    return ChaCha20Poly1305(key).encrypt(b"\0\0\0\0" + b"\xff" * 8, bytes(32), b"")[:32]


Cipher = SodiumCipher if ffi else OpensslCipher
