"""The nodes of one CometBFT network that the gateway is connected with: dialed, accepted, asked for addresses, banned.

Nodes of the configuration are always dialed; then those that the address book draws, and seeds where it has nobody (rows
T18, T19, T25, T31-T33, T37). A peer that breaks a rule is banned for a day.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .. import Unreachable
from ..places import Places
from ..strangers import Door
from . import messages
from .book import Book
from .messages import BLOCKSYNC, MEMPOOL, PEX, STATE, Block, NodeInfo
from .peer import Peer, shake_hands
from .pex import Pex
from .proto import Malformed
from .secret import Refused as Stranger
from .secret import node_id
from .table import CometTable

DIAL_S = 3.0
SEEN = 10_000  # transactions of others
GOOD = 16  # blocks of a peer that were verified: then it is a good one (row T37)
BAN_S = 86400.0
USEFUL_S = 5.0  # a connection that ends sooner is dialed again later and later
KNOWN_BAN_S = 60.0  # of a node of the configuration
NOWHERE = "0.0.0.0:0"  # an address is wanted of each node, and that of this one if it does not listen


class Switch:
    """See the module. `on_block` is called with each block that arrives; `height`: of what this node has verified."""

    def __init__(self, table: CometTable, key: Ed25519PrivateKey, log: Any, height: Callable[[], int]) -> None:
        self.id = node_id(key.public_key().public_bytes_raw()).hex()
        self.peers: Places[Peer] = Places(lambda: self.id, table.inbound, lambda peer, why: peer.close(why))
        self.counts: Counter[str] = Counter(seen=0, refused_peers=0, malformed=0, bans=0)
        self.trouble = ""  # of the last dial
        self.arrived = asyncio.Event()  # a peer is at a new height
        self.on_block: Callable[[Peer, Block], None] = lambda peer, block: None
        self.on_no_block: Callable[[Peer, int], None] = lambda peer, height: None
        self.is_asked: Callable[[Peer], bool] = lambda peer: False  # for a block
        self._table = table
        self._key = key
        self._log = log
        self._height = height
        self.book = Book(self.id, table.private, time.monotonic)
        self.pex = Pex(self.book, table.seed, self._is_trusted, time.monotonic)
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._server: asyncio.Server | None = None
        self._door = Door()

    async def start(self) -> None:
        """Listen, where the table says so. Raises OSError."""
        if self._table.listen:
            host, _, port = self._table.listen.rpartition(":")
            self._server = await asyncio.start_server(self._accept, host, int(port))

    def stop(self) -> None:
        """End all connections."""
        if self._server:
            self._server.close()
        for peer in list(self.peers.values()):
            peer.close("the gateway ends")

    def state(self) -> list[dict[str, Any]]:
        """The peers, as JSON has them."""
        return [
            {"id": peer.id, "moniker": peer.info.moniker, "outbound": peer.is_outbound, "height": peer.height}
            for peer in self.peers.values()
        ]

    def best(self) -> Peer | None:
        """The peer with the highest block, of those that sent what they were asked for last."""
        now = time.monotonic()
        return max(
            (each for each in self.peers.values() if each.paused_until <= now), key=lambda each: each.height, default=None
        )

    def send(self, channel: int, text: bytes) -> int:
        """A message to all peers; returns how many took it."""
        return sum(peer.send(channel, text) for peer in list(self.peers.values()))

    def keep(self) -> None:
        """What is due now and then: addresses of one peer, and a seed's partings."""
        self.pex.ask_one(self.peers.values())
        self.pex.cut(self.peers.values())

    def was_useful(self, peer: Peer) -> None:
        """A block of its was verified."""
        peer.useful += 1
        if peer.useful == GOOD and peer.is_outbound:
            self.book.good(peer.id)

    def ban(self, peer: Peer, why: str) -> None:
        """It broke a rule."""
        if peer.is_over:
            return
        self.counts["bans"] += 1
        self.book.ban(peer.id, KNOWN_BAN_S if self._is_trusted(peer) else BAN_S)
        self._log.warning("a node is banned", id=peer.id, why=why)
        peer.close(why)

    def discover(self) -> list[str]:
        """Addresses to dial: first those of the configuration, then some of the book; seeds where neither has any."""
        self.book.lift()
        outbound = sum(peer.is_outbound for peer in self.peers.values())
        drawn = [f"{node}@{ip}:{port}" for node, ip, port in self.book.draw(outbound) if self.pex.is_due(node)]
        for wanted in ([*self._table.peers, *drawn], self._table.seeds):
            if found := [each for each in wanted if each[:40] not in self.peers and not self.book.is_banned(each[:40])]:
                return found
        return []

    async def dial(self, address: str) -> None:
        """Serve a node, "id@host:port", until the connection ends. Raises Unreachable."""
        wanted, _, where = address.partition("@")
        host, _, port = where.rpartition(":")
        self.book.attempt(wanted)
        try:
            async with asyncio.timeout(DIAL_S):
                reader, writer = await asyncio.open_connection(host, int(port))
            peer = await shake_hands(reader, writer, self._key, self._info(), wanted, self._table.rate)
        except (TimeoutError, OSError, OverflowError, UnicodeError, Stranger) as error:
            self.trouble = f"{address}: {error or 'no answer'}"
            if isinstance(error, Stranger):
                self.counts["refused_peers"] += 1
                self.book.remove(wanted)
            else:
                self.book.failed(wanted)
            raise Unreachable(self.trouble) from None
        self.book.connected(peer.id, peer.ip, int(port))
        await self._serve(peer)
        is_short = time.monotonic() - peer.since < USEFUL_S and not self.pex.is_crawled(peer)
        if self.book.is_banned(peer.id) or (is_short and peer.id not in self.peers):
            raise Unreachable(peer.trouble)

    def _info(self) -> NodeInfo:
        return NodeInfo(self.id, self._table.chain, "picoswarm", f"tcp://{self._table.listen or NOWHERE}")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._door.let_in(writer.get_extra_info("peername", ("0.0.0.0",))[0]) as is_in:
            if not is_in or self.peers.is_full(len(self._table.peers)):
                writer.transport.abort()
                return
            try:
                peer = await shake_hands(reader, writer, self._key, self._info(), rate=self._table.rate)
            except (TimeoutError, OSError, Stranger) as error:
                self.counts["refused_peers"] += 1
                self._log.info("a node was refused", why=str(error))
                return
        if self.book.is_banned(peer.id):
            return peer.close("it is banned")
        if self.peers.is_full() and not self._is_trusted(peer):
            return peer.close("there are as many as there may be")
        await self._serve(peer)

    def _is_trusted(self, peer: Peer) -> bool:
        return any(each.startswith(peer.id) for each in self._table.peers)

    async def _serve(self, peer: Peer) -> None:
        with self.peers.held_by(peer) as is_in:
            if not is_in:
                return
            self.trouble = ""
            self._log.info("a node of the chain", id=peer.id, moniker=peer.info.moniker, outbound=peer.is_outbound)
            self._greet(peer)
            try:
                await peer.run(self._on_message)
            finally:
                self.trouble = self.trouble or peer.trouble
                self._log.info("a node of the chain went", id=peer.id, why=peer.trouble)

    def _greet(self, peer: Peer) -> None:
        peer.send(STATE, messages.new_round_step(max(1, self._height())))
        peer.send(BLOCKSYNC, messages.STATUS_REQUEST)
        self.pex.greet(peer)

    def _on_message(self, peer: Peer, channel: int, text: bytes) -> None:
        try:
            {PEX: self._on_pex, STATE: self._on_step, MEMPOOL: self._on_txs, BLOCKSYNC: self._on_block}[channel](peer, text)
        except Malformed:
            self.counts["malformed"] += 1
            self.ban(peer, "it sent what is no message")
            raise

    def _on_pex(self, peer: Peer, text: bytes) -> None:
        if why := self.pex.receive(peer, text):
            self.ban(peer, why)

    def _on_step(self, peer: Peer, text: bytes) -> None:
        height = messages.height_of_step(text)
        if height:  # it works at this one: the one before is in its store
            self._is_at(peer, height - 1)

    def _is_at(self, peer: Peer, height: int) -> None:
        if height > peer.height:
            peer.height = height
            self.arrived.set()

    def _on_txs(self, _peer: Peer, text: bytes) -> None:
        for tx in messages.transactions_in(text):
            digest = sha256(tx).digest()
            if digest not in self._seen:
                self._seen[digest] = None
                self.counts["seen"] += 1
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)

    def _on_block(self, peer: Peer, text: bytes) -> None:
        if messages.is_block(text) and not self.is_asked(peer):
            return  # late, or never asked for
        kind, told = messages.blocksync(text)
        if kind == "block":
            assert isinstance(told, Block)
            self.on_block(peer, told)
        elif kind == "no block":
            assert isinstance(told, int)
            self.on_no_block(peer, told)
        elif kind == "status":
            height, peer.base = told  # type: ignore[misc]
            self._is_at(peer, height)
        elif kind == "request":
            assert isinstance(told, int)
            peer.send(BLOCKSYNC, messages.no_block(told))
        elif kind == "ask":
            peer.send(BLOCKSYNC, messages.status(0, 0))
