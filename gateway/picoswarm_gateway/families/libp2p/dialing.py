"""Whom to dial, where first, and how soon again (rows L3 to L8 of go-libp2p's swarm)."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from picoswarm.failures import StreamError
from picoswarm.multiaddr import parse_address, tcp_address
from picoswarm.peerid import peer_text

from ..strangers import is_of_the_internet

FIRST_S, MOST_S = 5.0, 300.0  # before an address that failed is tried again
PUBLIC_S, PRIVATE_S = 0.25, 0.03  # between two addresses
PUBLIC_MS, PRIVATE_MS = 15_000, 5_000  # for one dial
PEER_S = 60.0  # for all addresses of a peer
DIALS = 160  # at a time
PER_PEER = 8
ADDRESSES = 32  # of one peer


@dataclass(frozen=True)
class Address:
    """Where a peer is. `host`: an IP address or a name."""

    host: str
    port: int
    is_private: bool
    version: int  # of IP; a name counts as 4

    @property
    def text(self) -> str:
        """As a multiaddress, without the peer."""
        kind = "dns4" if not self.host[:1].isdecimal() and ":" not in self.host else f"ip{self.version}"
        return f"/{kind}/{self.host}/tcp/{self.port}"


def address_of(text: str) -> tuple[Address, bytes | None] | None:
    """(Address, peer id or None) of a multiaddress that TCP reaches and that can be one; else None."""
    parts = parse_address(text)
    found = tcp_address(parts) if parts else None
    if found is None or not found[1]:
        return None
    if parts[0][0].startswith("dns"):
        return Address(str(found[0], "utf-8"), found[1], False, 4), found[2]
    ip = ipaddress.ip_address(found[0])
    if ip.is_unspecified or ip.is_multicast or ip.version == 6 and ip.is_link_local:
        return None
    return Address(str(ip), found[1], not is_of_the_internet(str(ip)), ip.version), found[2]


def in_turn(lists: Iterable[Iterable[str]]) -> list[str]:
    """The first of each, then the second of each, and so on; none twice. Of many, whoever told the most gets no more room
    than another."""
    rounds = itertools.zip_longest(*lists)
    return list(dict.fromkeys(each for each in itertools.chain.from_iterable(rounds) if each))


def rank(addresses: list[Address]) -> list[tuple[float, Address]]:
    """(seconds after the first, address): private addresses first, IPv6 before IPv4, low ports first; no address twice."""
    order = sorted(set(addresses), key=lambda each: (not each.is_private, each.version == 4, each.port, each.host))
    plan, at = [], 0.0
    for each in order[:ADDRESSES]:
        plan.append((at, each))
        at += PRIVATE_S if each.is_private else PUBLIC_S
    return plan


class Backoff:
    """How long an address of a peer is left alone: 5 s after the first failure, then 5 s + tries^2 s, at most 5 min."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[tuple[bytes | None, Address], tuple[int, float]] = {}

    def failed(self, peer: bytes | None, address: Address) -> None:
        """A dial came to nothing."""
        tries = self._failed.get((peer, address), (0, 0.0))[0]
        self._failed[peer, address] = tries + 1, self._clock() + min(FIRST_S + tries * tries, MOST_S)
        if len(self._failed) > 4096:
            now = self._clock()
            self._failed = {key: value for key, value in self._failed.items() if value[1] > now}

    def succeeded(self, peer: bytes | None) -> None:
        """There is a connection to it."""
        for key in [key for key in self._failed if key[0] == peer]:
            del self._failed[key]

    def rests(self, peer: bytes | None, address: Address) -> bool:
        """Whether the address is to be left alone now."""
        return self._failed.get((peer, address), (0, 0.0))[1] > self._clock()


class Dialer:
    """Dials peers: all callers for one peer share one dial. `connect(ip, port, peer, ms)` makes a connection; `reached` is
    told where a peer was found to be."""

    def __init__(
        self, connect: Callable[[str, int, bytes | None, int], Awaitable[Any]], reached: Callable[[bytes, Address], None]
    ) -> None:
        self.backoff = Backoff()
        self._connect = connect
        self._reached = reached
        self._running: dict[bytes, asyncio.Task] = {}
        self._places = asyncio.Semaphore(DIALS)

    async def dial(self, peer: bytes, addresses: list[Address]) -> Any:
        """A connection to a peer. Raises StreamError."""
        task = self._running.get(peer)
        if task is None:
            task = self._running[peer] = asyncio.create_task(self._dial(peer, addresses))
            task.add_done_callback(lambda done: (self._running.pop(peer, None), done.cancelled() or done.exception()))
        return await asyncio.shield(task)

    async def _dial(self, peer: bytes, addresses: list[Address]) -> Any:
        plan = rank([each for each in addresses if not self.backoff.rests(peer, each)])
        if not plan:
            raise StreamError(f"no address of {peer_text(peer)} that could be dialed now", 3)
        trouble: Exception = StreamError("no answer in time", 3)
        running: set[asyncio.Task] = set()
        places = asyncio.Semaphore(PER_PEER)
        began = time.monotonic()
        try:
            async with asyncio.timeout(PEER_S):
                while plan or running:
                    wait = max(0.0, plan[0][0] - (time.monotonic() - began)) if plan else None
                    if plan and (not running or wait == 0):  # the next at once when nothing is under way
                        running.add(asyncio.create_task(self._one(peer, plan.pop(0)[1], places)))
                        continue
                    done, running = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        if task.exception() is None:
                            self.backoff.succeeded(peer)
                            return task.result()
                        trouble = task.exception()
        except TimeoutError:
            pass
        finally:
            for task in running:
                task.cancel()
        raise trouble

    async def _one(self, peer: bytes, address: Address, places: asyncio.Semaphore) -> Any:
        ms = PRIVATE_MS if address.is_private else PUBLIC_MS
        async with places, self._places:
            try:
                async with asyncio.timeout(ms / 1000):
                    connection = await self._connect(await self._resolve(address), address.port, peer, ms)
            except (StreamError, OSError, TimeoutError) as error:
                self.backoff.failed(peer, address)
                raise error if isinstance(error, StreamError) else StreamError(f"no connection: {error!r}", 3) from error
            self._reached(peer, address)
            return connection

    async def _resolve(self, address: Address) -> str:
        if ":" in address.host or address.host[:1].isdecimal():
            return address.host
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        return found[0][4][0]
