"""The family `bitcoin`: a light peer of the network, and what boards ask of it (docs/bitcoin.md, docs/protocol.md 7.14).

    headers      what follows a block that the board has
    submit       a transaction, in parts
    status       what became of it
    proof, tx    the Merkle branch of a transaction, and its bytes, in parts
    subscribe    hear of the tip, of a transaction, of payments to a script

A board believes none of it: it checks proof of work, difficulty and branches itself (lib/picoswarm/headers.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from .. import Family, Refused
from ..leases import Leases
from . import book, chainstore, sends
from .blocks import Transaction
from .chain import Block, Change
from .chainstore import ChainStore
from .follower import Follower
from .networks import Network
from .payments import Payments
from .peers import Peer, Peers
from .sends import Sends, Sent
from .session import Own
from .table import BitcoinTable
from .wire import MOST_TX, Malformed

if TYPE_CHECKING:
    from ...gateway import Gateway

HASH = 32
MANY = 8  # headers of an answer
SHORT = 48  # bytes of one: without the hash of the one before, which the board has
POINT = 12  # of a board's locator: height 4 | first bytes of the hash 8
LEVELS = 11  # hashes of a branch in an answer
PART = 380  # bytes of a transaction in an answer
SUBMITTING = 1000  # boards at a time
BOARD_MESSAGES, BOARD_FILTERS = 16, 16
TIP, TX, PAY = "tip", "tx/", "pay/"
SAVE_S = 600.0


class BitcoinFamily(Family):
    """See the module."""

    name = "bitcoin"

    def __init__(self, table: BitcoinTable, network: Network | None = None) -> None:
        """`network`: another one than those that the table knows, for tests."""
        super().__init__()
        self.verbs = {
            "headers": self._headers,
            "submit": self.submit,
            "status": self._status,
            "proof": self._proof,
            "tx": self._tx,
            "subscribe": self.follow,
        }
        self.counts: Counter[str] = Counter(asked=0, submitted=0, refused=0, payments=0)
        self.network = network or table.chosen
        self._table = table
        self._parts: OrderedDict[bytes, tuple[bytes, bytearray]] = OrderedDict()  # by board: digest, what came of it
        self._scripts: dict[str, bytes] = {}
        self._loops: list[asyncio.Task] = []
        self.payments = Payments()

    async def start(self, gateway: Gateway) -> None:
        """See Family."""
        self._gateway = gateway
        await gateway.db.adopt("bitcoin", [*chainstore.SCHEMA, *book.SCHEMA, *sends.SCHEMA])
        store = ChainStore(gateway.db, self.network)
        chain = await store.load()
        own = Own(lambda: self.chain.tip.height, time.time)
        self.peers = Peers(self._table, self.network, own, self._on_peer, gateway.log.bind(family=self.name))
        await self.peers.book.load(gateway.db)
        self.follower = Follower(chain, store, self.peers)
        self.follower.on_change, self.follower.fetching.on_block = self._on_change, self._on_block
        self.follower.fetching.scripts = lambda: None if self.sends.pending() else set(self._scripts.values())
        self.chain = chain
        self._store = store
        self.sends = Sends(self.peers, self._on_sent)
        await self.sends.load(gateway.db, self.network.name)
        self.leases = Leases(gateway.node.request, BOARD_MESSAGES, BOARD_FILTERS, self._on_unused)
        for sent in self.sends.all.values():
            self._want_from(sent.height)
        await self.peers.listen()
        runs = {"peers": self.peers.run, "chain": self.follower.run, "time": self._keep_time, "saving": self._save}
        self._loops = [gateway.loops.begin(f"bitcoin: {name}", run) for name, run in runs.items()]

    async def stop(self) -> None:
        """See Family."""
        await self._gateway.loops.end(self._loops)
        await self.peers.close()
        await self.leases.stop()
        await self.peers.book.save(self._gateway.db)

    def state(self) -> dict[str, Any]:
        """See Family."""
        tip, up = self.chain.tip, self.peers.up()
        return {
            "state": "up" if self.follower.is_synced else "starting" if up or not tip.height else "down",
            "network": self.network.name,
            "height": tip.height,
            "tip": tip.hash[::-1].hex(),
            "peers": [
                {
                    "address": peer.name,
                    "agent": peer.session.version.agent if peer.session.version else "",
                    "height": peer.height,
                    "is_outbound": peer.session.is_outbound,
                    "is_encrypted": peer.transport.is_encrypted,
                    "rtt_ms": round(peer.session.rtt_s * 1000, 1) if peer.session.rtt_s else None,
                    "least_fee": peer.session.fee,
                    "score": round(peer.session.score),
                }
                for peer in up
            ],
            "addresses": len(self.peers.book),
            "clock_offset_s": round(self.peers.offset_s, 1),
            "reorganisations": self.follower.reorganisations,
            "weighed": self.follower.weighed,
            "blocks": self.follower.fetching.count,
            "blocks_spared": self.follower.fetching.spared,
            "blocks_given_up": self.follower.fetching.given_up,
            "transactions": len(self.sends.all),
            "leases": len(self.leases),
            "counts": {**self.counts, **self.peers.counts, **self.leases.counts},
        }

    async def discover(self) -> list[str]:
        """See Family."""
        return [peer.name for peer in self.peers.up()]

    # What peers tell

    def _on_peer(self, peer: Peer, kind: str, value: Any) -> None:
        self.follower.on_peer(peer, kind, value)
        self.sends.on_peer(peer, kind, value)

    def _on_change(self, change: Change) -> None:
        """The best chain is another, and saved."""
        task = asyncio.create_task(self.sends.on_change(change, self.chain.tip.height))
        task.add_done_callback(partial(self._note, "bitcoin: transactions"))
        tip = self.chain.tip
        if self.sends.pending() or self._scripts:
            for block in change.connected:
                self.follower.fetching.want(block.hash)
        self._spread(TIP, tip.height.to_bytes(4, "big") + tip.hash)

    def _note(self, name: str, task: asyncio.Task) -> None:
        if not task.cancelled() and task.exception():
            self._gateway.loops.note(name, task.exception())  # type: ignore[arg-type]

    def _on_block(self, block: Block, transactions: list[Transaction]) -> None:
        if not self.chain.is_best(block.hash):
            return
        self.sends.on_block(block, transactions)
        for script, txid in self.payments.look(set(self._scripts.values()), block, transactions):
            self.counts["payments"] += 1
            self._spread(PAY + script.hex(), txid + block.height.to_bytes(4, "big"))

    def _on_sent(self, sent: Sent) -> None:
        self._spread(TX + sent.transaction.txid.hex(), sent.encode())

    def _spread(self, topic: str, payload: bytes) -> None:
        self.leases.spread(lambda pattern: pattern == topic, topic, payload, False)

    def _on_unused(self, pattern: str) -> None:
        self._scripts.pop(pattern, None)

    def _want_from(self, height: int) -> None:
        """Blocks that were missed, from a height on."""
        for at in range(height, self.chain.tip.height + 1):
            block = self.chain.at(at)
            if block:
                self.follower.fetching.want(block.hash)

    # Time

    async def _keep_time(self) -> None:
        while True:
            self.follower.tick()
            self.sends.tick()
            self.leases.expire()
            await asyncio.sleep(1)

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            await self.peers.book.save(self._gateway.db)

    # Verbs

    async def _headers(self, _board: bytes, what: bytes) -> bytes:
        """`headers`: points of the board's chain, newest first, each height 4 | first 8 bytes of the hash. Answer: height of
        the first of them that is in the best chain 4 | height of the tip 4 | up to 8 headers that follow, of 48 bytes."""
        self.counts["asked"] += 1
        if not what or len(what) % POINT:
            raise Refused("malformed")
        tip = self.chain.tip.height
        for at in range(0, len(what), POINT):
            height = int.from_bytes(what[at : at + 4], "big")
            if height <= tip and await self._starts(height, what[at + 4 : at + POINT]):
                break
        else:
            raise Refused("no common block")
        headers = await self._from(height + 1, MANY)
        short = b"".join(header[:4] + header[36:] for header in headers)
        return height.to_bytes(4, "big") + tip.to_bytes(4, "big") + short

    async def _from(self, height: int, count: int) -> list[bytes]:
        """Headers of the best chain."""
        if self.chain.at(height) is None and height <= self.chain.tip.height:
            return await self._store.headers(height, count)
        blocks = [self.chain.at(at) for at in range(height, height + count)]
        return [block.header for block in blocks if block]

    async def _starts(self, height: int, begin: bytes) -> bool:
        """Whether the block of this height has a hash that begins so."""
        block = self.chain.at(height)
        if block:
            return block.hash.startswith(begin)
        if height == 0:
            return self.network.genesis_hash.startswith(begin)
        after = await self._store.headers(height + 1, 1)
        return bool(after) and after[0][4:].startswith(begin)

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """`submit`: first 8 bytes of the SHA-256 of the transaction | its size 3 | where this part begins 3 | part. Answer:
        how much of it is here 3, and behind that, once it is whole, its txid 32."""
        digest, total, start = what[:8], int.from_bytes(what[8:11], "big"), int.from_bytes(what[11:14], "big")
        part = what[14:]
        if len(what) < 14 or not 0 < total <= MOST_TX or start + len(part) > total:
            raise Refused("malformed")
        known, data = self._parts.pop(board, (b"", bytearray()))
        if known != digest:
            data = bytearray()
        if start == len(data):
            data += part
        if len(data) < total:
            self._parts[board] = digest, data
            if len(self._parts) > SUBMITTING:
                self._parts.popitem(last=False)
            return len(data).to_bytes(3, "big")
        if sha256(data).digest()[:8] != digest:
            raise Refused("not what its digest says")
        try:
            sent = await self.sends.add(bytes(data), self.chain.tip.height)
        except Malformed as wrong:
            self.counts["refused"] += 1
            raise Refused(str(wrong)) from None
        self.counts["submitted"] += 1
        return total.to_bytes(3, "big") + sent.transaction.txid

    async def _status(self, _board: bytes, what: bytes) -> bytes:
        """`status`: txid 32. Answer: state 1 | peers that have it 1 | height of its block 4 (sends.py)."""
        sent = self.sends.all.get(what)
        return sent.encode() if sent else bytes(6)

    def _find(self, txid: bytes) -> tuple[Transaction, tuple[Block, int, list[bytes]] | None]:
        sent = self.sends.all.get(txid)
        payment = self.payments.found.get(txid)
        if payment and self.chain.is_best(payment.proof[0].hash):
            return payment.transaction, payment.proof
        if sent is None:
            raise Refused("no such transaction here")
        return sent.transaction, sent.proof

    async def _proof(self, _board: bytes, what: bytes) -> bytes:
        """`proof`: txid 32 | first level 1. Answer: height 4 | place in the block 4 | levels 1 | hashes from there on."""
        if len(what) != HASH + 1:
            raise Refused("malformed")
        _, proof = self._find(what[:HASH])
        if proof is None:
            raise Refused("it is in no block")
        block, index, hashes = proof
        head = block.height.to_bytes(4, "big") + index.to_bytes(4, "big") + bytes((len(hashes),))
        return head + b"".join(hashes[what[HASH] : what[HASH] + LEVELS])

    async def _tx(self, _board: bytes, what: bytes) -> bytes:
        """`tx`: txid 32 | where to begin 3. Answer: size 3 | bytes from there on."""
        if len(what) != HASH + 3:
            raise Refused("malformed")
        found, _ = self._find(what[:HASH])
        start = int.from_bytes(what[HASH:], "big")
        return len(found.raw).to_bytes(3, "big") + found.raw[start : start + PART]

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """`subscribe`: number 1 | `tip`, `tx/TXID` or `pay/SCRIPT`, in hex; nothing ends it (docs/protocol.md 7.8)."""
        number, topic = what[:1], what[1:].decode("ascii", "replace")
        if not number:
            raise Refused("malformed")
        if not topic:
            self.leases.end(board, number[0])
            return b""
        kind, _, rest = topic.partition("/")
        try:
            script = bytes.fromhex(rest)
        except ValueError:
            raise Refused("no hexadecimal digits") from None
        if topic != TIP and not (kind in ("tx", "pay") and script):
            raise Refused("tip, tx/TXID or pay/SCRIPT")
        if self.leases.take(board, number[0], topic) is None:
            raise Refused("too many subscriptions")
        if kind == "pay":
            self._scripts[topic] = script
        return b""
