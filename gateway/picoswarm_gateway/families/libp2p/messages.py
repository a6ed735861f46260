"""The messages of pubsub: RPCs with published messages and control, and signatures (libp2p specs, pubsub and gossipsub)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from picoswarm.crypto import run
from picoswarm.ed25519 import Sign
from picoswarm.protobuf import decode_fields, encode_fields, last_of, read_varint, varint

from .keys import key_of, verify

RPC_MOST = 1 << 20  # bytes
SIGNED = b"libp2p-pubsub:"
LISTS_MOST = 5000  # ids in one RPC


@dataclass(frozen=True, slots=True)
class Message:
    """A published message. `origin`: peer id of its author."""

    origin: bytes
    data: bytes
    seqno: bytes
    topic: str
    signature: bytes = b""
    key: bytes | None = None

    @property
    def id(self) -> bytes:
        """What it is known by."""
        return self.origin + self.seqno

    def text(self) -> bytes:
        """What is signed, without its prefix."""
        return encode_fields(((1, self.origin), (2, self.data), (3, self.seqno), (4, self.topic)))

    def encode(self) -> bytes:
        """As it stands in an RPC."""
        return self.text() + encode_fields(((5, self.signature), (6, self.key)))

    def is_good(self) -> bool:
        """Whether its author signed it."""
        key = key_of(self.origin, self.key)
        return bool(key and self.signature and verify(key[0], key[1], self.signature, SIGNED + self.text()))


def signed(peer: bytes, seed: bytes, topic: str, data: bytes) -> Message:
    """A new message of an Ed25519 peer. Its number is the time, as go-libp2p's: some peers want 8 bytes that do not begin
    with 0."""
    bare = Message(peer, data, time.time_ns().to_bytes(8, "big"), topic)
    signature = run(Sign(seed, peer[6:], SIGNED + bare.text()))
    return Message(bare.origin, data, bare.seqno, topic, signature)


@dataclass(slots=True)
class Rpc:
    """One RPC. `ihave`: (topic, ids); `prune`: (topic, seconds of back-off)."""

    subscriptions: list[tuple[bool, str]] = field(default_factory=list)
    publish: list[Message] = field(default_factory=list)
    ihave: list[tuple[str, list[bytes]]] = field(default_factory=list)
    iwant: list[bytes] = field(default_factory=list)
    graft: list[str] = field(default_factory=list)
    prune: list[tuple[str, int]] = field(default_factory=list)

    def encode(self) -> bytes:
        """With its length before it."""
        fields: list[tuple[int, object]] = [
            (1, encode_fields(((1, int(is_on)), (2, topic)))) for is_on, topic in self.subscriptions
        ]
        fields += [(2, message.encode()) for message in self.publish]
        control: list[tuple[int, object]] = [
            (1, encode_fields([(1, topic), *((2, each) for each in ids)])) for topic, ids in self.ihave
        ]
        if self.iwant:
            control.append((2, encode_fields([(1, each) for each in self.iwant])))
        control += [(3, encode_fields(((1, topic),))) for topic in self.graft]
        control += [(4, encode_fields(((1, topic), (3, backoff)))) for topic, backoff in self.prune]
        if control:
            fields.append((3, encode_fields(control)))
        body = encode_fields(fields)
        return varint(len(body)) + body


def decode_rpc(data: bytes) -> Rpc | None:
    """The Rpc of a message without its length, or None for what is malformed."""
    fields = decode_fields(data)
    if fields is None:
        return None
    rpc = Rpc()
    try:
        for number, value in fields:
            if not isinstance(value, bytes):
                continue
            if number == 1:
                inner = _fields(value)
                rpc.subscriptions.append((bool(last_of(inner, 1, int)), (last_of(inner, 2) or b"").decode()))
            elif number == 2:
                rpc.publish.append(_message(value))
            elif number == 3:
                _control(rpc, value)
    except (ValueError, UnicodeDecodeError):
        return None
    return rpc


def _fields(data: bytes) -> list:
    fields = decode_fields(data)
    if fields is None:
        raise ValueError
    return fields


def _message(data: bytes) -> Message:
    fields = _fields(data)
    values = [last_of(fields, number) for number in range(1, 7)]
    origin, body, seqno, topic, signature, key = values
    return Message(origin or b"", body or b"", seqno or b"", (topic or b"").decode(), signature or b"", key)


def _control(rpc: Rpc, data: bytes) -> None:
    for number, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        inner = _fields(value)
        topic = (last_of(inner, 1) or b"").decode() if number != 2 else ""
        if number == 1:
            rpc.ihave.append((topic, [each for field_, each in inner if field_ == 2][:LISTS_MOST]))
        elif number == 2:
            rpc.iwant += [each for field_, each in inner if field_ == 1][:LISTS_MOST]
        elif number == 3:
            rpc.graft.append(topic)
        elif number == 4:
            rpc.prune.append((topic, last_of(inner, 3, int) or 0))


class Frames:
    """Takes messages with a length before each out of a stream of bytes."""

    def __init__(self, most: int = RPC_MOST) -> None:
        self._buffer = bytearray()
        self._most = most

    def add(self, data: bytes) -> list[bytes] | None:
        """The messages that are whole now; None for one that is too long or has no length."""
        self._buffer += data
        found = []
        while self._buffer:
            size, at = read_varint(self._buffer, 0, min(len(self._buffer), 10))
            if at < 0 or size > self._most:
                return None
            if at == 0 or at + size > len(self._buffer):
                break
            found.append(bytes(self._buffer[at : at + size]))
            del self._buffer[: at + size]
        return found
