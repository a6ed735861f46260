"""TCP in the virtual network, by a model that is stated here and not more: what loss and outages do to a byte stream.

Each write travels as one segment. A segment that is lost is sent again after RTO_MS, then after twice that and so on, as a
sender does that hears nothing meanwhile: no fast retransmit, which needs three segments behind the lost one, and a node
seldom has them under way. After TRIES repeats (two minutes) the sender gives up: its end is reset, and the other end too
where a packet still gets through. Bytes arrive in order: a late segment holds back those behind it. Lost acknowledgements
delay nothing and are not modelled; nor are bandwidth, windows and slow start, so writes are never refused: with records of
786 bytes at most, and credit of one or two thousand, what is under way stays small.

A connection is made in one round trip, whose packets are lost and repeated alike. As with real sockets, a caller is
connected before anybody looks at it, and hears afterwards that it was not wanted. Nobody there, or nobody who listens: the
caller's own time-out, or a refusal. A node without power forgets its connections without a word; what is sent to it
meanwhile is repeated, and once it is back the next segment for a connection of before earns a reset. A router lets its LAN
dial out and nobody in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from . import stream
from .clock import MILLISECOND, Clock
from .nat import Address
from .network import Conditions, Lan, Network, Segment

RTO_MS = 1000  # the first time-out of a board's TCP; a computer's is a fifth of it
TRIES = 6  # 1 + 2 + 4 + 8 + 16 + 32 + 64 s


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
        self._under_way: deque[Callable[[End], object]] = deque()  # what each segment does where it arrives

    def send(self, data: bytes) -> None:
        """Let `data` travel to the other end."""
        if self.is_open and data:
            self.sent_bytes += len(data)
            self._travel(lambda other: other.taker and other.taker.arrived(data))

    def close(self) -> None:
        """Close; what was sent still arrives, and then the end of the stream."""
        if self.is_open:
            self.is_open = False
            self.host.ends.discard(self)
            self._travel(End._end)

    def reset(self) -> None:
        """Close at once, both ends, and what is under way is lost: what a router does that forgot the connection."""
        self._end()
        if self.other is not None:
            self.other._end()

    def vanish(self) -> None:
        """The power is gone."""
        self.is_open = False
        self.taker = None
        self._under_way.clear()

    def _travel(self, arrive: Callable[[End], object]) -> None:
        clock = self.wire.clock
        delay_us, is_given_up = self.wire.delay_us()
        at_us = max(self._free_us, clock.now_us + delay_us)
        self._free_us = at_us
        self._under_way.append(arrive)
        clock.at(at_us, self._lose if is_given_up else self._arrive)

    def _arrive(self, tries: int = 0) -> None:
        """The oldest segment under way is there, or nobody is."""
        other = self.other
        if other is None or not self._under_way:
            return
        if not self.wire.is_passing(self, other):  # repeated until it is given up
            if tries < TRIES:
                delay_us = (RTO_MS << tries) * MILLISECOND
                self._free_us = max(self._free_us, self.wire.clock.now_us + delay_us)
                self.wire.clock.after(delay_us, self._arrive, tries + 1)
            else:
                self._lose()
            return
        arrive = self._under_way.popleft()
        if other.is_open:
            arrive(other)
        else:  # it knows nothing of this connection (any more)
            self._end()

    def _lose(self) -> None:
        self._end()
        if self.other is not None and self.wire.is_passing(self, self.other):
            self.other._end()

    def _end(self) -> None:
        taker, self.taker = self.taker, None
        was_open, self.is_open = self.is_open, False
        self.host.ends.discard(self)
        self._under_way.clear()
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
        """Whether both ends have power, and no partition lies between them."""
        return a.host.is_on and b.host.is_on and a.host.side == b.host.side


class TcpHost:
    """The TCP side of one address: who listens there, and whether it has power."""

    def __init__(self, segment: Segment, address: Address, accept: Callable[[End, Address], Taker | None]) -> None:
        self.segment = segment
        self.address = address
        self.accept = accept
        self.is_on = True
        self.side = 0
        self.ends: set[End] = set()

    def power_off(self) -> None:
        """Every connection is forgotten."""
        self.is_on = False
        for end in self.ends:
            end.vanish()
        self.ends.clear()


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
        host.ends.add(near)
        delay_us, is_given_up = wire.delay_us()
        if not is_given_up:
            self.clock.after(delay_us, self._arrive, near, far, target, seen)
        return near

    def _arrive(self, near: End, far: End, target: TcpHost, seen: Address) -> None:
        if not near.is_open or not near.wire.is_passing(near, far):
            return
        back_us, is_given_up = near.wire.delay_us()
        if is_given_up:
            return
        target.ends.add(far)
        far._free_us = self.clock.now_us + back_us
        self.clock.at(far._free_us, self._complete, near)
        far.taker = target.accept(far, seen)
        if far.taker is None:
            far.close()

    def _complete(self, near: End) -> None:
        if near.is_open and near.taker is not None:
            near.taker.connected()
        elif near.other is not None and near.host.is_on:
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
