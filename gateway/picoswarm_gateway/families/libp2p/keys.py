"""Identity keys of libp2p peers: signatures of every kind that there is (libp2p specs, peer-ids)."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from picoswarm.peerkey import decode_key, peer_id

RSA, ED25519, SECP256K1, ECDSA = 0, 1, 2, 3
RSA_BITS = range(2048, 8193)  # smaller ones are forged, larger ones cost time


def verify(kind: int, key: bytes, signature: bytes, text: bytes) -> bool:
    """Whether a signature of `text` is by a key of this kind (bytes as in the key's message)."""
    try:
        if kind == ED25519:
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
        elif kind == SECP256K1:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key).verify(signature, text, ec.ECDSA(SHA256()))
        elif kind == ECDSA:
            public = load_der_public_key(key)
            if not isinstance(public, ec.EllipticCurvePublicKey):
                return False
            public.verify(signature, text, ec.ECDSA(SHA256()))
        elif kind == RSA:
            public = load_der_public_key(key)
            if not isinstance(public, rsa.RSAPublicKey) or public.key_size not in RSA_BITS:
                return False
            public.verify(signature, text, padding.PKCS1v15(), SHA256())
        else:
            return False
    except (InvalidSignature, ValueError, TypeError):
        return False
    except Exception:  # UnsupportedAlgorithm: a curve that is not known here
        return False
    return True


def key_of(peer: bytes, message: bytes | None) -> tuple[int, bytes] | None:
    """(kind, key) of a peer id, from the key's message where the id is only its hash; None where they do not agree."""
    if message is None:
        message = peer[2:] if peer[:1] == b"\0" else None
    return decode_key(message) if message and peer_id(message) == peer else None
