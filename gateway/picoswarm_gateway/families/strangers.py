"""What keeps strangers from taking more than their share: a door for who connects, a rest after each piece of work for
somebody, and which addresses are believed."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HALF_OPEN = 16  # connections that have not proven who they are yet
HALF_OPEN_EACH = 4  # of one address
AGAIN_S = 30.0  # until an address of the Internet may connect once more (row E8)
REMEMBERED = 4096  # addresses
RATE = 5_000_000  # bytes a second that are read of one connection
IDLE_S = 0.001  # work that is not worth a rest
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Door:
    """Who may begin a handshake. A local address may come as often as it likes, since whole networks live on one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.turned_away = 0
        self._clock = clock
        self._inside: Counter[str] = Counter()  # handshakes under way, by address
        self._came: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def let_in(self, ip: str) -> Iterator[bool]:
        """Whether it may; the handshake counts until the end of the block."""
        if not self._may(ip):
            self.turned_away += 1
            yield False
            return
        self._inside[ip] += 1
        try:
            yield True
        finally:
            self._inside[ip] -= 1
            self._inside += Counter()  # without what is zero

    def _may(self, ip: str) -> bool:
        now = self._clock()
        if self._inside.total() >= HALF_OPEN or self._inside[ip] >= HALF_OPEN_EACH:
            return False
        if is_of_the_internet(ip):
            if now - self._came.get(ip, -AGAIN_S) < AGAIN_S:
                return False
            self._came[ip] = now
            self._came.move_to_end(ip)
            while len(self._came) > REMEMBERED:
                self._came.popitem(last=False)
        return True


async def rest(began: float, size: int = 0) -> None:
    """After work for one connection that began then (time.perf_counter): as long as it took, so that nobody gets more than
    half of the processor, and so that no more than RATE is read where it was `size` bytes."""
    spent = time.perf_counter() - began
    wait = max(spent if spent > IDLE_S else 0.0, size / RATE)
    await asyncio.sleep(wait if wait > IDLE_S else 0)


def is_of_the_internet(ip: str) -> bool:
    """Whether an address is not one of this machine, of a local network or of a provider's own (100.64.0.0/10, which
    private overlays have too); nor one of IPv6 that stands for such a one of IPv4."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and (inner := _ipv4_in(address)):
        return inner.is_global
    return address.is_global


def _ipv4_in(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Where packets to it come out (NAT64, 6to4, Teredo, or the same written as IPv6)."""
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]


def is_believed(ip: str, teller: str) -> bool:
    """Whether somebody at `teller` may tell of a node at `ip`: it is an address, and not a local one where the teller is on
    the Internet, which would have this machine dial its neighbors."""
    try:
        address = ipaddress.ip_address(ip)
        if address.is_unspecified or address.is_multicast or address.is_reserved:
            return False
        return is_of_the_internet(ip) or not is_of_the_internet(teller)
    except ValueError:
        return False
