"""The discovery datagram: its envelope, silent to strangers, and the layout of its five messages (docs/protocol.md 2, 3).

    0   1   version (high nibble) and key epoch (low nibble)
    1   12  tag = HMAC-SHA256(Kd_mac, byte 0 || plaintext)[0:12]
    13  ..  plaintext XOR ChaCha20(Kd_enc, nonce = tag, counter 0)

    plaintext = type 1 | request id 4 | sender 8 or 32 | fixed body | token 8 or none | padding | pair tag 8 or none

The first byte of the plaintext tells the place of every field, so that decoding is arithmetic on one byte and a length:
it copies nothing, allocates nothing and cannot run past the end. Pure; who may say what is discovery.py's business.

What is written belongs to an exchange with one peer (requests.Request, responder.Responder): `peer` id 32 | pair key 16 |
token 8 | request id 4, `ip`, `port`, `key` the NetworkKey, `has_pair` whether the pair tag goes with it, `is_full` whether
the own id goes whole. The `encode_*` functions write to `out` (512 bytes), allocate nothing of their own, and
return the size of the datagram.
"""

from .compat import KERNELS, const
from .crypto import Hmac
from .wire import copy, is_repeat, put_u16, same, u16

if KERNELS == "viper":
    from .datagram_viper import open_datagram

# What `Codec.open` returns is 0, or why the datagram is to be dropped: an index of counters.py.
_BAD_SIZE = const(1)
_BAD_VERSION = const(2)
_IMPLAUSIBLE = const(3)
_FORGED = const(4)
_REPEATED = const(5)
_OWN_ID = const(6)

_SIZE_MAX = const(512)
_SIZE_MIN = const(42)
_RECORD = const(41)  # in NEIGHBORS: flags 1 | id 32 | ip 4 | udp port 2 | tcp port 2
_RECORD_IPV6 = const(53)
_RECORDS_MAX = const(11)  # in one datagram

_VERSION = const(1)
_TYPE = const(13)  # where the plaintext begins
_BLOCK = const(77)  # the end of what is decrypted before the type is looked at: one block of ChaCha20
_REQUEST_ID = const(14)
_SENDER = const(18)
_PAIR_TAG = const(8)

_PING = const(1)
_PONG = const(2)
_FIND_NODE = const(3)
_NEIGHBORS = const(4)
_BEACON = const(5)
_FULL_ID = const(0x80)
_TAGGED = const(0x40)
_IPV6 = const(0x20)
_TOKEN = const(0x10)

_PAIR = const(32)  # in an exchange's `peer`
_PEER_TOKEN = const(48)
_PEER_REQUEST_ID = const(56)

_BODY = b"\x00\x06\x10\x10\x01\x06"  # bytes of the fixed body by type, IPv4


class Codec:
    """Opens received datagrams in place, one at a time, and seals those to be sent.

    After `open` returned 0 the datagram in hand is described by the attributes: `buf`, `n`; `type`; `body` the offset of the
    fixed body, which follows the sender's id at 18; `token` that of the token which the sender shows or gives, or 0; `end`
    the end of the extension; `is_full`, `is_tagged`; `key` the NetworkKey that it came under. Its source, which the owner
    sets: `ip` (unwrapped), its `scope` (see address.py), `port`; and `proof`, what tokens.py says of the token.
    """

    def __init__(self, membership, own_id, repeats=64, tcp_port=0, capabilities=0):
        self.tcp_port = tcp_port  # what this node says of itself
        self.capabilities = capabilities
        self.membership = membership
        self.own_id = own_id
        self.repeats = repeats
        self.seen = bytearray(4 * repeats + 4)  # the first 4 bytes of the last accepted tags, see wire.is_repeat
        self.pair = bytearray(16)  # the key of _mac
        self.mac = Hmac(self.pair, _PAIR_TAG)
        self.ip = b""
        self.port = self.n = self.scope = self.proof = 0
        self.flags = -1  # none was read yet
        self.gap = self.buf = self.key = None  # the first is for a dict that is not full, see docs/architecture.md

    def lay_out(self, buf, n):
        """Take in hand the plaintext buf[13:n] and find every field of it from the type byte. False: too short, or no
        message of ours."""
        self.buf = buf
        self.n = n
        if buf[_TYPE] != self.flags:
            self.read_type(buf[_TYPE])
        if self.is_tagged:
            n -= _PAIR_TAG
        self.end = n
        return n >= self.least

    if KERNELS == "viper":
        open = open_datagram
    else:

        def open(self, buf, n):
            """Decrypt and authenticate the datagram buf[0:n] in place. Returns 0, or why it is to be dropped: the buffer
            then holds nothing of use."""
            if n < _SIZE_MIN or n > _SIZE_MAX:
                return _BAD_SIZE
            self.key = self.membership.highest
            if buf[0] != _VERSION << 4 | self.key.epoch:
                self.key = self.membership.find(buf[0] & 15) if buf[0] >> 4 == _VERSION else None
                if self.key is None:
                    return _BAD_VERSION
            # Junk must not buy a whole decryption, and even less a hash: one block first, and a look at it.
            if n <= _BLOCK:
                self.key.stream.xor(buf, 1, 0, buf, _TYPE, n)
            else:
                self.key.stream.xor(buf, 1, 0, buf, _TYPE, _BLOCK)
            if not self.lay_out(buf, n):
                return _IMPLAUSIBLE
            if n > _BLOCK:
                self.key.stream.xor(buf, 1, 1, buf, _BLOCK, n)
            if not self.key.mac.check(buf, _TYPE, n, 1):
                return _FORGED
            if same(buf, _SENDER, self.own_id, 0, self.body - _SENDER):
                return _OWN_ID
            return _REPEATED if is_repeat(buf, self.repeats, self.seen) else 0

    def read_type(self, flags):
        """What a type byte says by itself; it is remembered, because the same comes again and again. `least`: where the
        extension may begin at the earliest, out of reach where there is no such message."""
        self.flags = flags
        self.type = kind = flags & 15
        self.is_full = flags & _FULL_ID
        self.is_tagged = flags & _TAGGED
        at = 32 if flags & _FULL_ID else 8
        at += _SENDER
        self.body = at
        self.token = 0
        self.least = _SIZE_MAX + 1
        if kind < _PING or kind > _BEACON:
            return
        at += _BODY[kind]
        if kind == _PONG and flags & _IPV6:
            at += 12
        if flags & _TOKEN:
            self.token = at
            at += 8
        if kind == _FIND_NODE:
            self.token = self.body
        elif kind == _PONG:
            self.token = self.body + (18 if flags & _IPV6 else 6)
        if kind == _BEACON:
            if flags & (_FULL_ID | _TAGGED) == _FULL_ID:
                self.least = at
        elif flags & _TAGGED or kind == _PONG or (kind == _PING and flags & _FULL_ID):
            self.least = at

    def pair_with(self, pair, at):
        """Take the 16-byte pair key pair[at:] for the present network key. Made ready once, it serves the question and its
        answer."""
        if not same(self.pair, 0, pair, at, 16):
            self.mac.rekey(pair, at, 16)
            copy(self.pair, 0, pair, at, 16)

    def is_paired(self, pair, at=0):
        """Whether the datagram in hand, which has a pair tag, has the right one under the 16-byte key pair[at:]."""
        self.pair_with(pair, at)
        self.mac.prefix = self.key.label
        return self.mac.check(self.buf, _TYPE, self.end, self.end)

    def start(self, out, kind, exchange):
        """Begin a datagram of an exchange in `out`: type byte, request id, own id. Returns the offset of the fixed body."""
        n = 8
        if exchange.is_full:
            kind |= _FULL_ID
            n = 32
        if exchange.has_pair:
            kind |= _TAGGED
            self.pair_with(exchange.peer, _PAIR)
        self.key = exchange.key
        out[_TYPE] = kind
        copy(out, _REQUEST_ID, exchange.peer, _PEER_REQUEST_ID, 4)
        copy(out, _SENDER, self.own_id, 0, n)
        return _SENDER + n

    def seal(self, out, end):
        """Finish the datagram that `start` began, with plaintext out[13:end]: put the pair tag, authenticate and encrypt.
        Returns its size."""
        if out[_TYPE] & _TAGGED:
            self.mac.prefix = self.key.label
            self.mac.sign(out, _TYPE, end, end)
            end += _PAIR_TAG
        out[0] = _VERSION << 4 | self.key.epoch
        self.key.mac.sign(out, _TYPE, end, 1)
        self.key.stream.xor(out, 1, 0, out, _TYPE, end)
        return end

    def pad(self, out, end, size):
        """`seal`, but the datagram has `size` bytes at least, by zeros before the pair tag."""
        if out[_TYPE] & _TAGGED:
            size -= _PAIR_TAG
        while end < size:
            out[end] = 0
            end += 1
        return self.seal(out, end)


def encode_ping(codec, out, exchange, has_token):
    """PING: tcp port 2 | capabilities 2 | zero 2 | the peer's token 8 if it is held. It has the size of its answer, so that
    an answer is never larger than what asked for it; without a pair key it is untagged, for a peer whose id is not known."""
    at = codec.start(out, _PING | _TOKEN if has_token else _PING, exchange)
    put_u16(out, at, codec.tcp_port)
    put_u16(out, at + 2, codec.capabilities)
    put_u16(out, at + 4, 0)
    at += 6
    if has_token:
        copy(out, at, exchange.peer, _PEER_TOKEN, 8)
        at += 8
    return codec.pad(out, at, (50 if exchange.has_pair else 74) + len(exchange.ip) - 4)


def encode_pong(codec, out, exchange):
    """PONG: the asker's IP 4 or 16 and UDP port 2 as seen here | token 8 for it | own tcp port 2."""
    n = len(exchange.ip)
    at = codec.start(out, _PONG | _IPV6 if n == 16 else _PONG, exchange)
    copy(out, at, exchange.ip, 0, n)
    at += n
    put_u16(out, at, exchange.port)
    copy(out, at + 2, exchange.peer, _PEER_TOKEN, 8)
    put_u16(out, at + 10, codec.tcp_port)
    return codec.seal(out, at + 12)


def encode_find_node(codec, out, exchange, target, beyond, size):
    """FIND_NODE: the peer's token 8 | target prefix 8 | beyond 3 or none, padded to `size`: the answer has at most four
    times as many bytes. `beyond`: only nodes whose distance to the target has first 24 bits above it are asked for; 0 sends
    none."""
    at = codec.start(out, _FIND_NODE, exchange)
    copy(out, at, exchange.peer, _PEER_TOKEN, 8)
    copy(out, at + 8, target, 0, 8)
    at += 16
    if beyond:
        out[at] = beyond >> 16
        put_u16(out, at + 1, beyond & 0xFFFF)
        at += 3
    return codec.pad(out, at, size)


def beyond_of(codec):
    """The `beyond` of the FIND_NODE in hand, 0 when it has none (padding is zeros)."""
    at = codec.body + 16
    return codec.buf[at] << 16 | u16(codec.buf, at + 1) if at + 3 <= codec.end else 0


def start_neighbors(codec, out, exchange, part, total):
    """NEIGHBORS, begun: part (from 0) in the high nibble and the total of parts (1-2) in the low one. The caller puts
    records with `put_record` and ends with `codec.seal`. Returns the offset of the first record."""
    at = codec.start(out, _NEIGHBORS, exchange)
    out[at] = part << 4 | total
    return at + 1


def put_record(out, at, table, record):
    """One record of NEIGHBORS, from the table's: flags 1 | id 32 | IP 4 or 16 | UDP port 2 | TCP port 2. Returns the offset
    after it."""
    pool = table.pool
    flags = pool[record + 64] & 15
    n = 16 if flags & 1 else 4
    out[at] = flags
    copy(out, at + 1, pool, record, 32)
    copy(out, at + 33, pool, record + table.step - n, n)
    copy(out, at + 33 + n, pool, record + 56, 4)
    return at + 37 + n


def encode_beacon(codec, out, exchange):
    """BEACON: zero 2 | tcp port 2 | capabilities 2, 64 bytes in all."""
    at = codec.start(out, _BEACON, exchange)
    put_u16(out, at, 0)
    put_u16(out, at + 2, codec.tcp_port)
    put_u16(out, at + 4, codec.capabilities)
    return codec.pad(out, at + 6, 64)


def size_for(records, is_ipv6):
    """The size of a FIND_NODE that makes room for an answer of `records` records: 50 for four, 62 over IPv6."""
    parts = (records + _RECORDS_MAX - 1) // _RECORDS_MAX
    answer = 35 * parts + records * (_RECORD_IPV6 if is_ipv6 else _RECORD)
    return max(50, (answer + 3) >> 2)
