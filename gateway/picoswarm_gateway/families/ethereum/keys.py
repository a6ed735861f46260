"""secp256k1 and Keccak as Ethereum uses them: by coincurve (libsecp256k1) and pycryptodome."""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak

from .rlp import Malformed


def keccak256(data: bytes) -> bytes:
    """32 bytes."""
    return keccak.new(digest_bits=256, data=data).digest()


def public_bytes(key: PublicKey) -> bytes:
    """A node's id: 64 bytes, both coordinates."""
    return key.format(compressed=False)[1:]


def public_key(node: bytes) -> PublicKey:
    """From 64 bytes. Raises Malformed for no point of the curve."""
    try:
        return PublicKey(b"\4" + node)
    except ValueError:
        raise Malformed("it is no public key") from None


def shared(private: PrivateKey, public: PublicKey) -> bytes:
    """The x coordinate of the common point, 32 bytes."""
    return public.multiply(private.secret).format()[1:]


def sign(private: PrivateKey, digest: bytes) -> bytes:
    """65 bytes, from which the key can be recovered."""
    return private.sign_recoverable(digest, hasher=None)


def recover(signature: bytes, digest: bytes) -> PublicKey:
    """Who signed. Raises Malformed."""
    try:
        return PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:  # coincurve raises its own, and plain ones
        raise Malformed(f"it is no signature: {error}") from None
