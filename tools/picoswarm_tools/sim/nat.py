"""What a router does to UDP: it maps inside endpoints to outside ports, and filters what comes back (RFC 4787).

The kinds are the usual three, as pairs of RFC 4787's behaviours:

    FULL_CONE        endpoint-independent mapping, endpoint-independent filtering
    PORT_RESTRICTED  endpoint-independent mapping, address-and-port-dependent filtering
    SYMMETRIC        address-and-port-dependent mapping and filtering

A mapping, and each remote endpoint that may answer through it, lives `timeout_s` from the last datagram sent OUT (REQ-6;
inbound datagrams do not refresh, the safer of the two that the RFC allows). An outside port that was given up is not given
to another mapping before the numbers have gone round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from random import Random

from .clock import SECOND, Clock

Address = tuple[bytes, int]  # IP of 4 or 16 bytes, UDP port

_FIRST_PORT = 1025  # nodes refuse ports up to 1024 (row D17)


class NatKind(Enum):
    FULL_CONE = "full cone"
    PORT_RESTRICTED = "port restricted"
    SYMMETRIC = "symmetric"

    @property
    def maps_by_remote(self) -> bool:
        return self is NatKind.SYMMETRIC

    @property
    def filters_by_remote(self) -> bool:
        return self is not NatKind.FULL_CONE


@dataclass(slots=True)
class Mapping:
    """One outside port and whom it stands for."""

    inside: Address
    port: int
    expires_us: int
    permitted: dict[Address, int] = field(default_factory=dict)  # remote endpoint -> until when it may answer


class Nat:
    """The address translation of one LAN's router."""

    def __init__(self, kind: NatKind, outside_ip: bytes, clock: Clock, rng: Random, timeout_s: int = 120) -> None:
        self.kind = kind
        self.outside_ip = outside_ip
        self.timeout_us = timeout_s * SECOND
        self.filtered = 0  # inbound datagrams that no mapping or filter let in
        self._clock = clock
        self._next_port = rng.randrange(_FIRST_PORT, 0x10000)
        self._by_inside: dict[tuple[Address, Address | None], Mapping] = {}
        self._by_port: dict[int, Mapping] = {}
        self.forwards: dict[int, Address] = {}  # outside port -> the inside endpoint that its owner opened it for
        self._forwarded: dict[Address, int] = {}

    def forward(self, port: int, inside: Address) -> None:
        """Port forwarding: what comes to outside `port` goes to `inside`, and what `inside` sends leaves from there."""
        self.forwards[port] = inside
        self._forwarded[inside] = port

    def __len__(self) -> int:
        """Mappings that are alive now."""
        return sum(mapping.expires_us > self._clock.now_us for mapping in self._by_port.values())

    def outbound(self, inside: Address, remote: Address) -> Address:
        """The outside endpoint from which a datagram of `inside` to `remote` leaves; makes or refreshes the mapping."""
        if inside in self._forwarded:
            return self.outside_ip, self._forwarded[inside]
        key = (inside, remote if self.kind.maps_by_remote else None)
        now_us = self._clock.now_us
        mapping = self._by_inside.get(key)
        if mapping is None or mapping.expires_us <= now_us:
            mapping = self._open(key, mapping)
        mapping.expires_us = now_us + self.timeout_us
        if self.kind.filters_by_remote:
            mapping.permitted[remote] = mapping.expires_us
        return self.outside_ip, mapping.port

    def inbound(self, port: int, remote: Address) -> Address | None:
        """The inside endpoint that gets a datagram of `remote` to outside `port`; None: it is filtered."""
        if port in self.forwards:
            return self.forwards[port]
        now_us = self._clock.now_us
        mapping = self._by_port.get(port)
        if mapping is None or mapping.expires_us <= now_us:
            self.filtered += 1
            return None
        if self.kind.filters_by_remote and mapping.permitted.get(remote, 0) <= now_us:
            self.filtered += 1
            return None
        return mapping.inside

    def reboot(self) -> None:
        """Forget every mapping, as a router does when its power comes back."""
        self._by_inside.clear()
        self._by_port.clear()

    def _open(self, key: tuple[Address, Address | None], old: Mapping | None) -> Mapping:
        if old is not None:
            del self._by_port[old.port]
        if len(self._by_port) >= 1024:
            self._sweep()
        while self._next_port in self._by_port or self._next_port in self.forwards:
            self._advance()
        mapping = Mapping(key[0], self._next_port, 0)
        self._advance()
        self._by_inside[key] = self._by_port[mapping.port] = mapping
        return mapping

    def _advance(self) -> None:
        self._next_port += 1
        if self._next_port > 0xFFFF:
            self._next_port = _FIRST_PORT

    def _sweep(self) -> None:
        now_us = self._clock.now_us
        self._by_inside = {key: mapping for key, mapping in self._by_inside.items() if mapping.expires_us > now_us}
        self._by_port = {mapping.port: mapping for mapping in self._by_inside.values()}
