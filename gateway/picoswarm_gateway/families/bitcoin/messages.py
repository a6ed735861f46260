"""The messages that we send and understand, from and to their bytes. Pure; decoders raise `Malformed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .wire import (
    LONGEST_AGENT,
    MOST_ADDRESSES,
    MOST_BLOCK,
    MOST_FILTER_HASHES,
    MOST_HEADERS,
    MOST_INVENTORY,
    PROTOCOL,
    Malformed,
    Reader,
    size,
    text,
)

# Services of a node
NETWORK, WITNESS, FILTERS, LIMITED, V2 = 1, 8, 64, 1024, 2048

# Kinds of inventory
TX, BLOCK, WTX = 1, 2, 5
WITNESS_FLAG = 1 << 30

IPV4, IPV6 = 1, 2  # networks of addrv2
_LENGTHS = {1: 4, 2: 16, 3: 10, 4: 32, 5: 32, 6: 16}
_MAPPED = bytes(10) + b"\xff\xff"


class Address(NamedTuple):
    """Where a node listens. `ip`: 4 or 16 bytes. `time`: unix seconds when it was seen last, as somebody says."""

    ip: bytes
    port: int
    services: int = 0
    time: int = 0


@dataclass(frozen=True)
class Version:
    """What each side says first."""

    protocol: int
    services: int
    time: int
    nonce: int
    agent: str
    height: int
    relays: bool  # wants to hear of transactions

    def encode(self, receiver: Address) -> bytes:
        return (
            self.protocol.to_bytes(4, "little")
            + self.services.to_bytes(8, "little")
            + self.time.to_bytes(8, "little")
            + _address(receiver)
            + _address(Address(bytes(4), 0, self.services))
            + self.nonce.to_bytes(8, "little")
            + text(self.agent.encode())
            + self.height.to_bytes(4, "little")
            + bytes((self.relays,))
        )

    @classmethod
    def decode(cls, payload: bytes) -> Version:
        r = Reader(payload)
        protocol, services, time = r.number(4), r.number(8), r.number(8)
        r.take(26 + 26)
        nonce = r.number(8)
        agent = r.text(LONGEST_AGENT).decode("utf-8", "replace")
        height = r.number(4)
        relays = r.number(1) != 0 if r.left else True
        return cls(protocol, services, time, nonce, agent, height, relays)


def _address(address: Address) -> bytes:
    ip = address.ip if len(address.ip) == 16 else _MAPPED + address.ip
    return address.services.to_bytes(8, "little") + ip + address.port.to_bytes(2, "big")


def encode_addresses(addresses: list[Address], is_v2: bool) -> bytes:
    """`addr` or `addrv2`."""
    out = size(len(addresses))
    for each in addresses:
        out += each.time.to_bytes(4, "little")
        if is_v2:
            kind = IPV4 if len(each.ip) == 4 else IPV6
            out += size(each.services) + bytes((kind,)) + text(each.ip) + each.port.to_bytes(2, "big")
        else:
            out += _address(each)
    return out


def decode_addresses(payload: bytes, is_v2: bool) -> list[Address]:
    """The addresses that can be dialed: of networks that we do not know nothing is kept. None at all is an offence (B29)."""
    r = Reader(payload)

    def old() -> Address:
        time, services, ip = r.number(4), r.number(8), r.take(16)
        return Address(ip[12:] if ip[:12] == _MAPPED else ip, int.from_bytes(r.take(2), "big"), services, time)

    def new() -> Address | None:
        time, services, kind = r.number(4), r.size(2**64), r.number(1)
        ip = r.text(512)
        if len(ip) != _LENGTHS.get(kind, len(ip)):
            raise Malformed("an address of a wrong length")
        port = int.from_bytes(r.take(2), "big")
        return Address(ip, port, services, time) if kind in (IPV4, IPV6) else None

    found = r.items(MOST_ADDRESSES, 9 if is_v2 else 30, new if is_v2 else old)
    r.end()
    if not found:
        raise Malformed("a list of no addresses", 20)
    return [each for each in found if each]


def encode_inventory(items: list[tuple[int, bytes]]) -> bytes:
    """`inv`, `getdata` or `notfound`: kinds and hashes."""
    return size(len(items)) + b"".join(kind.to_bytes(4, "little") + each for kind, each in items)


def decode_inventory(payload: bytes) -> list[tuple[int, bytes]]:
    """Kinds and hashes, at most 50,000."""
    r = Reader(payload)
    items = r.items(MOST_INVENTORY, 36, lambda: (r.number(4), r.take(32)))
    r.end()
    return items


def encode_locator(hashes: list[bytes], stop: bytes = bytes(32)) -> bytes:
    """`getheaders`: blocks that we have, newest first."""
    return PROTOCOL.to_bytes(4, "little") + size(len(hashes)) + b"".join(hashes) + stop


def decode_locator(payload: bytes) -> tuple[list[bytes], bytes]:
    """(the hashes, newest first; the hash to stop at)."""
    r = Reader(payload)
    r.number(4)
    hashes = r.items(101, 32, lambda: r.take(32))
    stop = r.take(32)
    r.end()
    return hashes, stop


def encode_headers(headers: list[bytes]) -> bytes:
    """`headers`."""
    return size(len(headers)) + b"".join(header + b"\0" for header in headers)


def decode_headers(payload: bytes) -> list[bytes]:
    """Headers of 80 bytes, at most 2,000."""
    r = Reader(payload)

    def one() -> bytes:
        header = r.take(80)
        if r.size():
            raise Malformed("a header with transactions")
        return header

    headers = r.items(MOST_HEADERS, 81, one)
    r.end()
    return headers


def decode_number(payload: bytes) -> int:
    """`ping`, `pong`, `feefilter`: a number of 8 bytes."""
    r = Reader(payload)
    value = r.number(8)
    r.end()
    return value


def encode_filter_request(start: int, stop: bytes) -> bytes:
    """`getcfilters` or `getcfheaders` for the basic filter: from a height to a block."""
    return b"\0" + start.to_bytes(4, "little") + stop


def decode_filter(payload: bytes) -> tuple[bytes, bytes]:
    """`cfilter`: (block hash, filter)."""
    r = Reader(payload)
    if r.number(1):
        raise Malformed("a filter of another kind")
    block, data = r.take(32), r.text(MOST_BLOCK)
    r.end()
    return block, data


def decode_filter_headers(payload: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """`cfheaders`: (last block, the filter header before the first, hashes of the filters)."""
    r = Reader(payload)
    if r.number(1):
        raise Malformed("a filter of another kind")
    stop, before = r.take(32), r.take(32)
    hashes = r.items(MOST_FILTER_HASHES, 32, lambda: r.take(32))
    r.end()
    return stop, before, hashes
