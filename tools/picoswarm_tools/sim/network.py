"""The virtual network: UDP endpoints on segments, and what happens to a datagram between two of them.

A segment is one address space under one set of conditions: the internet, or a LAN. A LAN may have a router (`nat.Nat`)
whose outside address stands on the internet. A datagram crosses its own segment only, or its LAN, the internet and the
other LAN, and each segment on the way may delay, lose or duplicate it. Where a segment has a bandwidth, all that crosses
it takes its turn, as on the air of one Wi-Fi channel. Regions of the internet add a latency of their own between two of
them. There is no fragmentation: the engines send at most 512 bytes at a time.

Deterministic: delay, loss, duplication and reordering draw from streams of their own, one number for every datagram and
segment whether it is needed or not, so that a little more loss does not change what else happens to the datagrams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from . import stream
from .clock import MILLISECOND, Clock
from .nat import Address, Nat, NatKind

BROADCAST = b"\xff\xff\xff\xff"
_MULTICAST_V6 = 0xFF
UDP_HEAD = 28  # bytes of IPv4 and UDP, where bandwidth counts

Receive = Callable[[bytes, bytes, int], None]  # datagram, source IP, source port


class Fate(Enum):
    """What became of a datagram; the word stands in the trace."""

    SENT = "sent"
    DELIVERED = "delivered"
    LOST = "lost"  # by a segment's loss
    FILTERED = "filtered"  # by a router: no mapping, or none for this remote endpoint
    UNROUTABLE = "unroutable"  # no such address on the segments in reach, or the endpoint is down
    CUT = "cut"  # by a partition, or where one of the two has lost its Wi-Fi

    __hash__ = object.__hash__  # that of Enum is Python code


Tap = Callable[[int, Fate, Address, Address, bytes], None]  # time in us, fate, source, destination, datagram


@dataclass(frozen=True, slots=True)
class Conditions:
    """How one segment treats a datagram. Shares lie in 0..1."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0  # uniform in 0..jitter on top; datagrams overtake each other where it is large
    loss: float = 0.0
    duplicate: float = 0.0  # share that arrives twice, each copy with its own delay
    reorder: float = 0.0  # share that is held back by `reorder_ms`
    reorder_ms: float = 200.0
    kbps: float = 0.0  # kilobits a second that all endpoints of the segment share; 0: no limit
    queue_ms: float = 500.0  # what would wait longer than this for its turn is lost


LAN = Conditions(latency_ms=2, jitter_ms=4)  # Wi-Fi without power save
INTERNET = Conditions(latency_ms=20, jitter_ms=20)


class Parcel(NamedTuple):
    """A datagram under way."""

    side: int  # of the sender, when it sent
    seen: Address  # the source as the target will see it: the router's outside endpoint behind a NAT
    to: Address
    datagram: bytes


class Segment:
    """One address space. Use `Network.internet` and `Network.add_lan`."""

    def __init__(self, name: str, conditions: Conditions) -> None:
        self.name = name
        self.conditions = conditions
        self.region = ""  # of the internet
        self.endpoints: dict[Address, Endpoint] = {}
        self._busy_until_ms = 0.0

    def holds(self, ip: bytes) -> bool:
        """Whether `ip` is an address of this segment, in use or not."""
        return True

    def is_group(self, ip: bytes) -> bool:
        """Whether `ip` means every endpoint of this segment; the internet carries no broadcast."""
        return False

    def turn_ms(self, size: int, at_ms: float) -> float | None:
        """How long `size` bytes that are ready at `at_ms` wait for their turn and take to be sent; None: lost, as the queue
        is full."""
        conditions = self.conditions
        begin_ms = max(at_ms, self._busy_until_ms)
        if begin_ms - at_ms > conditions.queue_ms:
            return None
        self._busy_until_ms = begin_ms + size * 8 / conditions.kbps
        return self._busy_until_ms - at_ms


class Lan(Segment):
    """A LAN with its subnet and, where it has a way out, its router."""

    def __init__(self, name: str, subnet: str, conditions: Conditions, nat: Nat | None) -> None:
        super().__init__(name, conditions)
        self.subnet = ip_network(subnet)
        self.nat = nat
        self._groups = (BROADCAST, self.subnet.broadcast_address.packed)
        self._size = len(self._groups[1])
        self._first = int(self.subnet.network_address)
        self._last = int(self.subnet.broadcast_address)

    def holds(self, ip: bytes) -> bool:
        return len(ip) == self._size and self._first <= int.from_bytes(ip) <= self._last

    def is_group(self, ip: bytes) -> bool:
        return ip in self._groups or (len(ip) == 16 and ip[0] == _MULTICAST_V6)


class Endpoint:
    """One bound UDP socket. `send` hands a datagram to the network; what arrives goes to `receive`."""

    def __init__(self, network: Network, segment: Segment, address: Address, receive: Receive) -> None:
        self.network = network
        self.segment = segment
        self.address = address
        self.receive = receive
        self.is_up = True
        self.is_linked = True  # false: it has lost its Wi-Fi, nothing goes out or comes in
        self.region = segment.region
        self.side = 0  # of a partition: endpoints of different sides do not hear each other
        self.sent_n = self.sent_bytes = 0
        self.received_n = self.received_bytes = 0

    def send(self, datagram: bytes, ip: bytes, port: int) -> None:
        self.network.send(self, datagram, (ip, port))

    def close(self) -> None:
        """Unbind: the address is free, what is under way to it is lost."""
        self.is_up = False
        self.segment.endpoints.pop(self.address, None)


class Network:
    """Every segment and endpoint of one simulation."""

    def __init__(self, clock: Clock, seed: object = 0, internet: Conditions = INTERNET) -> None:
        self.clock = clock
        self.internet = Segment("internet", internet)
        self.lans: list[Lan] = []
        self.taps: list[Tap] = []
        self.fates = dict.fromkeys(Fate, 0)
        self.routes: dict[tuple[str, str], float] = {}  # (region, region) -> ms on top, both ways round
        self._seed = seed
        self._routers: dict[bytes, Lan] = {}  # outside IP -> the LAN behind it
        self._draw_latency = stream(seed, "latency").random
        self._draw_loss = stream(seed, "loss").random
        self._draw_duplicate = stream(seed, "duplicate").random
        self._draw_reorder = stream(seed, "reorder").random

    def add_lan(
        self,
        subnet: str,
        *,
        nat: NatKind | None = None,
        outside_ip: str | None = None,
        conditions: Conditions = LAN,
        mapping_timeout_s: int = 120,
    ) -> Lan:
        """A LAN such as "192.168.1.0/24"; with `nat` and `outside_ip` one behind a router, else with no way out."""
        name = f"lan{len(self.lans)}"
        router = None
        if nat is not None:
            if outside_ip is None:
                raise ValueError(f"{name}: a router needs its outside_ip")
            packed = ip_address(outside_ip).packed
            if packed in self._routers:
                raise ValueError(f"{name}: {outside_ip} is another router's address")
            router = Nat(nat, packed, self.clock, stream(self._seed, "nat", name), mapping_timeout_s)
        lan = Lan(name, subnet, conditions, router)
        self.lans.append(lan)
        if router is not None:
            self._routers[router.outside_ip] = lan
        return lan

    def bind(self, segment: Segment, ip: str | bytes, port: int, receive: Receive) -> Endpoint:
        """An endpoint at `ip`:`port` of `segment`. Raises ValueError where that address is taken or not of the segment."""
        packed = ip if isinstance(ip, bytes) else ip_address(ip).packed
        if not segment.holds(packed) or (segment is self.internet and packed in self._routers):
            raise ValueError(f"{ip_address(packed)} is no address for an endpoint of {segment.name}")
        if (packed, port) in segment.endpoints:
            raise ValueError(f"{ip_address(packed)}:{port} of {segment.name} is taken")
        endpoint = Endpoint(self, segment, (packed, port), receive)
        segment.endpoints[endpoint.address] = endpoint
        return endpoint

    def partition(self, *sides: Iterable[Endpoint]) -> None:
        """Cut the network: endpoints of different `sides` do not hear each other; whoever is in none stays on side 0."""
        for number, side in enumerate(sides, 1):
            for endpoint in side:
                endpoint.side = number

    def heal(self) -> None:
        """Undo every partition."""
        for segment in (self.internet, *self.lans):
            for endpoint in segment.endpoints.values():
                endpoint.side = 0

    def send(self, source: Endpoint, datagram: bytes, to: Address) -> None:
        """Let `datagram` travel from `source` to `to`."""
        if not source.is_up:
            return
        source.sent_n += 1
        source.sent_bytes += len(datagram)
        self._note(Fate.SENT, source.address, to, datagram)
        if not source.is_linked:
            self._note(Fate.CUT, source.address, to, datagram)
            return
        segment = source.segment
        parcel = Parcel(source.side, source.address, to, datagram)
        if segment.is_group(to[0]):
            for endpoint in list(segment.endpoints.values()):
                if endpoint.address[1] == to[1] and endpoint is not source:
                    self._carry((segment,), self._deliver, parcel._replace(to=endpoint.address), segment)
        elif segment is not self.internet and segment.holds(to[0]):
            self._carry((segment,), self._deliver, parcel, segment)
        else:
            self._route(source, datagram, to)

    def _route(self, source: Endpoint, datagram: bytes, to: Address) -> None:
        """Over the internet: out through the own router where there is one, in through the other's where there is one."""
        path: tuple[Segment, ...] = (self.internet,)
        seen = source.address
        if isinstance(source.segment, Lan):
            router = source.segment.nat
            if router is None or to[0] == router.outside_ip:  # no way out; no hairpin, as with most home routers
                self._note(Fate.UNROUTABLE, seen, to, datagram)
                return
            seen = router.outbound(seen, to)
            path = (source.segment, self.internet)
        lan = self._routers.get(to[0])
        parcel = Parcel(source.side, seen, to, datagram)
        far_ms = self.far_ms(source.region, to)
        if lan is None:
            self._carry(path, self._deliver, parcel, self.internet, far_ms)
        else:
            self._carry(path, self._enter, parcel, lan, far_ms)

    def far_ms(self, region: str, to: Address) -> float:
        """What the way from a region of the internet to an address takes longer than within one."""
        if not self.routes:
            return 0.0
        lan = self._routers.get(to[0])
        endpoint = lan or self.internet.endpoints.get(to)
        return self.routes.get((region, endpoint.region), 0.0) if endpoint is not None else 0.0

    def inject(self, seen: Address, datagram: bytes, to: Address) -> None:
        """A datagram on the internet that claims to come from `seen`, as whoever has a line without source checks sends."""
        parcel = Parcel(0, seen, to, datagram)
        self._note(Fate.SENT, seen, to, datagram)
        lan = self._routers.get(to[0])
        if lan is None:
            self._carry((self.internet,), self._deliver, parcel, self.internet)
        else:
            self._carry((self.internet,), self._enter, parcel, lan)

    def lan_behind(self, ip: bytes) -> Lan | None:
        """The LAN behind a router's outside address."""
        return self._routers.get(ip)

    def _carry(
        self,
        path: tuple[Segment, ...],
        arrive: Callable[[Parcel, Any], None],
        parcel: Parcel,
        segment: Segment,
        far_ms: float = 0.0,
    ) -> None:
        """Let `parcel` cross the segments of `path`; whatever copies come out of it `arrive` at `segment`."""
        copies = [far_ms]  # the delay of each, ms
        for crossed in path:
            if crossed.conditions.kbps:
                now_ms = self.clock.now_us / MILLISECOND
                size = len(parcel.datagram) + UDP_HEAD
                turns = ((delay_ms, crossed.turn_ms(size, now_ms + delay_ms)) for delay_ms in copies)
                copies = [delay_ms + turn_ms for delay_ms, turn_ms in turns if turn_ms is not None]
            copies = self._cross(crossed.conditions, copies)
        if not copies:
            self._note(Fate.LOST, parcel.seen, parcel.to, parcel.datagram)
        clock = self.clock
        for delay_ms in copies:
            clock.at(clock.now_us + round(delay_ms * MILLISECOND), arrive, parcel, segment)

    def _cross(self, conditions: Conditions, copies: list[float]) -> list[float]:
        out = []
        for delay_ms in copies:
            lost = self._draw_loss() < conditions.loss
            twice = self._draw_duplicate() < conditions.duplicate
            held_ms = conditions.reorder_ms if self._draw_reorder() < conditions.reorder else 0.0
            jitter_ms = conditions.jitter_ms * self._draw_latency()
            if lost:
                continue
            out.append(delay_ms + conditions.latency_ms + jitter_ms + held_ms)
            if twice:
                out.append(delay_ms + conditions.latency_ms + conditions.jitter_ms * self._draw_duplicate())
        return out

    def _enter(self, parcel: Parcel, lan: Lan) -> None:
        """At the outside of a router: only its state at THIS moment decides, so that two sides may open holes at once."""
        assert lan.nat is not None
        inside = lan.nat.inbound(parcel.to[1], parcel.seen)
        if inside is None:
            self._note(Fate.FILTERED, parcel.seen, parcel.to, parcel.datagram)
        else:
            self._carry((lan,), self._deliver, parcel._replace(to=inside), lan)

    def _deliver(self, parcel: Parcel, segment: Segment) -> None:
        side, seen, to, datagram = parcel
        target = segment.endpoints.get(to)
        if target is None or not target.is_up:
            self._note(Fate.UNROUTABLE, seen, to, datagram)
        elif side != target.side or not target.is_linked:
            self._note(Fate.CUT, seen, to, datagram)
        else:
            target.received_n += 1
            target.received_bytes += len(datagram)
            self._note(Fate.DELIVERED, seen, to, datagram)
            target.receive(datagram, seen[0], seen[1])

    def _note(self, fate: Fate, source: Address, to: Address, datagram: bytes) -> None:
        self.fates[fate] += 1
        for tap in self.taps:
            tap(self.clock.now_us, fate, source, to, datagram)
