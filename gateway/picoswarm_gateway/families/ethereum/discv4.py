"""Packets of discv4 (specs of devp2p, discv4.md): hash 32, signature 65, type 1, a list. The hash covers what follows it,
and the signature type and list; it gives the sender's public key."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

from coincurve import PrivateKey

from . import rlp
from .keys import keccak256, public_bytes, public_key, recover, sign
from .record import Node
from .rlp import Malformed

PING, PONG, FIND, NEIGHBORS, ASK_RECORD, RECORD = range(1, 7)
HEAD = 32 + 65
LONGEST = 1280
LIFE_S = 20  # after which a packet is void
NEIGHBORS_EACH = 12  # that fit into a packet
VERSION = 4


def pack(key: PrivateKey, kind: int, items: list[Any]) -> bytes:
    """A packet; its first 32 bytes are its hash."""
    body = bytes((kind,)) + rlp.encode(items)
    signed = sign(key, keccak256(body)) + body
    return keccak256(signed) + signed


def unpack(data: bytes) -> tuple[bytes, int, list[Any]]:
    """(public key of the sender, kind, items). Raises Malformed."""
    if not HEAD < len(data) <= LONGEST:
        raise Malformed("a packet of that size does not exist")
    if keccak256(data[32:]) != data[:32]:
        raise Malformed("a packet's hash is wrong")
    sender = recover(data[32:HEAD], keccak256(data[HEAD:]))
    kind = data[HEAD]
    if not PING <= kind <= RECORD:
        raise Malformed("a packet of an unknown kind")
    least = {PING: 4, PONG: 3, FIND: 2, NEIGHBORS: 2, ASK_RECORD: 1, RECORD: 2}[kind]
    return public_bytes(sender), kind, rlp.listed(rlp.decode(data[HEAD + 1 :], False), least)


def expires() -> int:
    """When a packet that is sent now is void."""
    return int(time.time()) + LIFE_S


def endpoint(node: Node) -> list[Any]:
    """An address as a list."""
    return [ipaddress.ip_address(node.ip).packed, node.udp, node.tcp]


def read_neighbor(item: Any) -> Node | None:
    """A node as another one tells of it; None for an address or a key that cannot be."""
    try:
        ip, udp, tcp, key = rlp.listed(item, 4)[:4]
        if len(ip) not in (4, 16):
            return None
        node = Node(rlp.sized(key, 64), str(ipaddress.ip_address(ip)), rlp.integer(udp, 2), rlp.integer(tcp, 2))
        public_key(node.key)
    except (Malformed, ValueError, TypeError):
        return None
    return node if node.udp > 0 else None
