"""Peer ids as text (libp2p specs, peer-ids). Pure."""

from .compat import const
from .peerkey import is_peer_id

_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_TEXT_MOST = const(128)


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
