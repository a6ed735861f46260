"""TCP in the virtual network, by a model that is stated here and not more: what loss and outages do to a byte stream.

Each write travels as one segment. What a network segment loses is sent again

* when three segments behind it have arrived: fast retransmit, once until the time-out;
* after the time-out, RTO_MS after the oldest missing segment was sent or something arrived that was missing: then all that
  is missing goes again, and the next time-out is twice as long. After TRIES in a row (two minutes) the sender gives up: its
  end is reset, and the other one too where a packet still gets through.

Bytes arrive in order: a late segment holds back those behind it. Lost acknowledgements delay nothing and are not modelled;
nor are windows and slow start, so writes are never refused: with records of 786 bytes at most, and credit of one
or two thousand, what is under way stays small. A segment of the network with a bandwidth is the exception: what is written
takes its turn there among all else, and is lost where its queue is full.

Who closes has what it sent delivered, and sends again what was lost of it, until data come that nobody there reads any more;
or it had not read all itself. Then it forgets the connection and sends a reset, which arrives behind what is under way.

A connection is made in one round trip, whose packets are lost and repeated alike. As with real sockets, a caller is
connected before anybody looks at it, and hears afterwards that it was not wanted. Nobody there, or nobody who listens: the
caller's own time-out, or a refusal. A node without power forgets its connections without a word; what is sent to it
meanwhile is repeated, and once it is back the next segment for a connection of before earns a reset. A router lets its LAN
dial out, and in only to those for whom a port is forwarded.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from . import stream
from .clock import MILLISECOND, Clock, Timer
from .nat import Address
from .network import Lan, Network, Segment

RTO_MS = 1000  # the first time-out of a board's TCP; a computer's is a fifth of it
TRIES = 6  # 1 + 2 + 4 + 8 + 16 + 32 + 64 s
FAST = 3  # segments behind a missing one
HEAD = 40  # bytes of IPv4 and TCP, where bandwidth counts


class Taker(Protocol):
    """What a wire tells its end."""

    def connected(self) -> None: ...
    def arrived(self, data: bytes) -> None: ...
    def ended(self) -> None: ...  # by the other end, a reset, or a refused connection


class _Segment:
    """One write under way, and what it does where its turn has come."""

    __slots__ = ("act", "has_arrived", "size")

    def __init__(self, act: Callable[[End], object], size: int) -> None:
        self.act = act
        self.size = size
        self.has_arrived = False


class End:
    """One end of a connection."""

    is_forgotten = False  # closed, and a reset was sent: nothing goes again
    _last_us = 0  # when the last packet under way is there

    def __init__(self, wire: Wire, host: TcpHost, seen: Address) -> None:
        self.wire = wire
        self.host = host
        self.seen = seen  # address of the other end
        self.taker: Taker | None = None
        self.other: End | None = None
        self.sent_bytes = 0
        self.is_open = True
        self._under_way: list[_Segment] = []  # a deque takes 760 bytes, and most hold nothing
        self._timer: Timer | None = None
        self._due_us: int | None = None  # when the oldest segment is late; the timer is not set anew for each
        self._tries = 0  # time-outs in a row
        self._behind = 0  # segments that arrived behind a missing one; -1: it was sent again for that

    def send(self, data: bytes) -> None:
        """Let `data` travel to the other end."""
        if self.is_open and data:
            self.sent_bytes += len(data)
            self.host.sent_bytes += len(data)
            self._begin(lambda other: other.taker and other.taker.arrived(data), len(data))

    def close(self, has_unread: bool = False) -> None:
        """Close; what was sent still arrives, and then the end of the stream; where bytes came that nobody read, a reset."""
        if self.is_open:
            self.is_open = False
            if has_unread and self.other is not None:
                self._send_reset(self.other)
            else:
                self._begin(End._end)

    def reset(self) -> None:
        """Close at once, both ends, and what is under way is lost: what a router does that forgot the connection."""
        other = self.other
        self._end()
        if other is not None:
            other._end()

    def vanish(self) -> None:
        """The power is gone."""
        self.taker = None
        self._end()

    def _begin(self, act: Callable[[End], object], size: int = 0) -> None:
        segment = _Segment(act, size)
        self._under_way.append(segment)
        if len(self._under_way) == 1:
            self._arm()
        self._travel(segment)

    def _travel(self, segment: _Segment) -> None:
        way_us = self.wire.way_us(self, segment.size)
        if way_us is not None:
            timer = self.wire.clock.after(way_us, self._arrive, segment)
            self._last_us = max(self._last_us, timer.at_us)

    def _send_reset(self, other: End) -> None:
        """Forget the connection to `other`, which hears of it."""
        self.is_forgotten = True
        self._arm()
        way_us = other.wire.way_us(other)  # as long both ways; this end may not know the other any more
        clock = self.wire.clock
        clock.at(max(clock.now_us + (way_us or 0), self._last_us), self._has_reset, other, way_us is not None)

    def _has_reset(self, other: End, has_come: bool) -> None:
        """What was sent before a reset is there by now, or lost, and so is the reset."""
        self._end()
        if has_come and self.wire.is_passing(self, other):
            other._end()

    def _arm(self) -> None:
        if not self._under_way or self.is_forgotten:
            self._due_us = None
            return
        clock = self.wire.clock
        self._due_us = due_us = clock.now_us + (RTO_MS << self._tries) * MILLISECOND
        timer = self._timer
        if timer is None or timer.action is None or timer.at_us > due_us:
            clock.cancel(timer)
            self._timer = clock.at(due_us, self._look)

    def _look(self) -> None:
        """Something may have been late by now."""
        clock, due_us = self.wire.clock, self._due_us
        if due_us is None:
            return
        if clock.now_us < due_us:
            self._timer = clock.at(due_us, self._look)
        else:
            self._time_out()

    def _arrive(self, segment: _Segment) -> None:
        other = self.other
        if other is None or segment.has_arrived or not self._under_way or not self.wire.is_passing(self, other):
            return
        if not other.is_open:  # nobody reads there
            return other._send_reset(self) if segment.size else self._end()
        segment.has_arrived = True
        if segment is not self._under_way[0]:
            if self._behind >= 0:
                self._behind += 1
                if self._behind == FAST and not self.is_forgotten:
                    self._behind = -1
                    self._travel(self._under_way[0])
            return
        self._tries = self._behind = 0
        while self._under_way and self._under_way[0].has_arrived:
            self._under_way.pop(0).act(other)
        self._arm()
        if not self.is_open and not self._under_way:
            self._leave()

    def _time_out(self) -> None:
        self._tries += 1
        if self._tries > TRIES:
            other = self.other
            self._end()
            if other is not None and self.wire.is_passing(self, other):
                other._end()
            return
        self._behind = 0
        self._arm()
        for segment in list(self._under_way):
            if not segment.has_arrived:
                self._travel(segment)

    def _leave(self) -> None:
        """Nothing goes out any more. Two ends that know each other would stay in memory, where nobody collects garbage."""
        self.host.ends.pop(self, None)
        self.other = None

    def _end(self) -> None:
        taker, self.taker = self.taker, None
        was_open, self.is_open = self.is_open, False
        self._leave()
        self._under_way.clear()
        self._arm()
        if was_open and taker is not None:
            taker.ended()


class Wire:
    """One connection, over the segments of `path`."""

    def __init__(self, network: TcpNetwork, path: tuple[Segment, ...], far_ms: float = 0.0) -> None:
        self.clock = network.clock
        self.network = network
        self._path = path
        self._far_ms = far_ms

    def way_us(self, end: End, size: int = 0) -> int | None:
        """Microseconds that a packet of `size` bytes from one end takes to the other, None where it is lost."""
        if end.other is None or not self.is_passing(end, end.other):
            return None
        self.network.sent_n += 1
        random = self.network.random.random
        way_ms = self._far_ms
        for crossed in self._path:
            way_ms += crossed.conditions.latency_ms + crossed.conditions.jitter_ms * random()
        is_lost = False
        for crossed in self._path:
            is_lost |= random() < crossed.conditions.loss
        for crossed in self._path:
            if crossed.conditions.kbps:
                turn_ms = crossed.turn_ms(size + HEAD, self.clock.now_us / MILLISECOND)
                is_lost |= turn_ms is None
                way_ms += turn_ms or 0.0
        return None if is_lost else round(way_ms * MILLISECOND)

    def is_passing(self, a: End, b: End) -> bool:
        """Whether both ends have power and Wi-Fi, and no partition lies between them."""
        return a.host.is_reachable and b.host.is_reachable and a.host.side == b.host.side


class TcpHost:
    """The TCP side of one address: who listens there, and whether it has power."""

    def __init__(self, segment: Segment, address: Address, accept: Callable[[End, Address], Taker | None]) -> None:
        self.segment = segment
        self.address = address
        self.accept = accept
        self.is_on = True
        self.is_linked = True  # false: it has lost its Wi-Fi
        self.region = segment.region
        self.side = 0
        self.sent_bytes = 0  # what was written, repeats not counted
        self.ends: dict[End, None] = {}

    @property
    def is_reachable(self) -> bool:
        return self.is_on and self.is_linked

    def power_off(self) -> None:
        """Every connection is forgotten."""
        self.is_on = False
        for end in list(self.ends):
            end.vanish()


class TcpNetwork:
    """TCP between the addresses of a `Network`."""

    def __init__(self, network: Network, seed: object = 0) -> None:
        self.network = network
        self.clock: Clock = network.clock
        self.random: Random = stream(seed, "tcp")
        self.sent_n = 0  # packets so far, repeats and SYNs among them
        self._hosts: dict[tuple[str, Address], TcpHost] = {}

    def listen(self, segment: Segment, address: Address, accept: Callable[[End, Address], Taker | None]) -> TcpHost:
        """Take connections at an address of a segment; `accept(end, address of the caller)` gives who takes them, or
        None."""
        host = self._hosts[(segment.name, address)] = TcpHost(segment, address, accept)
        return host

    def connect(self, host: TcpHost, to: Address, taker: Taker) -> End:
        """Dial. `taker.connected` or `taker.ended` follows, or nothing where nobody is there."""
        path, target, seen, far_ms = self._route(host, to)
        wire = Wire(self, path, far_ms)
        near, far = End(wire, host, to), None
        near.taker = taker
        if target is None:
            return near  # nothing answers
        far = End(wire, target, seen)
        near.other, far.other = far, near
        host.ends[near] = None
        self._call(near, far, target, 0)
        return near

    def _call(self, near: End, far: End, target: TcpHost, tries: int) -> None:
        """Send a SYN, until an answer came or the caller gives up."""
        if not near.is_open or far.taker is not None or tries > TRIES:
            return
        way_us = near.wire.way_us(near)
        if way_us is not None:
            self.clock.after(way_us, self._arrive, near, far, target)
        near._timer = self.clock.after((RTO_MS << tries) * MILLISECOND, self._call, near, far, target, tries + 1)

    def _arrive(self, near: End, far: End, target: TcpHost) -> None:
        """A SYN arrived: its answer goes back, and where that arrives too the connection is there."""
        back_us = near.wire.way_us(far)
        if not near.is_open or not far.is_open or far in target.ends or back_us is None:
            return
        target.ends[far] = None
        self.clock.cancel(near._timer)
        self.clock.after(back_us, self._complete, near, far, target)

    def _complete(self, near: End, far: End, target: TcpHost) -> None:
        if not near.is_open or near.taker is None or not target.is_on:  # the caller hung up, or one of them is off
            far.is_open = False
            far._leave()
            return
        near.taker.connected()
        far.taker = target.accept(far, far.seen)
        if far.taker is None:
            far.close()

    def _route(self, host: TcpHost, to: Address) -> tuple[tuple[Segment, ...], TcpHost | None, Address, float]:
        """What is crossed, who is there, as whom he sees the caller, and what the regions add to the latency."""
        segment, internet = host.segment, self.network.internet
        seen = host.address
        path: tuple[Segment, ...] = (internet,)
        if segment is not internet:
            if segment.holds(to[0]):
                return (segment,), self._hosts.get((segment.name, to)), seen, 0.0
            router = segment.nat if isinstance(segment, Lan) else None
            if router is None or to[0] == router.outside_ip:
                return (), None, seen, 0.0
            seen = router.outside_ip, host.address[1]
            path = segment, internet
        lan = self.network.lan_behind(to[0])
        far_ms = self.network.far_ms(host.region, to)
        if lan is None:
            return path, self._hosts.get((internet.name, to)), seen, far_ms
        assert lan.nat is not None
        inside = lan.nat.forwards.get(to[1])
        return (*path, lan), self._hosts.get((lan.name, inside)) if inside else None, seen, far_ms
