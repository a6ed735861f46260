"""Multiaddresses: "/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo..." as text, as bytes and as parts (libp2p specs, addressing).
Pure."""

from .compat import const, format_ip, parse_ip
from .peerid import base58, parse_peer
from .peerkey import is_peer_id
from .protobuf import read_varint, varint

# Name, code, bytes of its value: -1 for a length before it, 0 for none.
_KINDS = (
    ("ip4", 4, 4),
    ("tcp", 6, 2),
    ("p2p", 421, -1),
    ("ip6", 41, 16),
    ("dns", 53, -1),
    ("dns4", 54, -1),
    ("dns6", 55, -1),
    ("dnsaddr", 56, -1),
    ("udp", 273, 2),
    ("p2p-circuit", 290, 0),
    ("quic", 460, 0),
    ("quic-v1", 461, 0),
    ("ws", 477, 0),
    ("wss", 478, 0),
    ("tls", 448, 0),
)
_MOST = const(16)  # parts


def _value(kind, text):
    """The bytes of a part's value; None for what is none."""
    name, _, size = kind
    if size == 2:
        number = int(text)
        return bytes((number >> 8, number & 0xFF)) if 0 <= number <= 0xFFFF else None
    if size > 2:
        ip = parse_ip(text)
        return ip if len(ip) == size else None
    return parse_peer(text) if name == "p2p" else text.encode()


def parse_address(text):
    """The parts of an address as a list of (name, value): bytes, or a number for a port; None for what is malformed."""
    words = text.rstrip("/").split("/")
    if words[0] or len(words) < 2:
        return None
    words.pop(0)
    parts = []
    while words:
        name = words.pop(0)
        if len(parts) == _MOST:
            return None
        for kind in _KINDS:
            if kind[0] == name or kind[0] == "p2p" and name == "ipfs":
                break
        else:
            return None
        value = b""
        if kind[2]:
            if not words:
                return None
            try:
                value = _value(kind, words.pop(0))
            except (ValueError, OverflowError):
                return None
            if not value:
                return None
        parts.append((kind[0], value[0] << 8 | value[1] if kind[2] == 2 else value))
    return parts


def encode_address(parts):
    """The bytes of the parts that `parse_address` gives."""
    out = bytearray()
    for name, value in parts:
        for kind in _KINDS:
            if kind[0] == name:
                out += varint(kind[1])
                if kind[2] == 2:
                    value = bytes((value >> 8, value & 0xFF))
                elif kind[2] < 0:
                    out += varint(len(value))
                out += value
    return bytes(out)


def decode_address(data):
    """The parts of an address in bytes, or None for what is malformed or of a kind that is not known."""
    parts = []
    at = 0
    end = len(data)
    while at < end:
        code, at = read_varint(data, at, end)
        if at < 1 or len(parts) == _MOST:
            return None
        for kind in _KINDS:
            if kind[1] == code:
                break
        else:
            return None
        size = kind[2]
        if size < 0:
            size, at = read_varint(data, at, end)
        if at < 1 or size > end - at:
            return None
        value = bytes(data[at : at + size])
        at += size
        if kind[0] == "p2p" and not is_peer_id(value):
            return None
        if kind[0][:3] == "dns":
            try:
                str(value, "utf-8")
            except ValueError:
                return None
        parts.append((kind[0], value[0] << 8 | value[1] if kind[2] == 2 else value))
    return parts


def address_text(parts):
    """An address as text."""
    out = ""
    for name, value in parts:
        out += "/" + name
        if isinstance(value, int):
            out += "/" + str(value)
        elif name in ("ip4", "ip6"):
            try:
                out += "/" + format_ip(value)
            except TypeError:  # a board has IPv4 only, and shows what a peer tells all the same
                out += "/" + ":".join(["%x" % (value[i] << 8 | value[i + 1]) for i in range(0, 16, 2)])
        elif name == "p2p":
            out += "/" + base58(value)
        elif value:
            out += "/" + str(value, "utf-8")
    return out


def tcp_address(parts):
    """(ip or host name, port, peer id or None) of an address that TCP alone reaches, else None."""
    if len(parts) < 2 or parts[1][0] != "tcp" or not (parts[0][0][:2] == "ip" or parts[0][0][:3] == "dns"):
        return None
    if len(parts) == 2:
        return parts[0][1], parts[1][1], None
    return (parts[0][1], parts[1][1], parts[2][1]) if len(parts) == 3 and parts[2][0] == "p2p" else None
