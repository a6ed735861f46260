"""Messages over RLPx: those of the connection itself (Hello, Disconnect, Ping, Pong) and of eth/68 and eth/69, as far as
a light peer needs them (specs of devp2p, rlpx.md and caps/eth.md; EIP-7642)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cramjam

from . import rlp
from .keys import keccak256
from .rlp import Malformed

HELLO, DISCONNECT, PING, PONG = 0, 1, 2, 3
OFFSET = 16  # of the first protocol's messages
STATUS, TRANSACTIONS, GET_HEADERS, HEADERS, GET_BODIES, BODIES = (OFFSET + each for each in (0, 2, 3, 4, 5, 6))
ANNOUNCED, GET_POOLED, POOLED, GET_RECEIPTS, RECEIPTS, RANGE = (OFFSET + each for each in (8, 9, 10, 15, 16, 17))
VERSIONS = (68, 69)  # of eth
P2P_VERSION = 5
HELLO_MAX = 2048
LONGEST = 1 << 20  # bytes of an uncompressed message that nobody asked for; a peer's transactions are told in 100 KB
ANSWER_MAX = 10 << 20  # of one that was asked for: blocks of 2 MB, or one that is longer
REASONS = {
    0x00: "it was asked to",
    0x01: "TCP error",
    0x02: "breach of protocol",
    0x03: "useless peer",
    0x04: "too many peers",
    0x05: "already connected",
    0x06: "incompatible version",
    0x07: "no identity",
    0x08: "it ends",
    0x09: "unexpected identity",
    0x0A: "it is this node",
    0x0B: "timeout",
    0x10: "a breach of the sub-protocol",
}


@dataclass
class Hello:
    """What each side says first."""

    client: str
    capabilities: list[tuple[str, int]]
    port: int
    key: bytes

    def encode(self) -> bytes:
        """The message's body."""
        return rlp.encode([P2P_VERSION, self.client, [list(each) for each in self.capabilities], self.port, self.key])

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """Raises Malformed."""
        if len(data) > HELLO_MAX:
            raise Malformed("a Hello is too long")
        items = rlp.listed(rlp.decode(data, False), 5)
        try:
            client = "".join(each if each.isprintable() else "?" for each in items[1].decode()[:100])
            known = [(rlp.listed(each, 2)[0].decode(), rlp.integer(each[1])) for each in rlp.listed(items[2])]
        except (UnicodeDecodeError, AttributeError):
            raise Malformed("a name is no text") from None
        return cls(client, known, rlp.integer(items[3]), rlp.sized(items[4], 64))

    def version(self) -> int:
        """The highest version of eth that both know; 0: none."""
        return max((each for name, each in self.capabilities if name == "eth" and each in VERSIONS), default=0)


def reason_of(data: bytes) -> int:
    """Why the other side goes: a list of a number, or the bare number."""
    try:
        item = rlp.decode(data)
        return rlp.integer(item[0] if isinstance(item, list) and item else item or b"")
    except (Malformed, TypeError):
        return 0


def pack(kind: int, body: bytes, is_compressed: bool = True) -> bytes:
    """A frame's content."""
    return rlp.encode(kind) + (bytes(cramjam.snappy.compress_raw(body)) if is_compressed else body)


def unpack(frame: bytes, is_compressed: bool, longest: int = LONGEST) -> tuple[int, bytes]:
    """(kind, body of at most `longest` bytes). Raises Malformed."""
    if not frame:
        raise Malformed("an empty frame")
    kind = 0 if frame[0] == 0x80 else frame[0]
    if frame[0] > 0x80:
        raise Malformed("a message of an unknown kind")
    body = frame[1:]
    if not is_compressed:
        return kind, body
    try:
        if int(cramjam.snappy.decompress_raw_len(body)) > longest:
            raise Malformed("a message is too long")
        return kind, bytes(cramjam.snappy.decompress_raw(body))
    except Exception as error:
        if kind == DISCONNECT:  # some say goodbye uncompressed
            return kind, body
        raise Malformed(f"a message cannot be unpacked: {error}") from None


@dataclass
class Status:
    """What both tell of their chain first. `fork`: (hash 4, next number) of EIP-2124."""

    version: int
    network: int
    genesis: bytes
    fork: tuple[bytes, int]
    head: bytes
    number: int = 0  # of the head; eth/69

    def encode(self) -> bytes:
        """The message's body."""
        fork = [self.fork[0], self.fork[1]]
        if self.version >= 69:
            return rlp.encode([self.version, self.network, self.genesis, fork, 0, self.number, self.head])
        return rlp.encode([self.version, self.network, 0, self.head, self.genesis, fork])

    @classmethod
    def decode(cls, data: bytes, version: int) -> Status:
        """Raises Malformed."""
        items = rlp.listed(rlp.decode(data), 6)
        told = rlp.integer(items[0])
        if told != version:
            raise Malformed("a status of another version")
        if version >= 69:
            _, network, genesis, fork, _, number, head = rlp.listed(items, 7)[:7]
        else:
            network, head, genesis, fork = items[1], items[3], items[4], items[5]
            number = b""
        fork = rlp.listed(fork, 2)
        return cls(
            version,
            rlp.integer(network),
            rlp.sized(genesis, 32),
            (rlp.sized(fork[0], 4), rlp.integer(fork[1])),
            rlp.sized(head, 32),
            rlp.integer(number),
        )


@dataclass(frozen=True)
class Header:
    """A block's header, of which these fields are looked at. `hash`: of its encoding."""

    number: int
    hash: bytes
    parent: bytes
    transactions_root: bytes
    state_root: bytes
    time: int
    base_fee: int
    raw: bytes

    @classmethod
    def read(cls, items: Any) -> Header:
        """From its items. Raises Malformed."""
        items = rlp.listed(items, 15)
        raw = rlp.encode(items)
        return cls(
            number=rlp.integer(items[8]),
            hash=keccak256(raw),
            parent=rlp.sized(items[0], 32),
            transactions_root=rlp.sized(items[4], 32),
            state_root=rlp.sized(items[3], 32),
            time=rlp.integer(items[11]),
            base_fee=rlp.integer(items[15], 32) if len(items) > 15 else 0,
            raw=raw,
        )


def request(number: int, what: Any) -> bytes:
    """A request, or an answer, with its number."""
    return rlp.encode([number, what])


def answer(data: bytes) -> tuple[int, list[Any]]:
    """(its number, what it holds) of a request or an answer. Raises Malformed."""
    items = rlp.listed(rlp.decode(data), 2)
    return rlp.integer(items[0]), rlp.listed(items[1])


def transaction_hash(item: Any) -> bytes:
    """Of a transaction as it stands in a list: a list (legacy), or bytes with its type in front (EIP-2718)."""
    return keccak256(item if isinstance(item, bytes) else rlp.encode(item))


def transaction_item(raw: bytes) -> Any:
    """A transaction as it is signed and sent, for a list. Raises Malformed."""
    if not raw:
        raise Malformed("no transaction")
    if raw[0] >= 0xC0:
        return rlp.listed(rlp.decode(raw), 9)
    if raw[0] > 0x7F:
        raise Malformed("it is no transaction")
    rlp.listed(rlp.decode(raw[1:]), 9)
    return raw
