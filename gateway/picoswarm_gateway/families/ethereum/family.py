"""The family `ethereum`: a light peer of an Ethereum network (docs/ethereum.md).

verbs      tip: the head's number, hash and time; header: one as it is encoded; submit: a signed transaction; mined: where
           one is; near: nodes near a key, by discv4; subscribe: heads
follow     follower.py
discover   switch.py: nodes of the configuration, and those of the table of discv4 (discovery.py)
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from .. import Family, Refused
from ..leases import Leases
from ..nodes import KEEP_S, Nodes
from ..secrets import kept_secret
from . import messages, rlp
from .database import Database
from .discovery import Discovery, own_node
from .follower import Follower
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
    Header,
)
from .peer import Peer
from .rlp import Malformed
from .switch import Switch, node_of
from .table import EthereumTable

if TYPE_CHECKING:
    from ...gateway import Gateway

TX_MAX = 1 << 17
BLOBS = b"\3"  # the kind of transactions that peers want without being sent them (EIP-4844)
OWN = 256  # transactions that peers may ask for
OWN_AT_ONCE = 32  # that a new peer is sent
SEEN = 20_000
SAVED_ASKED = 30  # nodes that were peers before, that discv4 begins with
SILENT_S = 60.0
LEASES_S = 30.0
BOARD_MESSAGES = 8
BOARD_FILTERS = 4
PIECE_MAX = 4096
MINED_S = 5.0  # that a board waits; then it asks again
LOOK_S = 0.25
NEAR = 16


class EthereumFamily(Family):
    """See the module."""

    name = "ethereum"

    def __init__(self, table: EthereumTable) -> None:
        super().__init__()
        self.always = [node_of(url).enode for url in table.peers]
        self.wanted = max(0, table.connections - len(table.peers))
        self.verbs = {
            "tip": self._tip,
            "header": self._header,
            "submit": self.submit,
            "mined": self._mined,
            "near": self._near,
            "subscribe": self.follow,
        }
        self.counts: Counter[str] = Counter(submitted=0, seen=0, malformed=0)
        self.follower = Follower(self._on_head)
        self._table = table
        self._own: OrderedDict[bytes, bytes] = OrderedDict()  # raw transactions by hash
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._loops: list[asyncio.Task] = []
        self._moved = asyncio.Event()

    async def start(self, gateway: Gateway) -> None:
        """See Family. Raises OSError: no port, no key file."""
        self._gateway = gateway
        log = gateway.log.bind(family=self.name)
        key = PrivateKey(kept_secret(gateway.folder / "ethereum.key", lambda: PrivateKey().secret))
        self._switch = Switch(self._table, key, log, self._greet, self._on_message)
        port = await self._switch.bind()
        bootnodes = [node_of(url) for url in self._table.bootnodes]
        self._nodes = Nodes(gateway.db, self.name, f"{self._table.network}-{self._table.genesis.removeprefix('0x').lower()}")
        lines = await self._nodes.load()
        known = self._switch.load(lines)
        database = Database()
        database.load(lines)
        own = own_node(key, self._table.host, port)
        self.discovery = Discovery(key, own, [*bootnodes, *known[:SAVED_ASKED]], database)
        await self.discovery.start()
        await self._switch.start(self.discovery)
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
        self._switch.stop()
        self.discovery.stop()
        await self.leases.stop()
        await self._nodes.save(self._to_save())

    @property
    def peers(self) -> dict[str, Peer]:
        """The nodes that it is connected with, by id."""
        return self._switch.peers

    def state(self) -> dict[str, Any]:
        """See Family."""
        head = self.follower.head
        is_answered = time.monotonic() - self.follower.answered < SILENT_S + self._table.poll_s
        if self.peers and head and not is_answered:
            self._switch.trouble = "no peer answers"
        trouble = self._switch.trouble
        return {
            "state": "up" if self.peers and head and is_answered else "down" if trouble or head else "starting",
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
            "trouble": "" if self.peers and is_answered else trouble,
            "boards": len(self.leases),
            **self.counts,
            **self._switch.counts,
            **self.follower.counts,
        }

    # Peers

    async def discover(self) -> list[str]:
        """See Family."""
        return self._switch.discover()

    async def dial(self, address: str) -> None:
        """See Family. `address`: an enode URL."""
        await self._switch.dial(address)

    def _to_save(self) -> list[str]:
        """Nodes of the chain that were connected come first, then those that discv4 found good."""
        return [*self._switch.saved(), *self.discovery.database.lines()]

    def _greet(self, peer: Peer) -> None:
        """It may be ahead, and gets the own transactions that are in no block yet."""
        self._moved.set()
        waiting = [raw for digest, raw in self._own.items() if not self.follower.watched.get(digest)]
        for raw in waiting[-OWN_AT_ONCE:]:
            peer.send(TRANSACTIONS, rlp.encode([messages.transaction_item(raw)]))

    async def _keep_nodes(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            await self._nodes.save(self._to_save())

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
