"""Following the chain: headers from all peers, the signatures of blocks where the network has them (signet), and the disk.

A chain with too little work is weighed before it is kept (weighing.py), for LEADS peers at a time. Where blocks are signed,
the newest one that a peer has is asked of that peer, and the chain goes on to it once its signature was checked: so no more
than a block for each message of headers is fetched, and a peer whose block has no signature is left.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from .blocks import Transaction, block_transactions
from .chain import Block, Chain, Change, Unconnected
from .chainstore import ChainStore
from .fetching import Fetching, serves_blocks
from .messages import BLOCK, WITNESS_FLAG, encode_headers
from .networks import double_sha256
from .peers import Peer, Peers
from .signet import is_signed
from .weighing import Weighing
from .wire import MOST_HEADERS, Malformed

POLL_S = 60.0  # so often one of the peers is asked for headers, whatever was announced
LEADS = 2  # peers whose chains are weighed at a time
LEAD_S = 1800.0  # that one of them may take


class Follower:
    """The chain, kept up with the peers. `on_change(change)`: the best chain is another, and on the disk."""

    def __init__(self, chain: Chain, store: ChainStore, peers: Peers) -> None:
        self.chain = chain
        self.fetching = Fetching(chain, peers)
        self.on_change: Callable[[Change], None] = lambda change: None
        self.reorganisations = 0
        self._store = store
        self._peers = peers
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._weighings: dict[Peer, Weighing] = {}
        self._unsigned: dict[Peer, bytes] = {}  # the block that each was asked for, for its signature
        self._polled = time.monotonic()

    @property
    def is_synced(self) -> bool:
        """Whether no peer that is there says that it has more."""
        up = self._peers.up()
        return bool(up) and self.chain.tip.height >= max(peer.height for peer in up)

    @property
    def weighed(self) -> int:
        """The height up to which a chain was weighed that is not kept yet; 0: none is."""
        return max((each.height for each in self._weighings.values()), default=0)

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
            self.fetching.on_filter(peer, *value)
        elif kind == "missing":
            hashes = {hash32 for _, hash32 in value}
            if self._unsigned.get(peer) in hashes:
                del self._unsigned[peer]
            self.fetching.give_back(peer, hashes)
        elif kind == "down":
            if self._weighings.pop(peer, None):
                self._polled = float("-inf")  # another one is asked
            self._unsigned.pop(peer, None)
            self.fetching.give_back(peer, None)

    def tick(self) -> None:
        """Once a second."""
        now = time.monotonic()
        up = self._peers.up()
        if now - self._polled > POLL_S and up:
            self._polled = now
            peer = random.choice([each for each in up if each not in self._weighings] or up)
            self._peers.guarded(peer, lambda: peer.session.ask_headers(self.chain.locator(), now))
        for peer, weighing in list(self._weighings.items()):
            if now - weighing.began > LEAD_S:
                self._peers.leave(peer, "it tells its chain too slowly")
        self.fetching.tick(now)

    async def run(self) -> None:
        """Save changes, in their order, and then tell of them."""
        while True:
            change = await self._changes.get()
            await self._store.save(change)
            self.on_change(change)

    # Headers

    def _on_headers(self, peer: Peer, headers: list[bytes], was_asked: bool) -> None:
        session = peer.session
        now, wall = time.monotonic(), int(time.time() + self._peers.offset_s)
        if not headers or (peer in self._weighings and not was_asked):
            return  # what is announced while a chain is weighed comes with it
        try:
            ready = self._worth_keeping(peer, headers, was_asked, now, wall)
            change = self.chain.add(ready, wall)
        except Unconnected:
            self._weighings.pop(peer, None)
            if was_asked:
                session.blame(20, "headers that hang in the air", now)
            elif session.waits_for("headers"):
                session.blame(5, "headers that hang in the air", now)
            session.ask_headers(self.chain.locator(), now)
            return
        except Malformed:
            self._weighings.pop(peer, None)
            raise
        self._note(change)
        if change.trouble:
            raise change.trouble
        last = self.chain.find(double_sha256(ready[-1])) if ready else None
        if last is not None:
            peer.best, peer.height = last.hash, max(peer.height, last.height)
            if self.chain.network.challenge and last.work > self.chain.tip.work:
                self._ask_signature(peer, last, now)
                return
        if peer in self._weighings:
            session.ask_headers(self._weighings[peer].locator, now)
        elif last is not None and len(headers) == MOST_HEADERS:
            session.ask_headers([last.hash, *self.chain.locator()], now)

    def _note(self, change: Change) -> None:
        if change.connected:
            self.reorganisations += bool(change.lost)
            self._changes.put_nowait(change)

    def _worth_keeping(self, peer: Peer, headers: list[bytes], was_asked: bool, now: float, wall: int) -> list[bytes]:
        """Those of a message that the chain may have. Raises Unconnected, and Malformed."""
        weighing = self._weighings.get(peer)
        is_whole = len(headers) < MOST_HEADERS  # the peer has no more
        if weighing is None:
            if self.chain.is_worth(headers, self.chain.enough):
                return headers
            if not was_asked:
                peer.session.blame(10, "headers with too little work", now)
            start = self.chain.find(headers[0][4:36])
            if is_whole or len(self._weighings) >= LEADS or start is None:
                return []
            weighing = self._weighings[peer] = Weighing(self.chain, start, now, wall)
        had_enough = weighing.is_enough
        ready = weighing.take(headers, wall)
        if weighing.is_done:
            self._weighings.clear()  # others weigh the same chain, or a lesser one
        elif is_whole and had_enough == weighing.is_enough:
            del self._weighings[peer]
        return ready

    # Signatures

    def _ask_signature(self, peer: Peer, block: Block, now: float) -> None:
        if peer not in self._unsigned and serves_blocks(peer):
            self._unsigned[peer] = block.hash
            peer.session.ask([(BLOCK | WITNESS_FLAG, block.hash)], now)

    def _on_signature(self, peer: Peer, block: Block | None, transactions: list[Transaction], now: float) -> None:
        """The block came that a peer had been asked for. Raises Malformed where it is not signed."""
        del self._unsigned[peer]
        if block is not None:
            if not is_signed(block.header, transactions, self.chain.network.challenge):
                raise Malformed("a block without its signature")
            self._note(self.chain.vouch(block))
        weighing = self._weighings.get(peer)
        peer.session.ask_headers(weighing.locator if weighing else self.chain.locator(), now)

    def _on_block(self, peer: Peer, raw: bytes) -> None:
        hash32 = double_sha256(raw[:80])
        if not peer.session.answered(hash32.hex()):
            raise Malformed("a block that nobody asked for", 20)
        transactions = block_transactions(raw)
        if self._unsigned.get(peer) == hash32:
            self._on_signature(peer, self.chain.find(hash32), transactions, time.monotonic())
        self.fetching.receive(hash32, transactions)
