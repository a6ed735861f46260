"""Who one is in libp2p: the public key as a message, and the peer id made of it (libp2p specs, peer-ids). Pure."""

from .compat import const, sha256
from .protobuf import decode_fields, encode_fields, last_of

ED25519 = const(1)  # key types
_INLINE = const(42)  # bytes of the longest key that is its own id


def encode_key(key, kind=ED25519):
    """A public key as a message; a node id is an Ed25519 key."""
    return encode_fields(((1, kind), (2, key)))


def decode_key(message):
    """(kind, key) of a public key's message, or None."""
    fields = decode_fields(message)
    if fields is None:
        return None
    kind = last_of(fields, 1, int)
    key = last_of(fields, 2)
    return None if kind is None or key is None else (kind, key)


def peer_id(message):
    """The peer id of a public key's message: the message itself, or its hash where it is long."""
    if len(message) <= _INLINE:
        return b"\0" + bytes((len(message),)) + message
    return b"\x12\x20" + sha256(message).digest()


def node_id(peer):
    """The node id (an Ed25519 key, 32 bytes) in a peer id, or None for one of another kind."""
    return peer[6:] if len(peer) == 38 and peer[:6] == b"\0\x24\x08\1\x12\x20" else None


def is_peer_id(peer):
    """Whether these bytes can be a peer id."""
    size = len(peer) - 2
    return size > 0 and peer[1] == size and (peer[0] == 0 and size <= _INLINE or peer[0] == 0x12 and size == 32)
