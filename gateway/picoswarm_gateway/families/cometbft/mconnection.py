"""MConnection of CometBFT, sans-I/O: many channels over one connection (rows T5-T13; spec/p2p/legacy-docs/connection.md).

A packet is a message of Protocol Buffers with its length before it: a ping, a pong, or up to 1,024 bytes of a channel's
message, of which the last packet says that it is the last. The channel with the least sent for its priority goes next.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .proto import Malformed, blob, fields, message, number, one, uvarint
from .secret import Refused

PING, PONG, DATA = 1, 2, 3  # fields of a packet
PART = 1024  # bytes of a message in one packet
PACKET_MAX = PART + 32
PING_S = 60.0
PONG_S = 45.0
DECAY_S = 2.0  # after which what was sent counts for a fifth less
QUEUE = 1 << 20  # bytes that wait in a channel
RATE = 512_000  # bytes a second, each way
BURST_S = 0.1  # worth of them at once


class Rate:
    """How much may pass: `rate` bytes a second, and what a tenth of a second brings at once."""

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._left = rate * BURST_S
        self._at = now

    def spend(self, size: int) -> None:
        """So many bytes have passed; they may be more than there was room for, which the next ones wait for."""
        self._left -= size

    def wait(self, now: float) -> float:
        """Seconds until the next byte may pass; 0: now."""
        self._left = min(self._rate * BURST_S, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        return -self._left / self._rate if self._left <= -1 else 0.0  # a part of a byte is none


@dataclass
class Channel:
    """A channel: its id (0-255), its share of the line, and the longest message that the other side may send."""

    id: int
    priority: int
    longest: int
    sent: float = 0.0
    bytes_in: int = 0
    waiting: deque[bytes] = field(default_factory=deque)
    size: int = 0
    part: int = 0  # bytes of the first message that have gone
    incoming: bytearray = field(default_factory=bytearray)


class MConnection:
    """One side. Times are seconds of a clock that does not jump."""

    def __init__(self, channels: list[Channel], now: float, rate: int = RATE) -> None:
        self.sending = Rate(rate, now)
        self.receiving = Rate(rate, now)  # whoever reads from the line waits as it says
        self.channels = {channel.id: channel for channel in channels}
        self._waiting = bytearray()
        self._pongs = False
        self._is_pinged: float | None = None  # when, without an answer so far
        self._ping_at = now + PING_S
        self._decay_at = now + DECAY_S

    def send(self, channel: int, text: bytes) -> bool:
        """Queue a message; False where too much waits already."""
        one_of = self.channels[channel]
        if one_of.size + len(text) > QUEUE:
            return False
        one_of.waiting.append(text)
        one_of.size += len(text)
        return True

    @property
    def has_more(self) -> bool:
        """Something waits to be sent."""
        return self._pongs or any(channel.waiting for channel in self.channels.values())

    def to_send(self, now: float, most: int = 10) -> bytes:
        """The next packets, at most so many, for SecretConnection; of messages none before `sending` allows it."""
        out = bytearray()
        if self._pongs:  # many pings, one answer
            self._pongs = False
            out += message(blob(PONG, b"", True))
        for _ in range(0 if self.sending.wait(now) else most):
            ready = [channel for channel in self.channels.values() if channel.waiting]
            if not ready:
                break
            channel = min(ready, key=lambda each: each.sent / each.priority)
            packet = self._next_part(channel)
            channel.sent += len(packet)
            out += packet
        self.sending.spend(len(out))
        return bytes(out)

    def _next_part(self, channel: Channel) -> bytes:
        text = channel.waiting[0]
        part = text[channel.part : channel.part + PART]
        channel.part += len(part)
        is_last = channel.part == len(text)
        if is_last:
            channel.waiting.popleft()
            channel.size -= len(text)
            channel.part = 0
        packet = number(1, channel.id) + number(2, is_last) + blob(3, part)
        return message(blob(DATA, packet, True))

    def receive(self, data: bytes) -> list[tuple[int, bytes]]:
        """(channel, message) of each message that is complete now. Raises Refused."""
        self.receiving.spend(len(data))
        self._waiting += data
        found = []
        while self._waiting:
            try:
                size, start = uvarint(self._waiting, 0)
            except IndexError:
                break
            except Malformed as error:
                raise Refused(str(error)) from None
            if size > PACKET_MAX:
                raise Refused("a packet is too long")
            if len(self._waiting) < start + size:
                break
            packet = bytes(self._waiting[start : start + size])
            del self._waiting[: start + size]
            if whole := self._take(packet):
                found.append(whole)
        return found

    def _take(self, packet: bytes) -> tuple[int, bytes] | None:
        try:
            found = fields(packet)
            if len(found) != 1 or not isinstance(found[0][1], bytes):
                raise Malformed("a packet is one of three kinds")
            kind, body = found[0]
            if kind == PING:
                self._pongs = True
            elif kind == PONG:
                self._is_pinged = None
            elif kind == DATA:
                return self._take_part(fields(body))
            else:
                raise Malformed("a packet of an unknown kind")
        except Malformed as error:
            raise Refused(str(error)) from None
        return None

    def _take_part(self, part: list) -> tuple[int, bytes] | None:
        channel = self.channels.get(one(part, 1, 0))
        if channel is None:
            raise Malformed("a channel that was not offered")
        data = one(part, 3, b"")
        if len(channel.incoming) + len(data) > channel.longest:
            raise Malformed("a message is longer than its channel allows")
        channel.incoming += data
        channel.bytes_in += len(data)
        if not one(part, 2, 0):
            return None
        whole = bytes(channel.incoming)
        channel.incoming.clear()
        return channel.id, whole

    def tick(self, now: float) -> bytes:
        """What is to be sent because of the time. Raises Refused where the other side is silent."""
        if now >= self._decay_at:
            self._decay_at = now + DECAY_S
            for channel in self.channels.values():
                channel.sent *= 0.8
        if self._is_pinged is not None and now - self._is_pinged >= PONG_S:
            raise Refused("it does not answer")
        if now < self._ping_at:
            return b""
        self._ping_at = now + PING_S
        if self._is_pinged is None:
            self._is_pinged = now
        return message(blob(PING, b"", True))
