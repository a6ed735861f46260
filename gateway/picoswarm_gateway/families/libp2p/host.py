"""A libp2p peer on a computer: the device library's connections with wide limits, and rules for many of them."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from picoswarm.compat import parse_ip, readable
from picoswarm.failures import StreamError
from picoswarm.libp2p import Libp2p
from picoswarm.multiaddr import encode_address, parse_address
from picoswarm.p2pstreams import Connection, P2pStream
from picoswarm.peerid import parse_peer, peer_text
from picoswarm.peerkey import peer_id
from picoswarm.sockets import accept_tcp, connect_tcp

from .dialing import ADDRESSES, Address, Dialer, address_of, in_turn
from .keys import verify

SET_UP_MS = 10_000
PENDING = 64  # inbound set-ups at a time
PER_IP = 8  # connections from one address, loopback exempt
GRACE_S = 60.0  # a young connection is not let go
SILENCE_S = 10.0  # between two rounds of letting go
KNOWN = 4096  # peers whose addresses are kept
PROVEN = 8  # addresses of a peer that are kept whatever others tell

OnConnection = Callable[[Connection], None]


class Host(Libp2p):
    """One identity. `low`, `high`: of connections, see `trim`."""

    record = 65535
    buffer = 131072
    set_up_buffer = 4096  # RSA keys are long
    frame = 16384
    held_most = 8 << 20
    queue_most = 1 << 20
    inbound_most = 128
    verify = staticmethod(verify)
    agent = "picoswarm-gateway"

    def __init__(self, identity: Any, folder: Any, low: int = 160, high: int = 192, streams: int = 1000) -> None:
        super().__init__(identity, os.urandom, folder)
        self.low, self.high, self.streams_most = low, high, streams
        self.counts: Counter[str] = Counter()
        self.protected: Counter[bytes] = Counter()
        self.values: Counter[bytes] = Counter()
        self.known: dict[bytes, list[str]] = {}  # addresses of peers, as texts without the peer
        self.id = peer_id(self.public_key)
        self._proven: dict[bytes, list[str]] = {}  # those of them where it was, the last one first
        self.dialer = Dialer(self._connect, self._reached)
        self.on_connected: list[OnConnection] = []
        self.on_lost: list[OnConnection] = []
        self.port = 0
        self._since: dict[Connection, float] = {}
        self._pending = 0
        self._trimmed_at = float("-inf")
        self._tasks: set[asyncio.Task] = set()

    def forget(self, stays: list[str]) -> None:
        """See Libp2p: here memory is no matter."""

    # Connections

    async def dial(self, address: str, ms: int = 20_000) -> Connection:
        """A Connection to a multiaddress with or without its peer, or to a peer id whose addresses are known. Raises
        StreamError."""
        peer = parse_peer(address)
        if peer is None:
            found = address_of(address)
            if found is None:
                raise StreamError(f"not an address of a libp2p peer over TCP: {address}", 3)
            where, peer = found
            if peer is None:
                await self._prepare()
                return await self._connect(where.host, where.port, None, ms)
            self.learn(peer, [where.text])
        return await self.reach(peer)

    async def reach(self, peer: bytes) -> Connection:
        """The connection to a peer: the one that there is, or a new one."""
        if peer == self.id:
            raise StreamError("this is the own peer id", 3)
        connection = self.connection(peer)
        if connection:
            return connection
        await self._prepare()
        found = [address_of(text) for text in self.known.get(peer, [])]
        addresses = [each[0] for each in found if each and not self._is_own(each[0])]
        if not addresses:
            raise StreamError(f"no address is known of {peer_text(peer)}", 3)
        return await self.dialer.dial(peer, addresses)

    def connection(self, peer: bytes) -> Connection | None:
        """The best open connection to a peer: the one with most streams, then the newest."""
        mine = [each for each in self.connections if each.peer_id == peer and each.is_open]
        return max(mine, key=lambda each: (len(each.link.streams), self._since.get(each, 0.0)), default=None)

    def learn(self, peer: bytes, addresses: list[str]) -> None:
        """Where a peer may be: first where it was, then in turn what is told now and what was told before. Of too many
        addresses the last ones are forgotten, of too many peers those known longest."""
        proven = self._proven.get(peer, [])
        told = in_turn((addresses, self.known.pop(peer, [])))
        self.known[peer] = list(dict.fromkeys([*proven, *told]))[:ADDRESSES]
        while len(self.known) > KNOWN:
            oldest = next(iter(self.known))
            del self.known[oldest]
            self._proven.pop(oldest, None)

    def _reached(self, peer: bytes, address: Address) -> None:
        others = [each for each in self._proven.get(peer, []) if each != address.text]
        self._proven[peer] = [address.text, *others][:PROVEN]
        self.learn(peer, [])

    def _is_own(self, address: Address) -> bool:
        return self.port == address.port and any(text.startswith(address.text) for text in self.address_texts())

    async def _connect(self, ip: str, port: int, peer: bytes | None, ms: int) -> Connection:
        raw = parse_ip(ip)
        connection = await self._begin(connect_tcp(raw, port), raw, port, peer, True, ms)
        self.counts["dialed"] += 1
        return connection

    async def _begin(self, sock: Any, ip: bytes, port: int, dialed: Any, is_outbound: bool, ms: int) -> Connection:
        connection = await super()._begin(sock, ip, port, dialed, is_outbound, ms)
        self._since[connection] = time.monotonic()
        for listener in self.on_connected:
            listener(connection)
        self.trim()
        return connection

    def lost(self, connection: Connection) -> None:
        """See Libp2p."""
        super().lost(connection)
        if self._since.pop(connection, None) is not None:
            self.counts[f"closed_{connection.link.reason}"] += 1
            for listener in self.on_lost:
                listener(connection)

    def trim(self) -> None:
        """Above `high` connections let go down to `low`: the least value first, then those without streams, then inbound
        ones; not the young nor the protected."""
        now = time.monotonic()
        if len(self.connections) <= self.high or now - self._trimmed_at < SILENCE_S:
            return
        self._trimmed_at = now

        def worth(one: Connection) -> tuple:
            return self.values[one.peer_id], len(one.link.streams) > 0, one.is_outbound, len(one.link.streams)

        loose = [one for one in self.connections if not self.protected[one.peer_id]]
        old = sorted((one for one in loose if now - self._since.get(one, now) >= GRACE_S), key=worth)
        for connection in old[: len(self.connections) - self.low]:
            self.counts["trimmed"] += 1
            connection.close()

    # Listening

    async def listen(self, port: int, ip: bytes = b"", announce: list[str] = ()) -> None:
        """See Libp2p. `announce`: addresses that peers are told; without, the own one unless it is 0.0.0.0."""
        await self._prepare()
        family = socket.AF_INET6 if len(ip) == 16 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        try:
            sock.bind((socket.inet_ntop(family, ip or bytes(4)), port))
            sock.listen(128)
        except OSError:
            sock.close()
            raise
        self._listening = sock
        self.port = sock.getsockname()[1]
        own = [encode_address((("ip4" if len(ip) == 4 else "ip6", ip), ("tcp", self.port)))] if any(ip) else []
        self.addresses = [encode_address(parse_address(text)) for text in announce] or own
        self._listener = asyncio.create_task(self._accept())

    def address_texts(self) -> list[str]:
        """Where peers reach it, as multiaddresses with its peer id."""
        from picoswarm.multiaddr import address_text, decode_address

        return [f"{address_text(decode_address(each))}/p2p/{self.peer_id}" for each in self.addresses]

    async def _accept(self) -> None:
        while self._listening:
            try:
                await readable(self._listening)
                sock, ip, port = accept_tcp(self._listening)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            inbound = [each for each in self.connections if not each.is_outbound]
            same = sum(ip == each.ip for each in inbound) if ip[0] != 127 else 0
            if self._pending >= PENDING or len(inbound) >= self.inbound_most or same >= PER_IP:
                self.counts["refused"] += 1
                sock.close()
            else:
                self._do(self._welcome(sock, ip, port))

    async def _welcome(self, sock: Any, ip: bytes, port: int) -> None:
        self._pending += 1
        try:
            await self._begin(sock, ip, port, None, False, SET_UP_MS)
            self.counts["accepted"] += 1
        except (StreamError, OSError):
            self.counts["set_up_failed"] += 1
        finally:
            self._pending -= 1

    def _do(self, run: Any) -> None:
        task = asyncio.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def open_stream(self, peer: bytes, names: str | list[str]) -> P2pStream:
        """A stream to a peer, by the first protocol of `names` that it has; dials where there is no connection. Raises
        StreamError."""
        return await (await self.reach(peer)).open_stream(names)

    async def push(self) -> None:
        """Tell all peers that what identify says has changed."""
        for connection in list(self.connections):
            connection.link.push()
            connection.turn()

    async def stop(self) -> None:
        """End everything."""
        self.close()
        for task in list(self._tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
