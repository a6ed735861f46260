"""The family `ethereum`: a light peer of an Ethereum network (docs/ethereum.md).

verbs      tip: the head's number, hash and time; header: one as it is encoded; submit: a signed transaction; mined: where
           one is; near: nodes near a key, by discv4; subscribe: heads
follow     follower.py
discover   nodes of the configuration, and those of the table of discv4 (discovery.py)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from .. import Family, Refused, Unreachable
from ..dialing import is_kept
from ..leases import Leases
from ..nodes import KEEP_S, Nodes
from ..secrets import kept_secret
from ..strangers import Door
from . import messages, rlp
from .database import Database
from .discovery import Discovery, own_node
from .follower import Follower
from .keys import public_bytes
from .messages import (
    ANNOUNCED,
    BODIES,
    GET_BODIES,
    GET_HEADERS,
    GET_POOLED,
    GET_RECEIPTS,
    HEADERS,
    POOLED,
    RANGE,
    RECEIPTS,
    TRANSACTIONS,
    VERSIONS,
    Header,
    Hello,
)
from .peer import Peer, shake_hands
from .peer import Refused as Stranger
from .record import Node, read_enode, read_enr
from .rlp import Malformed
from .table import EthereumTable

if TYPE_CHECKING:
    from ...gateway import Gateway

DIAL_S = 15.0
TX_MAX = 1 << 17
BLOBS = b"\3"  # the kind of transactions that peers want without being sent them (EIP-4844)
OWN = 256  # transactions that peers may ask for
OWN_AT_ONCE = 32  # that a new peer is sent
SEEN = 20_000
PEER = "peer "  # before the address of one, where they are kept
SAVED = 50  # nodes of the chain that are remembered over a restart
SAVED_ASKED = 30  # of these that discv4 begins with
BAN_S = 3600.0  # for who breaks a rule
KNOWN_BAN_S = 60.0  # a node of the configuration
BANS = 1000
USEFUL_S = 5.0  # a connection that ends sooner is dialed again later and later
SILENT_S = 60.0
LEASES_S = 30.0
BOARD_MESSAGES = 8
BOARD_FILTERS = 4
PIECE_MAX = 4096
MINED_S = 5.0  # that a board waits; then it asks again
LOOK_S = 0.25
NEAR = 16


def node_of(url: str) -> Node:
    """The node of an enode:// or enr: URL. Raises Malformed."""
    return read_enode(url) if url.startswith("enode:") else read_enr(url).node


class EthereumFamily(Family):
    """See the module."""

    name = "ethereum"

    def __init__(self, table: EthereumTable) -> None:
        super().__init__()
        self._static = [node_of(url) for url in table.peers]
        self._trusted = {node_of(url).key for url in table.trusted} | {node.key for node in self._static}
        self.always = [node.enode for node in self._static]
        self.wanted = max(0, table.connections - len(self._static))
        self.verbs = {
            "tip": self._tip,
            "header": self._header,
            "submit": self.submit,
            "mined": self._mined,
            "near": self._near,
            "subscribe": self.follow,
        }
        self.counts: Counter[str] = Counter(submitted=0, seen=0, refused_peers=0, malformed=0)
        self.peers: dict[str, Peer] = {}
        self.follower = Follower(self._on_head)
        self.trouble = ""
        self._table = table
        self._genesis = bytes.fromhex(table.genesis.removeprefix("0x"))
        self._banned: dict[str, float] = {}  # until when, by a peer's id
        self._fork: tuple[bytes, int] | None = None  # of the last peer
        self._door = Door()
        self._own: OrderedDict[bytes, bytes] = OrderedDict()  # raw transactions by hash
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._server: asyncio.Server | None = None
        self._loops: list[asyncio.Task] = []
        self._moved = asyncio.Event()

    async def start(self, gateway: Gateway) -> None:
        """See Family. Raises OSError: no port, no key file."""
        self._gateway = gateway
        self._log = gateway.log.bind(family=self.name)
        self._key = PrivateKey(kept_secret(gateway.folder / "ethereum.key", lambda: PrivateKey().secret))
        host, port = self._table.host, self._table.port
        if self._table.listen:
            self._server = await asyncio.start_server(self._accept, host, port)
            port = self._server.sockets[0].getsockname()[1]
        bootnodes = [node_of(url) for url in self._table.bootnodes]
        self._nodes = Nodes(gateway.db, self.name, f"{self._table.network}-{self._genesis.hex()}")
        lines = await self._nodes.load()
        self._saved = dict.fromkeys(line.removeprefix(PEER) for line in lines if line.startswith(PEER))
        known = [node_of(each) for each in self._saved]
        database = Database()
        database.load(lines)
        own = own_node(self._key, host, port)
        self.discovery = Discovery(self._key, own, [*bootnodes, *known[:SAVED_ASKED]], database)
        await self.discovery.start()
        self.leases = Leases(gateway.node.request, BOARD_MESSAGES, BOARD_FILTERS, lambda pattern: None)
        self._loops = [
            gateway.loops.begin("ethereum: following", self._keep_following),
            gateway.loops.begin("ethereum: leases", self._keep_leases),
            gateway.loops.begin("ethereum: addresses", self._keep_nodes),
        ]
        if bootnodes or known or self._table.listen:
            self._loops.append(gateway.loops.begin("ethereum: discovery", self.discovery.keep))

    async def stop(self) -> None:
        """See Family."""
        await self._gateway.loops.end(self._loops)
        if self._server:
            self._server.close()
        for peer in list(self.peers.values()):
            peer.close("the gateway ends", 8)
        self.discovery.stop()
        await self.leases.stop()
        await self._nodes.save(self._to_save())

    def state(self) -> dict[str, Any]:
        """See Family."""
        head = self.follower.head
        is_answered = time.monotonic() - self.follower.answered < SILENT_S + self._table.poll_s
        if self.peers and head and not is_answered:
            self.trouble = "no peer answers"
        return {
            "state": "up" if self.peers and head and is_answered else "down" if self.trouble or head else "starting",
            "network": self._table.network,
            "enode": self.discovery.node.enode,
            "enr": self.discovery.record.url,
            "number": head.number if head else 0,
            "peers": [
                {"id": peer.id[:16], "client": peer.hello.client, "outbound": peer.is_outbound, "eth": peer.status.version}
                for peer in self.peers.values()
            ],
            "known": len(self.discovery.table),
            "kept": len(self.discovery.database),
            "trouble": "" if self.peers and is_answered else self.trouble,
            "boards": len(self.leases),
            **self.counts,
            **self.follower.counts,
        }

    # Peers

    def _introduction(self) -> tuple[PrivateKey, Hello, int, bytes]:
        """What this node tells of itself first."""
        port = self.discovery.node.tcp if self._table.listen else 0
        hello = Hello("picoswarm", [("eth", each) for each in VERSIONS], port, public_bytes(self._key.public_key))
        return self._key, hello, self._table.network, self._genesis

    async def discover(self) -> list[str]:
        """See Family: those of the configuration first, then some of the table."""
        told = [entry.node for entry in self.discovery.table if entry.node.tcp]
        random.shuffle(told)
        own = self.discovery.node.key
        known = {node.enode: node.key for node in [*self._static, *told] if node.key != own}
        saved = {each: each[8:136] for each in self._saved} if not told else {}
        wanted = {**{each: key.hex() for each, key in known.items()}, **saved}
        return [each for each, node in wanted.items() if node not in self.peers and not self._is_banned(node)]

    def _is_banned(self, node: str) -> bool:
        return self._banned.get(node, 0.0) > asyncio.get_running_loop().time()

    def _ban(self, peer: Peer) -> None:
        seconds = KNOWN_BAN_S if self._is_trusted(peer) else BAN_S
        self._banned[peer.id] = asyncio.get_running_loop().time() + seconds
        while len(self._banned) > BANS:
            self._banned.pop(next(iter(self._banned)))

    def _to_save(self) -> list[str]:
        """Nodes of the chain that were connected come first, then those that discv4 found good."""
        return [*(PEER + each for each in self._saved), *self.discovery.database.lines()]

    async def _keep_nodes(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            await self._nodes.save(self._to_save())

    async def dial(self, address: str) -> None:
        """See Family. `address`: an enode URL."""
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
            if not is_in or self._is_full(len(self._trusted)):
                writer.transport.abort()
                return
            try:
                peer = await shake_hands(reader, writer, *self._introduction())
            except Stranger as error:
                self.counts["refused_peers"] += 1
                self._log.info("a node was refused", why=str(error))
                return
        if self._is_full() and not self._is_trusted(peer):
            return peer.close("there are as many as there may be", 4)
        await self._serve(peer)

    def _is_full(self, kept: int = 0) -> bool:
        """Of inbound peers, with places that are `kept` for those of the configuration."""
        return sum(not peer.is_outbound for peer in self.peers.values()) >= self._table.inbound + kept

    def _is_trusted(self, peer: Peer) -> bool:
        return peer.key in self._trusted

    async def _serve(self, peer: Peer) -> None:
        if self._is_banned(peer.id):
            return peer.close("it is banned", 4)
        if known := self.peers.get(peer.id):
            if not is_kept(self.discovery.node.key.hex(), peer.id, peer.is_outbound, known.is_outbound):
                return peer.close("there is a connection to it already", 5)
            known.close("another connection to it stays", 5)
        self.trouble = ""
        self.peers[peer.id] = peer
        self._fork = peer.status.fork
        self._log.info("a node of the network", client=peer.hello.client, outbound=peer.is_outbound)
        self._moved.set()
        waiting = [raw for digest, raw in self._own.items() if not self.follower.watched.get(digest)]
        for raw in waiting[-OWN_AT_ONCE:]:
            peer.send(TRANSACTIONS, rlp.encode([messages.transaction_item(raw)]))
        try:
            await peer.run(self._on_message)
        finally:
            if self.peers.get(peer.id) is peer:
                del self.peers[peer.id]
            self.trouble = self.trouble or peer.trouble
            if peer.is_at_fault:
                self._ban(peer)
            self._log.info("a node of the network went", client=peer.hello.client, why=peer.trouble)

    def _on_message(self, peer: Peer, kind: int, body: bytes) -> None:
        """What peers tell, and what they may ask of a light peer: it answers each question, mostly with nothing."""
        try:
            if kind == TRANSACTIONS:
                self._note(messages.transaction_hash(item) for item in rlp.listed(rlp.decode(body)))
            elif kind == ANNOUNCED:
                self._note(rlp.sized(each, 32) for each in rlp.listed(rlp.listed(rlp.decode(body), 3)[2]))
            elif kind == RANGE:
                items = rlp.listed(rlp.decode(body), 3)
                peer.number = max(peer.number, rlp.integer(items[1]))
                self._moved.set()
            elif kind in (GET_HEADERS, GET_BODIES, GET_POOLED, GET_RECEIPTS):
                number, what = messages.answer(body)
                told: list[Any] = []
                if kind == GET_HEADERS:
                    told = self.follower.serve(what)
                elif kind == GET_POOLED:
                    known = (self._own.get(each) for each in what if isinstance(each, bytes))
                    told = [messages.transaction_item(raw) for raw in known if raw]
                answer = {GET_HEADERS: HEADERS, GET_BODIES: BODIES, GET_POOLED: POOLED, GET_RECEIPTS: RECEIPTS}[kind]
                peer.send(answer, messages.request(number, told))
        except Malformed:
            self.counts["malformed"] += 1
            raise

    def _note(self, hashes: Any) -> None:
        for digest in hashes:
            if digest not in self._seen:
                self._seen[digest] = None
                self.counts["seen"] += 1
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)

    # Following

    async def _keep_following(self) -> None:
        while True:
            self._moved.clear()
            for peer in sorted(self.peers.values(), key=lambda each: -each.number)[:3]:
                try:
                    while await self.follower.ask(peer):
                        pass
                    break
                except TimeoutError:
                    continue  # the next one may answer
                except Malformed as error:
                    self.counts["malformed"] += 1
                    peer.close(str(error), 2)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), self._table.poll_s)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(LEASES_S)
            self.leases.expire()

    def _on_head(self, header: Header, _since: int) -> None:
        payload = header.number.to_bytes(8, "big") + header.hash + header.time.to_bytes(8, "big")
        self.leases.spread(lambda pattern: pattern == "heads", "heads", payload, False)

    # What boards ask for

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """`number 1 | "heads"`: number 8, hash 32, time 8 of each new head; without a name: no more."""
        if not what:
            raise Refused("number and name are wanted")
        if what[1:] == b"heads":
            if self.leases.take(board, what[0], "heads") is None:
                raise Refused("too many subscriptions")
        elif what[1:]:
            raise Refused("there is `heads` to hear")
        else:
            self.leases.end(board, what[0])
        return b""

    async def _tip(self, _board: bytes, _what: bytes) -> bytes:
        """-> `number 8 | hash 32 | time 8 | base fee 16`."""
        head = self.follower.head
        if head is None:
            raise Refused("no header is here yet")
        fee = min(head.base_fee, (1 << 128) - 1)
        return head.number.to_bytes(8, "big") + head.hash + head.time.to_bytes(8, "big") + fee.to_bytes(16, "big")

    async def _header(self, _board: bytes, what: bytes) -> bytes:
        """`number 8 | offset 2 | most 2` -> `size 2 | bytes` of its encoding, whose Keccak-256 is its hash."""
        if len(what) != 12:
            raise Refused("number, offset and most are wanted")
        header = self.follower.headers.get(int.from_bytes(what[:8], "big"))
        if header is None:
            raise Refused("it is not here")
        start, most = int.from_bytes(what[8:10], "big"), min(PIECE_MAX, int.from_bytes(what[10:], "big"))
        return len(header.raw).to_bytes(2, "big") + header.raw[start : start + max(0, most - 2)]

    async def submit(self, _board: bytes, what: bytes) -> bytes:
        """A signed transaction, raw -> its hash, 32 bytes, once a peer has it."""
        if len(what) > TX_MAX:
            raise Refused(f"a transaction has at most {TX_MAX} bytes")
        if what[:1] == BLOBS:
            raise Refused("transactions with blobs are not taken")
        try:
            item = messages.transaction_item(what)
        except Malformed as error:
            raise Refused(str(error)) from None
        if not self.peers:
            raise Refused("no node of the network is connected")
        digest = messages.transaction_hash(item)
        self._own[digest] = what
        while len(self._own) > OWN:
            self._own.popitem(last=False)
        self.follower.watch(digest)
        self.counts["submitted"] += 1
        for peer in self.peers.values():
            peer.send(TRANSACTIONS, rlp.encode([item]))
        return digest

    async def _mined(self, _board: bytes, what: bytes) -> bytes:
        """A hash that was submitted -> `number 8 | index 4` of its block. Refused("not yet mined") after 5 s."""
        if len(what) != 32:
            raise Refused("a hash of 32 bytes is wanted")
        end = asyncio.get_running_loop().time() + MINED_S
        while asyncio.get_running_loop().time() < end:
            if mined := self.follower.watched.get(what):
                return mined.number.to_bytes(8, "big") + mined.index.to_bytes(4, "big")
            if what not in self.follower.watched:
                raise Refused("it was not submitted here")
            await asyncio.sleep(LOOK_S)
        raise Refused("not yet mined")

    async def _near(self, _board: bytes, what: bytes) -> bytes:
        """`count 1 | public key 64` -> for each node that is near: address 4, UDP port 2, TCP port 2, public key 64
        (IPv4)."""
        if len(what) != 65:
            raise Refused("a count and a public key of 64 bytes are wanted")
        found = await self.discovery.lookup(what[1:])
        told = [node for node in found if ":" not in node.ip][: min(what[0], NEAR)]
        return b"".join(
            bytes(map(int, node.ip.split("."))) + node.udp.to_bytes(2, "big") + node.tcp.to_bytes(2, "big") + node.key
            for node in told
        )
