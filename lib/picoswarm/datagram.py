"""The discovery datagram: its envelope, silent to strangers, and the layout of its five messages (docs/protocol.md 2, 3).

    0   1   version (high nibble) and key epoch (low nibble)
    1   12  tag = HMAC-SHA256(Kd_mac, byte 0 || plaintext)[0:12]
    13  ..  plaintext XOR ChaCha20(Kd_enc, nonce = tag, counter 0)

    plaintext = type 1 | request id 4 | sender 8 or 32 | fixed body | token 8 or none | padding | pair tag 8 or none

The first byte of the plaintext tells the place of every field, so that decoding is arithmetic on one byte and a length:
it copies nothing, allocates nothing and cannot run past the end. Pure; who may say what is discovery.py's business.
"""

from .compat import const
from .crypto import Hmac
from .wire import copy, put_u16, same

# What `Codec.open` returns is 0, or why the datagram is to be dropped: an index of counters.NAMES.
_OPENED = const(0)
_BAD_SIZE = const(1)
_BAD_VERSION = const(2)
_IMPLAUSIBLE = const(3)
_FORGED = const(4)
_REPEATED = const(5)

_SIZE_MAX = const(512)
_SIZE_MIN = const(42)
_RECORD = const(41)  # in NEIGHBORS: flags 1 | id 32 | ip 4 | udp port 2 | tcp port 2
_RECORD_IPV6 = const(53)
_RECORDS_MAX = const(11)  # in one datagram

_VERSION = const(1)
_TYPE = const(13)  # where the plaintext begins
_TAG = const(12)
_PAIR_TAG = const(8)
_BLOCK = const(64)  # of ChaCha20: what is decrypted before the type is looked at
_REQUEST_ID = const(14)
_SENDER = const(18)

_PING = const(1)
_PONG = const(2)
_FIND_NODE = const(3)
_NEIGHBORS = const(4)
_BEACON = const(5)
_FULL_ID = const(0x80)
_TAGGED = const(0x40)
_IPV6 = const(0x20)
_TOKEN = const(0x10)

_BODY = b"\x00\x06\x10\x10\x01\x06"  # bytes of the fixed body by type, IPv4


class Codec:
    """Opens received datagrams in place, one at a time, and seals those to be sent.

    After `open` returned 0, the attributes describe the datagram: `type`; `sender`, `sender_n` the offset and size of
    the sender's id; `body` the offset of the fixed body; `token` that of the token, or 0; `end` the end of the extension;
    `is_full`, `is_tagged`, `is_ipv6`; `key` the NetworkKey that it came under.
    """

    def __init__(self, membership, own_id, repeats=64):
        self._membership = membership
        self._own_id = own_id
        self._seen = bytearray(4 * repeats)  # the first 4 bytes of the last accepted tags
        self._seen_at = 0
        self._tag = bytearray(4)
        self._byte0 = bytearray(1)
        self._pair = bytearray(16)  # the key of _pair_mac
        self._pair_mac = None
        self.key = None
        self._lay_out(b"\0" * 14, 14)

    def _lay_out(self, buf, n):
        """Find every field of the plaintext in buf[13:n] from the type byte. False: too short, or no message of ours."""
        flags = buf[_TYPE]
        kind = flags & 15
        self.type = kind
        self.is_full = is_full = flags & _FULL_ID != 0
        self.is_tagged = is_tagged = flags & _TAGGED != 0
        self.is_ipv6 = flags & _IPV6 != 0
        self.sender = _SENDER
        self.sender_n = 32 if is_full else 8
        self.body = at = _SENDER + self.sender_n
        self.token = 0
        self.end = n
        if kind < _PING or kind > _BEACON:
            return False
        at += _BODY[kind]
        if kind == _PONG and flags & _IPV6:
            at += 12
        if flags & _TOKEN:
            self.token = at
            at += 8
        if is_tagged:
            self.end = n - _PAIR_TAG
        if at > self.end:
            return False
        if kind == _BEACON:
            return is_full and not is_tagged
        if kind == _PING:
            return is_full or is_tagged
        return is_tagged or kind == _PONG

    def open(self, buf, n):
        """Decrypt and authenticate the datagram buf[0:n] in place. Returns 0, or why it is to be dropped: the buffer
        then holds nothing of use. Allocates only what the hash objects and two memoryviews take."""
        if n < _SIZE_MIN or n > _SIZE_MAX:
            return _BAD_SIZE
        key = self._membership.find(buf[0] & 15) if buf[0] >> 4 == _VERSION else None
        if key is None:
            return _BAD_VERSION
        # Junk must not buy a whole decryption, and even less a hash: one block first, and a look at it.
        first = min(n, _TYPE + _BLOCK)
        key.stream.xor(buf, 1, 0, buf, _TYPE, first)
        if not self._lay_out(buf, n):
            return _IMPLAUSIBLE
        if n > first:
            key.stream.xor(buf, 1, 1, buf, first, n)
        self._byte0[0] = buf[0]
        tag = key.mac.digest(self._byte0, memoryview(buf)[_TYPE:n])
        differ = 0
        for i in range(_TAG):
            differ |= tag[i] ^ buf[1 + i]
        if differ:
            return _FORGED
        copy(self._tag, 0, tag, 0, 4)
        if self._tag in self._seen:
            return _REPEATED
        copy(self._seen, self._seen_at, tag, 0, 4)
        self._seen_at = (self._seen_at + 4) % len(self._seen)
        self.key = key
        return _OPENED

    def reopen(self, buf, n, key):
        """Describe again a datagram that was opened before and kept."""
        self._lay_out(buf, n)
        self.key = key

    def is_paired(self, buf, pair, pair_at=0):
        """Whether the opened datagram in `buf` carries the right pair tag under the 16-byte key at pair[pair_at:]."""
        if not self.is_tagged:
            return False
        end = self.end
        tag = self._pair_tag(pair, pair_at, self.key, buf, end)
        differ = 0
        for i in range(_PAIR_TAG):
            differ |= tag[i] ^ buf[end + i]
        return differ == 0

    def _pair_tag(self, pair, pair_at, key, buf, end):
        if self._pair_mac is None or not same(self._pair, 0, pair, pair_at, 16):
            # The answer goes to whom the question came from: one prepared key serves both.
            copy(self._pair, 0, pair, pair_at, 16)
            self._pair_mac = Hmac(self._pair)
        return self._pair_mac.digest(key.label, memoryview(buf)[_TYPE:end])

    def start(self, out, kind, request_id):
        """Begin a datagram in `out` with a type byte (flags included), the 4-byte request id and the own id. Returns the
        offset of the fixed body."""
        out[_TYPE] = kind
        copy(out, _REQUEST_ID, request_id, 0, 4)
        n = 32 if kind & _FULL_ID else 8
        copy(out, _SENDER, self._own_id, 0, n)
        return _SENDER + n

    def seal(self, out, end, key, size=0, pair=None):
        """Finish the datagram whose plaintext is out[13:end]: pad with zeros so that it has `size` bytes at least, put the
        pair tag, authenticate and encrypt under NetworkKey `key`. Returns its size."""
        tail = 0 if pair is None else _PAIR_TAG
        while end < size - tail:
            out[end] = 0
            end += 1
        if pair is not None:
            copy(out, end, self._pair_tag(pair, 0, key, out, end), 0, _PAIR_TAG)
            end += _PAIR_TAG
        out[0] = _VERSION << 4 | key.epoch
        self._byte0[0] = out[0]
        tag = key.mac.digest(self._byte0, memoryview(out)[_TYPE:end])
        copy(out, 1, tag, 0, _TAG)
        key.stream.xor(out, 1, 0, out, _TYPE, end)
        return end


def request_id_of(buf, request_id):
    """Copy the request id of an opened datagram to `request_id` (4 bytes)."""
    copy(request_id, 0, buf, _REQUEST_ID, 4)


def encode_ping(codec, out, request_id, key, pair, is_full, tcp_port, capabilities, token, size):
    """PING: tcp port 2 | capabilities 2 | zero 2 | token 8 unless None. `size` is that of its answer, so that an answer is
    never larger than what asked for it; `pair` None makes it untagged, for a peer whose id is not known. Like every
    encode_* here it writes to `out`, allocates what the hash objects take, and returns the size of the datagram."""
    kind = _PING if pair is None else _PING | _TAGGED
    if is_full:
        kind |= _FULL_ID
    if token is not None:
        kind |= _TOKEN
    at = codec.start(out, kind, request_id)
    put_u16(out, at, tcp_port)
    put_u16(out, at + 2, capabilities)
    put_u16(out, at + 4, 0)
    at += 6
    if token is not None:
        copy(out, at, token, 0, 8)
        at += 8
    return codec.seal(out, at, key, size, pair)


def encode_pong(codec, out, request_id, key, pair, is_full, ip, port, token, tcp_port):
    """PONG: the asker's IP 4 or 16 and UDP port 2 as seen here | token 8 | own tcp port 2."""
    kind = _PONG if pair is None else _PONG | _TAGGED
    if is_full:
        kind |= _FULL_ID
    n = len(ip)
    if n == 16:
        kind |= _IPV6
    at = codec.start(out, kind, request_id)
    copy(out, at, ip, 0, n)
    at += n
    put_u16(out, at, port)
    copy(out, at + 2, token, 0, 8)
    put_u16(out, at + 10, tcp_port)
    return codec.seal(out, at + 12, key, 0, pair)


def encode_find_node(codec, out, request_id, key, pair, is_full, token, target, beyond, size):
    """FIND_NODE: token 8 | target prefix 8 | beyond 3 or none, padded to `size`: the answer has at most four times as many
    bytes. `beyond`: only nodes whose distance to the target has first 24 bits above it are asked for; 0 sends none."""
    kind = _FIND_NODE | _TAGGED
    if is_full:
        kind |= _FULL_ID
    at = codec.start(out, kind, request_id)
    copy(out, at, token, 0, 8)
    copy(out, at + 8, target, 0, 8)
    at += 16
    if beyond:
        out[at] = beyond >> 16
        put_u16(out, at + 1, beyond & 0xFFFF)
        at += 3
    return codec.seal(out, at, key, size, pair)


def beyond_of(codec, buf):
    """The `beyond` of an opened FIND_NODE, 0 when it has none (padding is zeros)."""
    at = codec.body + 16
    return buf[at] << 16 | buf[at + 1] << 8 | buf[at + 2] if at + 3 <= codec.end else 0


def start_neighbors(codec, out, request_id, part, total):
    """NEIGHBORS, begun: part (from 0) in the high nibble and the total of parts (1-2) in the low one. The caller puts
    records with `put_record` and ends with `codec.seal`. Returns the offset of the first record."""
    at = codec.start(out, _NEIGHBORS | _TAGGED, request_id)
    out[at] = part << 4 | total
    return at + 1


def put_record(out, at, flags, source, id_at, ip, udp_port, tcp_port):
    """One record: flags 1 | id 32 (source[id_at:]) | IP 4 or 16 | UDP port 2 | TCP port 2. Returns the offset after it."""
    n = len(ip)
    out[at] = flags | 1 if n == 16 else flags & 0xFE
    copy(out, at + 1, source, id_at, 32)
    copy(out, at + 33, ip, 0, n)
    at += 33 + n
    put_u16(out, at, udp_port)
    put_u16(out, at + 2, tcp_port)
    return at + 4


def encode_beacon(codec, out, request_id, key, tcp_port, capabilities):
    """BEACON: zero 2 | tcp port 2 | capabilities 2, 64 bytes in all."""
    at = codec.start(out, _BEACON | _FULL_ID, request_id)
    put_u16(out, at, 0)
    put_u16(out, at + 2, tcp_port)
    put_u16(out, at + 4, capabilities)
    return codec.seal(out, at + 6, key, 64)


def size_for(records, is_ipv6):
    """The size of a FIND_NODE that makes room for an answer of `records` records: 50 for four, 62 over IPv6."""
    parts = (records + _RECORDS_MAX - 1) // _RECORDS_MAX
    answer = 35 * parts + records * (_RECORD_IPV6 if is_ipv6 else _RECORD)
    return max(50, (answer + 3) >> 2)
