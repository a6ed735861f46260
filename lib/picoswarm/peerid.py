"""Who one is in libp2p: the public key as a message, the peer id made of it, and both as text (libp2p specs, peer-ids). Pure."""

from .compat import const, sha256
from .protobuf import decode_fields, encode_fields, last_of

ED25519 = const(1)  # key types
_INLINE = const(42)  # bytes of the longest key that is its own id
_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_TEXT_MOST = const(128)


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


def base58(data):
    """Bytes as text in base 58, as Bitcoin writes them."""
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        text = _DIGITS[number % 58] + text
        number //= 58
    for byte in data:
        if byte:
            break
        text = "1" + text
    return text


def _number(text, digits):
    number = 0
    for letter in text:
        digit = digits.find(letter)
        if digit < 0:
            return -1
        number = number * len(digits) + digit
    return number


def _bytes(number, zeros):
    size = 0
    while number >> 8 * size:
        size += 1
    return bytes(zeros) + number.to_bytes(size, "big")


def peer_text(peer):
    """A peer id as text: "12D3Koo..."."""
    return base58(peer)


def parse_peer(text):
    """The peer id of "12D3Koo..." or "Qm...", or of a CID, "bafz..."; None for what is none."""
    if not 0 < len(text) <= _TEXT_MOST:
        return None
    if text[0] == "b":
        number = _number(text[1:], _BASE32)
        spare = (len(text) - 1) * 5 % 8
        data = _bytes(number >> spare, 0) if number > 0 else b""
        peer = data[2:] if data[:2] == b"\1\x72" else b""  # version 1, libp2p-key
    else:
        number = _number(text, _DIGITS)
        peer = _bytes(number, len(text) - len(text.lstrip("1"))) if number > 0 else b""
    return peer if is_peer_id(peer) else None
