"""The connections: whom to dial, whom to let in, whom to leave. Sockets and time are here; what is said is in session.py.

Eight peers of our own choice, each of another network (rows B1, B23); those that the configuration names are dialed for
ever (B2). What failed is not clung to: another address is drawn (B3). Where nothing can be reached, attempts are rare (B4).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..strangers import is_of_the_internet
from .bip324 import DialTransport, ServeTransport
from .book import ENOUGH, Book, group_of
from .messages import Address
from .networks import Network
from .session import Left, Own, Session
from .table import BitcoinTable, endpoint
from .wire import Frames, Malformed

CONNECT_S = 30.0
RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
MANY_FAILURES, CALM_S = 8, 30.0
KEYS_S = 8.0  # a peer that says nothing to our key for so long knows the first transport only
TICK_S = 1.0
PAUSE_S = 3.0  # a tick that comes so late was held up: no peer is blamed for that
SEED_AFTER_S = 11.0
QUEUE = 8 << 20  # bytes that wait for a peer that does not read
SAMPLES = 200
MOST_OFFSET_S = 70 * 60
DOWNGRADES = 100
READ = 65_536
PER_IP = 2  # of an address of the Internet: one owner cannot take all places

OnPeer = Callable[["Peer", str, Any], None]


class Peer:
    """A connection and what is known of its other end. `kept`: what others want to remember of it."""

    def __init__(self, session: Session, transport: Any, writer: asyncio.StreamWriter, is_permanent: bool) -> None:
        self.session = session
        self.transport = transport
        self.writer = writer
        self.is_permanent = is_permanent
        self.began = time.monotonic()
        self.height = 0  # of the best block that it is known to have
        self.best = b""
        self.kept: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Its address as text."""
        address = self.session.address
        return f"{ipaddress.ip_address(address.ip)}:{address.port}"

    @property
    def is_up(self) -> bool:
        """Whether the handshake is done."""
        return self.session.is_up

    def flush(self) -> None:
        """Hand what the session has to say to the socket. Raises Left for a peer that does not read."""
        if not self.transport.is_ready:
            return
        for command, payload in self.session.out:
            self.writer.write(self.transport.pack(command, payload))
        self.session.out.clear()
        if self.writer.transport.get_write_buffer_size() > QUEUE:
            raise Left("it does not read")


class Peers:
    """See the module. `on_peer(peer, kind, value)`: what session.py tells, and ("down", why) at the end."""

    def __init__(self, table: BitcoinTable, network: Network, own: Own, on_peer: OnPeer, log: Any) -> None:
        self.all: set[Peer] = set()
        self.counts: Counter[str] = Counter(dialed=0, failed=0, inbound=0, turned_away=0, banned=0, left=0, malformed=0)
        self.book = Book(time.monotonic, network.name)
        self.listening_on = 0
        self._table = table
        self._network = network
        self._own = own
        self._on_peer = on_peer
        self._log = log
        self._permanent = [Address(*endpoint(each)) for each in table.peers]
        self._tasks: set[asyncio.Task] = set()
        self._dialing: set[tuple[bytes, int]] = set()
        self._old: dict[tuple[bytes, int], None] = {}  # that have no second transport
        self._failures, self._failed_at = 0, 0.0
        self._offsets: list[float] = []
        self._server: asyncio.Server | None = None
        self._asked_seeds = self._ticked = time.monotonic()

    async def listen(self) -> None:
        """Take peers, where the table has a port for them (`listen` -1 in a test: any). Raises OSError."""
        if self._table.listen:
            port = max(self._table.listen, 0)
            self._server = await asyncio.start_server(self._on_socket, self._table.listen_host, port)
            self.listening_on = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End all."""
        if self._server:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def up(self) -> list[Peer]:
        """The peers with whom the handshake is done."""
        return [peer for peer in self.all if peer.is_up]

    @property
    def offset_s(self) -> float:
        """How far the clocks of the peers are from ours: their median, if it is less than 70 minutes (row B30)."""
        if len(self._offsets) < 5:
            return 0.0
        middle = statistics.median(self._offsets)
        return middle if abs(middle) < MOST_OFFSET_S else 0.0

    def leave(self, peer: Peer, why: str, is_ban: bool = False) -> None:
        """End a connection."""
        if is_ban and not peer.is_permanent and peer.session.address.ip[0] != 127:
            self.book.ban(peer.session.address.ip)
        self.counts["banned"] += is_ban
        peer.kept["why"] = why
        peer.writer.transport.abort()

    def guarded(self, peer: Peer, act: Callable[[], None]) -> None:
        """Do something with a peer; what it may have done wrong ends its connection."""
        try:
            act()
            peer.flush()
        except Left as left:
            self.leave(peer, str(left), left.is_ban)
        except Malformed as wrong:
            self.counts["malformed"] += 1
            try:
                peer.session.blame(wrong.score, str(wrong), time.monotonic())
            except Left as left:
                self.leave(peer, str(left), left.is_ban)

    # Time

    async def run(self) -> None:
        """Keep the connections, for ever."""
        while True:
            now = time.monotonic()
            late = now - self._ticked - TICK_S
            self._ticked = now
            for peer in list(self.all):
                if late > PAUSE_S:
                    peer.session.excuse(late)
                self.guarded(peer, lambda peer=peer, now=now: self._tick(peer, now))
            self._dial_some(now)
            await asyncio.sleep(TICK_S)

    @staticmethod
    def _tick(peer: Peer, now: float) -> None:
        peer.session.tick(now)
        if peer.session.is_outbound and not peer.transport.is_ready and now - peer.began > KEYS_S:
            raise Left("no key")

    def _begin(self, job: Any) -> None:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _dial_some(self, now: float) -> None:
        for address in self._permanent:
            key = address.ip, address.port
            if key not in self._dialing:
                self._dialing.add(key)
                self._begin(self._keep(address))
        if self._table.only_peers:
            return
        is_lost = not self.up() and (not len(self.book) or self._failures >= MANY_FAILURES)  # nobody known is there
        if self._table.dns_seeds and is_lost and now - self._asked_seeds > SEED_AFTER_S:
            self._asked_seeds = now + CALM_S
            self._begin(self._ask_seeds())
        chosen = len(self._dialing) - len(self._permanent)  # peers of our choice, connected or being dialed
        if chosen >= self._table.outbound or (self._failures >= MANY_FAILURES and now - self._failed_at < CALM_S):
            return
        address = self.book.pick({group_of(Address(*key)) for key in self._dialing}, self._dialing)
        if address:
            self._dialing.add((address.ip, address.port))
            self._begin(self._try_once(address))

    async def _keep(self, address: Address) -> None:
        """Dial a permanent peer for ever."""
        tries = 0
        while True:
            tries = 1 if await self._dial(address, True) else tries + 1
            await asyncio.sleep(min(LONGEST_RETRY_S, RETRY_S * tries) * random.uniform(0.75, 1.25))

    async def _try_once(self, address: Address) -> None:
        self.book.tried(address)
        try:
            if not await self._dial(address, False):
                self.book.failed(address)
                self._failures += 1
                self._failed_at = time.monotonic()
        finally:
            self._dialing.discard((address.ip, address.port))

    async def _ask_seeds(self) -> None:
        """The network's seeds tell of peers, which count as heard of only."""
        loop = asyncio.get_running_loop()
        for seed in random.sample(self._network.seeds, len(self._network.seeds)):
            with suppress(OSError):
                for *_, place in await loop.getaddrinfo(seed, self._network.port, type=1):
                    ip = ipaddress.ip_address(place[0]).packed
                    self.book.add(Address(ip, self._network.port), Address(ip, self._network.port))
            if len(self.book) > 2 * self._table.outbound:
                return

    # Connections

    async def _dial(self, address: Address, is_permanent: bool) -> bool:
        """One connection, from its beginning to its end. True: the handshake was done."""
        self.counts["dialed"] += 1
        key = address.ip, address.port
        transports: list[Any] = [Frames(self._network.magic)]
        if self._table.transport == "v2" and key not in self._old:
            transports.insert(0, DialTransport(self._network.magic))
        for transport in transports:
            try:
                async with asyncio.timeout(CONNECT_S):
                    reader, writer = await asyncio.open_connection(str(ipaddress.ip_address(address.ip)), address.port)
            except (OSError, TimeoutError):
                break
            peer = self._peer(address, True, transport, writer, is_permanent)
            await self._serve(peer, reader)
            if peer.is_up:
                return True
            if transport.is_ready:
                break
            self._old[key] = None  # it hung up at our key: it knows the first transport only (row B9)
            if len(self._old) > DOWNGRADES:
                del self._old[next(iter(self._old))]
        self.counts["failed"] += 1
        return False

    async def _on_socket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            host, port = writer.get_extra_info("peername")[:2]
            ip = ipaddress.ip_address(host).packed
            inbound = [peer.session.address.ip for peer in self.all if not peer.session.is_outbound]
            is_crowd = is_of_the_internet(host) and inbound.count(ip) >= PER_IP
            if len(inbound) >= self._table.inbound or is_crowd or self.book.is_banned(ip):
                self.counts["turned_away"] += 1
                writer.transport.abort()
                return
            self.counts["inbound"] += 1
            transport = ServeTransport(self._network.magic)
            peer = self._peer(Address(ip, port), False, transport, writer, False)
            await self._serve(peer, reader)
        except asyncio.CancelledError:
            pass  # `close` did that; the streams of asyncio would log it as a fault
        finally:
            self._tasks.discard(task)

    def _peer(self, address: Address, is_outbound: bool, transport: Any, writer: Any, is_permanent: bool) -> Peer:
        def on(kind: str, value: Any) -> None:
            self._on_session(peer, kind, value)

        nonce = int.from_bytes(os.urandom(8), "little")
        session = Session(self._own, nonce, address, is_outbound, on, time.monotonic())
        peer = Peer(session, transport, writer, is_permanent)
        return peer

    async def _serve(self, peer: Peer, reader: asyncio.StreamReader) -> None:
        """Read until the end."""
        self.all.add(peer)
        why = "closed"
        try:
            peer.writer.write(peer.transport.opening)
            self.guarded(peer, lambda: None)
            while data := await reader.read(READ):
                self._receive(peer, data)
                await asyncio.sleep(0)  # others have a turn
        except OSError as error:
            why = str(error)
        finally:
            self.all.discard(peer)
            self.counts["left"] += peer.is_up
            peer.writer.transport.abort()
            self._on_peer(peer, "down", peer.kept.get("why", why))

    def _receive(self, peer: Peer, data: bytes) -> None:
        def take() -> None:
            peer.transport.feed(data)
            answer = peer.transport.answer()
            if answer:
                peer.writer.write(answer)
            while (message := peer.transport.next()) and not peer.writer.transport.is_closing():
                self.guarded(peer, lambda message=message: peer.session.receive(*message, time.monotonic()))

        try:
            take()
            peer.flush()
        except Malformed as wrong:  # of the transport: nothing behind it can be understood
            self.counts["malformed"] += 1
            self.leave(peer, str(wrong), True)
        except Left as left:
            self.leave(peer, str(left), left.is_ban)

    def _on_session(self, peer: Peer, kind: str, value: Any) -> None:
        session = peer.session
        if kind == "up":
            self._offsets = [*self._offsets[-SAMPLES + 1 :], session.offset_s]
            if session.is_outbound:
                self.book.good(session.address)
                self._failures = 0
            assert session.version
            peer.height = session.version.height
        elif kind == "addresses":
            if len(self.book) < ENOUGH:
                for address in value[:1000]:
                    self.book.add(address, session.address)
            return
        elif kind == "getaddr":
            from .messages import encode_addresses

            known = self.book.share(1000)
            if known:
                is_v2 = session.wants_v2_addresses
                session.send("addrv2" if is_v2 else "addr", encode_addresses(known, is_v2))
            return
        self._on_peer(peer, kind, value)
