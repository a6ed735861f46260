"""Messages with any content, for tests that write what no engine would: the encoders of `datagram`, field by field."""

import picoswarm.compat  # noqa: F401  (first: from deeper in the chain of imports it does not fit the emulator's stack)
import picoswarm.datagram as datagram
from picoswarm.wire import copy, put_u16


class Exchange:
    """What the encoders take (see datagram.py). `pair`: the pair key, or None for no pair tag; `token`: 8 bytes or None."""

    def __init__(self, request_id, key, pair, is_full, ip=bytes(4), port=0, token=None):
        self.key = key
        self.peer = bytearray(32) + bytearray(pair or 16) + bytearray(token or 8) + bytearray(request_id)
        self.has_pair = pair is not None
        self.is_full = is_full
        self.ip = ip
        self.port = port


class At:
    """A datagram in hand, as far as the table asks for it: where it came from."""

    def __init__(self, ip, port):
        self.ip = ip
        self.port = port


def encode_ping(codec, out, request_id, key, pair, is_full, tcp_port, capabilities, token, size=50):
    """`size`: that of the PONG, 50 or 74, over IPv6 62 or 86."""
    exchange = Exchange(request_id, key, pair, is_full, bytes(16 if size in (62, 86) else 4), token=token)
    codec.tcp_port = tcp_port
    codec.capabilities = capabilities
    return datagram.encode_ping(codec, out, exchange, token is not None)


def encode_pong(codec, out, request_id, key, pair, is_full, ip, port, token, tcp_port):
    codec.tcp_port = tcp_port
    return datagram.encode_pong(codec, out, Exchange(request_id, key, pair, is_full, ip, port, token))


def encode_find_node(codec, out, request_id, key, pair, is_full, token, target, beyond, size):
    exchange = Exchange(request_id, key, pair, is_full, token=token)
    return datagram.encode_find_node(codec, out, exchange, target, beyond, size)


def encode_beacon(codec, out, request_id, key, tcp_port, capabilities):
    codec.tcp_port = tcp_port
    codec.capabilities = capabilities
    return datagram.encode_beacon(codec, out, Exchange(request_id, key, None, True))


def start(codec, out, kind, request_id):
    """Begin a message with any type byte. The flag of the whole id decides of the own id."""
    at = codec.start(out, kind, Exchange(request_id, None, None, kind & 0x80))
    out[13] = kind
    return at


def start_neighbors(codec, out, request_id, part, total):
    return datagram.start_neighbors(codec, out, Exchange(request_id, None, bytes(16), False), part, total)


def put_record(out, at, flags, source, id_at, ip, udp_port, tcp_port):
    """Any record of NEIGHBORS."""
    n = len(ip)
    out[at] = flags | 1 if n == 16 else flags & 0xFE
    copy(out, at + 1, source, id_at, 32)
    copy(out, at + 33, ip, 0, n)
    put_u16(out, at + 33 + n, udp_port)
    put_u16(out, at + 35 + n, tcp_port)
    return at + 37 + n


def seal(codec, out, end, key, size=0, pair=None):
    """End what `start` or `start_neighbors` began, under any keys."""
    codec.key = key
    if pair is not None:
        codec.pair_with(pair, 0)
    return codec.pad(out, end, size)
