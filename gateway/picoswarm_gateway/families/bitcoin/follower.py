"""Following the chain: headers from all peers, blocks from one that has them, each in its turn."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from .blocks import Transaction, block_transactions
from .chain import Block, Chain, Change, Unconnected
from .chainstore import ChainStore
from .filters import may_have
from .messages import BLOCK, FILTERS, WITNESS, WITNESS_FLAG, encode_headers
from .networks import double_sha256
from .peers import Peer, Peers
from .wire import MOST_HEADERS, Malformed

POLL_S = 60.0  # so often one of the peers is asked for headers, whatever was announced
UNDER_WAY = 4  # blocks that are asked for at a time
TRIES = 20
WAITING = 4096  # blocks that wait to be asked for

OnBlock = Callable[[Block, list[Transaction]], None]


class Follower:
    """The chain, kept up with the peers. `on_change(change)`: the best chain is another, and on the disk; `on_block(block,
    transactions)`: a block that `want` had asked for. `scripts()`: all that blocks are looked at for; None: whole blocks are
    wanted. `spared`: blocks that a filter spared us."""

    def __init__(self, chain: Chain, store: ChainStore, peers: Peers) -> None:
        self.chain = chain
        self.on_change: Callable[[Change], None] = lambda change: None
        self.on_block: OnBlock = lambda block, transactions: None
        self.scripts: Callable[[], set[bytes] | None] = lambda: None
        self.reorganisations = self.blocks = self.spared = 0
        self._store = store
        self._peers = peers
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._wanted: dict[bytes, int] = {}  # tries, by block
        self._asked: dict[bytes, Peer] = {}
        self._polled = time.monotonic()

    @property
    def is_synced(self) -> bool:
        """Whether no peer that is there says that it has more."""
        up = self._peers.up()
        return bool(up) and self.chain.tip.height >= max(peer.height for peer in up)

    def on_peer(self, peer: Peer, kind: str, value: Any) -> None:
        """What a session tells; see session.py."""
        if kind == "up":
            peer.session.ask_headers(self.chain.locator(), time.monotonic())
        elif kind == "headers":
            self._on_headers(peer, *value)
        elif kind == "inventory":
            if any(what == BLOCK and hash32 not in self.chain for what, hash32 in value):
                peer.session.ask_headers(self.chain.locator(), time.monotonic())
        elif kind == "getheaders":
            hashes, stop = value
            peer.session.send("headers", encode_headers(self.chain.after(hashes, stop, MOST_HEADERS)))
        elif kind == "block":
            self._on_block(peer, value)
        elif kind == "filter":
            self._on_filter(*value)
        elif kind in ("missing", "down"):
            self._give_back(peer, None if kind == "down" else {hash32 for _, hash32 in value})

    def tick(self) -> None:
        """Once a second."""
        now = time.monotonic()
        up = self._peers.up()
        if now - self._polled > POLL_S and up:
            self._polled = now
            peer = random.choice(up)
            self._peers.guarded(peer, lambda: peer.session.ask_headers(self.chain.locator(), now))
        self._ask_blocks(now)

    async def run(self) -> None:
        """Save changes, in their order, and then tell of them."""
        while True:
            change = await self._changes.get()
            await self._store.save(change)
            self.on_change(change)

    # Headers

    def _on_headers(self, peer: Peer, headers: list[bytes], was_asked: bool) -> None:
        session = peer.session
        now = time.monotonic()
        if not headers:
            return
        try:
            change = self.chain.add(headers, int(time.time() + self._peers.offset_s))
        except Unconnected:
            if was_asked:
                session.blame(20, "headers that hang in the air", now)
            elif session.waits_for("headers"):
                session.blame(5, "headers that hang in the air", now)
            session.ask_headers(self.chain.locator(), now)
            return
        if change.connected:
            self.reorganisations += bool(change.lost)
            self._changes.put_nowait(change)
        if change.trouble:
            raise change.trouble
        last = self.chain.find(double_sha256(headers[-1]))
        if last is not None:
            peer.best, peer.height = last.hash, max(peer.height, last.height)
            if len(headers) == MOST_HEADERS:
                session.ask_headers([last.hash, *self.chain.locator()], now)

    # Blocks

    def want(self, hash32: bytes) -> None:
        """A block is to be fetched, and `on_block` told of it."""
        if len(self._wanted) < WAITING:
            self._wanted.setdefault(hash32, 0)

    def _ask_blocks(self, now: float) -> None:
        for hash32 in list(self._wanted):
            if len(self._asked) >= UNDER_WAY:
                break
            block = self.chain.find(hash32)
            if hash32 in self._asked:
                continue
            if block is None or not self.chain.is_best(hash32) or self._wanted[hash32] > TRIES:
                del self._wanted[hash32]
                continue
            able = [peer for peer in self._peers.up() if peer.height >= block.height and self._serves_blocks(peer)]
            able = [peer for peer in able if hash32 not in peer.kept.setdefault("lacks", {})] or able
            if not able:
                continue
            filtering = [peer for peer in able if peer.is_permanent and serves_filters(peer)]
            if filtering and self.scripts() and not self._wanted[hash32]:
                peer = random.choice(filtering)
                self._asked[hash32] = peer
                self._wanted[hash32] += 1
                self._peers.guarded(peer, lambda peer=peer, b=block: peer.session.ask_filter(b.height, b.hash, now))
                continue
            peer = random.choice(able)
            self._asked[hash32] = peer
            self._wanted[hash32] += 1
            self._peers.guarded(peer, lambda peer=peer, h=hash32: peer.session.ask([(BLOCK | WITNESS_FLAG, h)], now))

    @staticmethod
    def _serves_blocks(peer: Peer) -> bool:
        return bool(peer.session.version and peer.session.version.services & WITNESS)

    def _on_block(self, peer: Peer, raw: bytes) -> None:
        hash32 = double_sha256(raw[:80])
        if not peer.session.answered(hash32.hex()):
            raise Malformed("a block that nobody asked for", 20)
        self._asked.pop(hash32, None)
        block = self.chain.find(hash32)
        if block is None:
            return
        transactions = block_transactions(raw)
        self._wanted.pop(hash32, None)
        self.blocks += 1
        self.on_block(block, transactions)

    def _on_filter(self, hash32: bytes, data: bytes) -> None:
        """The filter of a block, of a peer that the user named: others could hide payments by it."""
        if self._asked.pop(hash32, None) is None:
            return
        scripts = self.scripts()
        if scripts is not None and not may_have(hash32, data, scripts):
            self.spared += 1
            self._wanted.pop(hash32, None)

    def _give_back(self, peer: Peer, hashes: set[bytes] | None) -> None:
        """A peer has some blocks not, or is gone: others are asked."""
        for hash32, asked in list(self._asked.items()):
            if asked is peer and (hashes is None or hash32 in hashes):
                del self._asked[hash32]
                peer.kept.setdefault("lacks", {})[hash32] = True


def serves_filters(peer: Peer) -> bool:
    """Whether a peer has filters of blocks (BIP157)."""
    return bool(peer.session.version and peer.session.version.services & FILTERS)
