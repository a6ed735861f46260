"""TCP in the virtual network, by a model that is stated here and not more: what loss and outages do to a byte stream.

Each write travels as one segment. A segment that a network segment loses is sent again after RTO_MS, then after twice that
and so on, as a sender does that has no other segments under way; after TRIES it gives up, and both ends see a reset. Bytes
arrive in order: a late segment holds back those behind it. Bandwidth, windows and slow start are not modelled, so writes
are never refused: with records of 786 bytes at most, and credit of one or two thousand, what is under way stays small.

A connection is made in one and a half round trips whose packets are lost and repeated alike. Nobody listening: refused
after one way there and back. Nobody there: the caller's own time-out. A node without power forgets its connections without
a word; once it is back, the first segment for one of them earns a reset. A router lets its LAN dial out and nobody in.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from . import stream
from .clock import MILLISECOND, Clock
from .nat import Address
from .network import Conditions, Lan, Network, Segment

RTO_MS = 1000  # the first time-out of a board's TCP; a computer's is a fifth of it
TRIES = 6  # 1 + 2 + 4 + 8 + 16 + 32 s: the stream is given up after about a minute without an answer


class Taker(Protocol):
    """What a wire tells its end."""

    def connected(self) -> None: ...
    def arrived(self, data: bytes) -> None: ...
    def ended(self) -> None: ...  # by the other end, a reset, or a refused connection


class End:
    """One end of a connection."""

    def __init__(self, wire: Wire, host: TcpHost, seen: Address) -> None:
        self.wire = wire
        self.host = host
        self.seen = seen  # address of the other end
        self.taker: Taker | None = None
        self.other: End | None = None
        self.sent_bytes = 0
        self.is_open = True
        self._free_us = 0  # when the last segment that was sent arrives

    def send(self, data: bytes) -> None:
        """Let `data` travel to the other end."""
        if self.is_open and data:
            self.sent_bytes += len(data)
            self._travel(lambda other: other.taker and other.taker.arrived(data))

    def close(self) -> None:
        """Close; what was sent still arrives, and then the end of the stream."""
        if self.is_open:
            self.is_open = False
            self._travel(End._end)

    def vanish(self) -> None:
        """The power is gone."""
        self.is_open = False
        self.taker = None

    def _travel(self, arrive: Callable[[End], object]) -> None:
        clock = self.wire.clock
        delay_us, is_given_up = self.wire.delay_us()
        at_us = max(self._free_us, clock.now_us + delay_us)
        self._free_us = at_us
        clock.at(at_us, self._lose if is_given_up else self._arrive, arrive)

    def _arrive(self, arrive: Callable[[End], object], tries: int = 0) -> None:
        other = self.other
        if other is None:
            return
        if other.is_open and self.wire.is_passing(self, other):
            arrive(other)
        elif other.is_open or not other.host.is_on:  # cut, or without power: repeated until it is given up
            if tries < TRIES:
                delay_us = (RTO_MS << tries) * MILLISECOND
                self._free_us = max(self._free_us, self.wire.clock.now_us + delay_us)
                self.wire.clock.after(delay_us, self._arrive, arrive, tries + 1)
            else:
                self._lose(arrive)
        else:  # it knows nothing of this connection (any more)
            self._end()

    def _lose(self, arrive: Callable[[End], object]) -> None:
        self._end()
        if self.other is not None:
            self.other._end()

    def _end(self) -> None:
        taker, self.taker = self.taker, None
        was_open, self.is_open = self.is_open, False
        if was_open and taker is not None:
            taker.ended()


class Wire:
    """One connection, over the segments of `path`."""

    def __init__(self, network: TcpNetwork, path: tuple[Conditions, ...]) -> None:
        self.clock = network.clock
        self.network = network
        self._path = path

    def delay_us(self) -> tuple[int, bool]:
        """(microseconds that a segment takes, whether it is given up)."""
        random = self.network.random
        delay_ms = 0.0
        for tries in range(TRIES + 1):
            way_ms = sum(c.latency_ms + c.jitter_ms * random.random() for c in self._path)
            if all(random.random() >= c.loss for c in self._path):
                return round((delay_ms + way_ms) * MILLISECOND), False
            delay_ms += RTO_MS << tries
        return round(delay_ms * MILLISECOND), True

    def is_passing(self, a: End, b: End) -> bool:
        """Whether no partition lies between the two ends."""
        return a.host.side == b.host.side


class TcpHost:
    """The TCP side of one address: who listens there, and whether it has power."""

    def __init__(self, segment: Segment, address: Address, accept: Callable[[End, Address], Taker | None]) -> None:
        self.segment = segment
        self.address = address
        self.accept = accept
        self.is_on = True
        self.side = 0
        self.ends: list[End] = []

    def power_off(self) -> None:
        """Every connection is forgotten."""
        self.is_on = False
        for end in self.ends:
            end.vanish()
        self.ends = []


class TcpNetwork:
    """TCP between the addresses of a `Network`."""

    def __init__(self, network: Network, seed: object = 0) -> None:
        self.network = network
        self.clock: Clock = network.clock
        self.random: Random = stream(seed, "tcp")
        self._hosts: dict[tuple[str, Address], TcpHost] = {}

    def listen(self, segment: Segment, address: Address, accept: Callable[[End, Address], Taker | None]) -> TcpHost:
        """Take connections at an address of a segment; `accept(end, address of the caller)` gives who takes them, or None."""
        host = self._hosts[(segment.name, address)] = TcpHost(segment, address, accept)
        return host

    def connect(self, host: TcpHost, to: Address, taker: Taker) -> End:
        """Dial. `taker.connected` or `taker.ended` follows, or nothing where nobody is there."""
        path, target, seen = self._route(host, to)
        wire = Wire(self, path)
        near, far = End(wire, host, to), None
        near.taker = taker
        if target is None:
            return near  # nothing answers
        far = End(wire, target, seen)
        near.other, far.other = far, near
        host.ends.append(near)
        delay_us, is_given_up = wire.delay_us()
        if not is_given_up:
            self.clock.after(delay_us, self._arrive, near, far, target, seen)
        return near

    def _arrive(self, near: End, far: End, target: TcpHost, seen: Address) -> None:
        if not target.is_on or not far.wire.is_passing(near, far):
            return
        back_us, is_given_up = near.wire.delay_us()
        taker = target.accept(far, seen) if near.is_open else None
        if taker is None:
            far.is_open = False
            self.clock.after(back_us, near._end)
            return
        far.taker = taker
        target.ends.append(far)
        self.clock.after(back_us, self._complete, near, is_given_up)

    def _complete(self, near: End, is_given_up: bool) -> None:
        if is_given_up:
            near._lose(End._end)
        elif near.is_open and near.taker is not None:
            near.taker.connected()
        elif near.other is not None:
            near.other._end()  # the caller hung up meanwhile

    def _route(self, host: TcpHost, to: Address) -> tuple[tuple[Conditions, ...], TcpHost | None, Address]:
        segment = host.segment
        internet = self.network.internet
        if segment is internet or segment.holds(to[0]):
            return (segment.conditions,), self._hosts.get((segment.name, to)), host.address
        router = segment.nat if isinstance(segment, Lan) else None
        if router is None:
            return (), None, host.address
        return (segment.conditions, internet.conditions), self._hosts.get((internet.name, to)), (
            router.outside_ip,
            host.address[1],
        )
