"""The nodes of one Ethereum network that the gateway is connected with: dialed, accepted, trusted, banned (rows E1-E9).

Nodes of the configuration are always dialed; then those of discv4's table; those that were peers before where it has none.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from coincurve import PrivateKey

from .. import Unreachable
from ..places import Places
from ..strangers import Door
from .discovery import Discovery
from .keys import public_bytes
from .messages import VERSIONS, Hello
from .peer import OnMessage, Peer, shake_hands
from .peer import Refused as Stranger
from .record import Node, read_enode, read_enr
from .table import EthereumTable

DIAL_S = 15.0
PEER = "peer "  # before the address of one, where they are kept
SAVED = 50  # nodes of the chain that are remembered over a restart
BAN_S = 3600.0  # for who breaks a rule
KNOWN_BAN_S = 60.0  # a node of the configuration
BANS = 1000
USEFUL_S = 5.0  # a connection that ends sooner is dialed again later and later


def node_of(url: str) -> Node:
    """The node of an enode:// or enr: URL. Raises Malformed."""
    return read_enode(url) if url.startswith("enode:") else read_enr(url).node


class Switch:
    """See the module. `on_peer` is called with each peer that can be spoken with, `on_message` with what it says."""

    def __init__(
        self, table: EthereumTable, key: PrivateKey, log: Any, on_peer: Callable[[Peer], None], on_message: OnMessage
    ) -> None:
        self.static = [node_of(url) for url in table.peers]
        self.peers: Places[Peer] = Places(
            lambda: self.discovery.node.key.hex(), table.inbound, lambda peer, why: peer.close(why, 5)
        )
        self.counts: Counter[str] = Counter(refused_peers=0)
        self.trouble = ""
        self._trusted = {node_of(url).key for url in table.trusted} | {node.key for node in self.static}
        self._table = table
        self._genesis = bytes.fromhex(table.genesis.removeprefix("0x"))
        self._key = key
        self._log = log
        self._on_peer = on_peer
        self._on_message = on_message
        self._banned: dict[str, float] = {}  # until when, by a peer's id
        self._fork: tuple[bytes, int] | None = None  # of the last peer
        self._saved: dict[str, None] = {}  # who was a peer, the last one first
        self._door = Door()
        self._server: asyncio.Server | None = None

    async def bind(self) -> int:
        """Take the port, where nodes may connect; returns it. Raises OSError."""
        if not self._table.listen:
            return self._table.port
        server = await asyncio.start_server(self._accept, self._table.host, self._table.port, start_serving=False)
        self._server = server
        return server.sockets[0].getsockname()[1]

    async def start(self, discovery: Discovery) -> None:
        """Let nodes connect, and know whom to dial."""
        self.discovery = discovery
        if self._server:
            await self._server.start_serving()

    def stop(self) -> None:
        """End all connections."""
        if self._server:
            self._server.close()
        for peer in list(self.peers.values()):
            peer.close("the gateway ends", 8)

    def load(self, lines: Iterable[str]) -> list[Node]:
        """Take what `saved` gave; returns the nodes."""
        self._saved = dict.fromkeys(line.removeprefix(PEER) for line in lines if line.startswith(PEER))
        return [node_of(each) for each in self._saved]

    def saved(self) -> list[str]:
        """Addresses of nodes of the chain that were connected, as lines to be kept."""
        return [PEER + each for each in self._saved]

    def discover(self) -> list[str]:
        """Addresses to dial: those of the configuration first, then some of the table of discv4."""
        told = [entry.node for entry in self.discovery.table if entry.node.tcp]
        random.shuffle(told)
        own = self.discovery.node.key
        known = {node.enode: node.key for node in [*self.static, *told] if node.key != own}
        saved = {each: each[8:136] for each in self._saved} if not told else {}
        wanted = {**{each: key.hex() for each, key in known.items()}, **saved}
        return [each for each, node in wanted.items() if node not in self.peers and not self._is_banned(node)]

    async def dial(self, address: str) -> None:
        """Serve a node, an enode URL, until the connection ends. Raises Unreachable."""
        node = node_of(address)
        try:
            async with asyncio.timeout(DIAL_S):
                reader, writer = await asyncio.open_connection(node.ip, node.tcp)
            peer = await shake_hands(reader, writer, *self._introduction(), node.key, self._fork)
        except (TimeoutError, OSError, Stranger) as error:
            self.trouble = f"{node.ip}:{node.tcp}: {error or 'no answer'}"
            self.counts["refused_peers"] += isinstance(error, Stranger)
            raise Unreachable(self.trouble) from None
        self._saved = dict.fromkeys([node.enode, *list(self._saved)[:SAVED]])
        began = time.monotonic()
        await self._serve(peer)
        if time.monotonic() - began < USEFUL_S and peer.id not in self.peers:
            raise Unreachable(peer.trouble)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._door.let_in(writer.get_extra_info("peername", ("0.0.0.0",))[0]) as is_in:
            if not is_in or self.peers.is_full(len(self._trusted)):
                writer.transport.abort()
                return
            try:
                peer = await shake_hands(reader, writer, *self._introduction())
            except Stranger as error:
                self.counts["refused_peers"] += 1
                self._log.info("a node was refused", why=str(error))
                return
        if self.peers.is_full() and not self._is_trusted(peer):
            return peer.close("there are as many as there may be", 4)
        await self._serve(peer)

    def _is_trusted(self, peer: Peer) -> bool:
        return peer.key in self._trusted

    async def _serve(self, peer: Peer) -> None:
        if self._is_banned(peer.id):
            return peer.close("it is banned", 4)
        with self.peers.held_by(peer) as is_in:
            if not is_in:
                return
            self.trouble = ""
            self._fork = peer.status.fork
            self._log.info("a node of the network", client=peer.hello.client, outbound=peer.is_outbound)
            self._on_peer(peer)
            try:
                await peer.run(self._on_message)
            finally:
                self.trouble = self.trouble or peer.trouble
                if peer.is_at_fault:
                    self._ban(peer)
                self._log.info("a node of the network went", client=peer.hello.client, why=peer.trouble)

    def _is_banned(self, node: str) -> bool:
        return self._banned.get(node, 0.0) > asyncio.get_running_loop().time()

    def _ban(self, peer: Peer) -> None:
        seconds = KNOWN_BAN_S if self._is_trusted(peer) else BAN_S
        self._banned[peer.id] = asyncio.get_running_loop().time() + seconds
        while len(self._banned) > BANS:
            self._banned.pop(next(iter(self._banned)))

    def _introduction(self) -> tuple[PrivateKey, Hello, int, bytes]:
        """What this node tells of itself first."""
        port = self.discovery.node.tcp if self._table.listen else 0
        hello = Hello("picoswarm", [("eth", each) for each in VERSIONS], port, public_bytes(self._key.public_key))
        return self._key, hello, self._table.network, self._genesis
