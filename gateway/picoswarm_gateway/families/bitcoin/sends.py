"""Transactions that boards handed over: made known to all peers, until a block has them, and for a while after that.

A peer never says that it took a transaction. So it is *taken* when a peer fetched it, and *seen* at each peer that announces
it by itself, or gives it back when asked: then it is in that peer's mempool. *Mined* is what the board proves itself.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .blocks import AMBIGUOUS, Transaction, branch, transaction, without_witness
from .chain import Block, Change
from .messages import TX, WITNESS_FLAG, WTX, encode_inventory
from .peers import Peer, Peers
from .wire import Malformed

if TYPE_CHECKING:
    from ...state import State

SCHEMA = ["CREATE TABLE bitcoin_sent (network TEXT, txid BLOB, raw BLOB, height INTEGER, PRIMARY KEY (network, txid));"]
MOST = 1000  # transactions
PROBE_S = 5.0  # between two times that a peer is asked whether it has one
PROBES = 12
AGAIN_S = 600.0  # it is announced again, while no block has it
SETTLE_S = 2.0  # after a handshake; btcd passes over what is announced in the first moment
BURIED = 100  # blocks over the one that has it: then it is forgotten
GIVEN_UP = 4032  # blocks without it
NAMES = 255  # of peers that are remembered of one; no board is told of more

UNKNOWN, WAITING, TAKEN, SEEN, MINED = range(5)  # what a board is told


@dataclass(eq=False)
class Sent:
    """One transaction. `proof`: (block, index, branch) once it is mined."""

    transaction: Transaction
    height: int  # of the chain when it came
    taken: set[str] = field(default_factory=set)  # names of peers
    seen: set[str] = field(default_factory=set)
    probes: dict[str, tuple[int, float]] = field(default_factory=dict)  # how often, and when last, by peer
    announced: dict[str, float] = field(default_factory=dict)  # when last, by peer
    proof: tuple[Block, int, list[bytes]] | None = None

    @property
    def state(self) -> int:
        """One of the five."""
        return MINED if self.proof else SEEN if self.seen else TAKEN if self.taken else WAITING

    def encode(self) -> bytes:
        """As a board is told: state 1 | peers 1 | height 4."""
        height = self.proof[0].height if self.proof else 0
        return bytes((self.state, min(255, len(self.seen)))) + height.to_bytes(4, "big")


class Sends:
    """See the module. `on_news(sent)`: a board may want to know."""

    def __init__(self, peers: Peers, on_news: Callable[[Sent], None]) -> None:
        self.all: dict[bytes, Sent] = {}  # by txid
        self._by_hash: dict[bytes, Sent] = {}  # by both hashes
        self._peers = peers
        self._on_news = on_news

    async def load(self, db: State, name: str) -> None:
        """What was not buried when the gateway stopped."""
        self._db, self._name = db, name
        for raw, height in await db.read("SELECT raw, height FROM bitcoin_sent WHERE network = ?", (name,)):
            self._keep(Sent(transaction(raw), height))

    async def add(self, raw: bytes, height: int) -> Sent:
        """Take a transaction, on the disk when this returns. Raises Malformed for what cannot be one, or when there are
        too many."""
        found = transaction(raw)
        if found.stripped == AMBIGUOUS:
            raise Malformed("64 bytes: no proof of it can be trusted")
        sent = self.all.get(found.txid)
        if sent is None:
            if len(self.all) >= MOST:
                raise Malformed("too many transactions wait here")
            sent = Sent(found, height)
            sql = "INSERT OR REPLACE INTO bitcoin_sent VALUES (?, ?, ?, ?)"
            await self._db.write(sql, (self._name, found.txid, raw, height))
            if found.txid in self.all:  # it came twice at a time
                return self.all[found.txid]
            self._keep(sent)
            self.tick()
        return sent

    def _keep(self, sent: Sent) -> None:
        self.all[sent.transaction.txid] = sent
        self._by_hash[sent.transaction.txid] = self._by_hash[sent.transaction.wtxid] = sent

    def pending(self) -> bool:
        """Whether blocks are to be looked at."""
        return any(sent.proof is None for sent in self.all.values())

    def on_peer(self, peer: Peer, kind: str, value: Any) -> None:
        """What a session tells; see session.py."""
        if kind == "up":
            peer.kept["settled"] = time.monotonic() + SETTLE_S
        elif kind == "down":
            for sent in self.all.values():
                sent.announced.pop(peer.name, None)
                if not peer.session.is_outbound:  # the next time it has another port
                    sent.probes.pop(peer.name, None)
        elif kind == "inventory":
            for what, hash32 in value:
                if what in (TX, WTX) and hash32 in self._by_hash:
                    self._note_seen(self._by_hash[hash32], peer)
        elif kind == "wanted":
            self._give(peer, value)
        elif kind == "tx":
            found = transaction(value)
            asked = [peer.session.answered(each.hex()) for each in (found.txid, found.wtxid)]
            if not any(asked):
                raise Malformed("a transaction that nobody asked for", 1)
            if found.wtxid in self._by_hash:
                self._note_seen(self._by_hash[found.wtxid], peer)

    def _note_seen(self, sent: Sent, peer: Peer) -> None:
        if peer.name not in sent.seen and len(sent.seen) < NAMES:
            sent.seen.add(peer.name)
            self._on_news(sent)

    def _inventory(self, peer: Peer, sent: Sent) -> tuple[int, bytes]:
        if peer.session.wants_wtxid:
            return WTX, sent.transaction.wtxid
        return TX, sent.transaction.txid

    def _announce(self, peer: Peer, sent: Sent) -> None:
        if sent.proof is None:
            peer.session.send("inv", encode_inventory([self._inventory(peer, sent)]))

    def _give(self, peer: Peer, items: list[tuple[int, bytes]]) -> None:
        missing = []
        for what, hash32 in items:
            sent = self._by_hash.get(hash32) if what & ~WITNESS_FLAG in (TX, WTX) else None
            if sent is None:
                missing.append((what, hash32))
                continue
            is_whole = what == WTX or what & WITNESS_FLAG  # who asks by the old kind does not know witnesses (BIP144)
            peer.session.send("tx", sent.transaction.raw if is_whole else without_witness(sent.transaction.raw))
            sent.probes[peer.name] = (0, time.monotonic())
            if peer.name not in sent.taken and len(sent.taken) < NAMES:
                sent.taken.add(peer.name)
                self._on_news(sent)
        if missing:
            peer.session.send("notfound", encode_inventory(missing))

    def tick(self) -> None:
        """Once a second: announce again, and ask peers whether they have it."""
        now = time.monotonic()
        for sent in self.all.values():
            if sent.proof:
                continue
            for peer in self._peers.up():
                if now < peer.kept.get("settled", 0.0):
                    continue
                if now - sent.announced.get(peer.name, float("-inf")) > AGAIN_S:
                    sent.announced[peer.name] = now
                    self._peers.guarded(peer, lambda peer=peer, sent=sent: self._announce(peer, sent))
                tries, at = sent.probes.get(peer.name, (PROBES, now))
                if peer.name not in sent.seen and tries < PROBES and now - at > PROBE_S:
                    sent.probes[peer.name] = (tries + 1, now)
                    self._peers.guarded(peer, lambda peer=peer, sent=sent: self._probe(peer, sent, now))

    def _probe(self, peer: Peer, sent: Sent, now: float) -> None:
        what, hash32 = self._inventory(peer, sent)
        peer.session.ask([(what if what == WTX else TX | WITNESS_FLAG, hash32)], now)

    # Blocks

    def on_block(self, block: Block, transactions: list[Transaction]) -> None:
        """A block of the best chain."""
        hashes = [each.txid for each in transactions]
        for index, txid in enumerate(hashes):
            sent = self.all.get(txid)
            if sent and sent.proof is None:
                sent.proof = block, index, branch(hashes, index)
                self._on_news(sent)

    async def on_change(self, change: Change, height: int) -> None:
        """The best chain is another: what was mined in a block that it lost waits again; what is buried is forgotten."""
        lost = {block.hash for block in change.lost}
        gone = []
        for txid, sent in self.all.items():
            if sent.proof and sent.proof[0].hash in lost:
                sent.proof = None
                sent.announced.clear()
                self._on_news(sent)
            since = sent.proof[0].height + BURIED if sent.proof else sent.height + GIVEN_UP
            if height > since:
                gone.append((self._name, txid))
        for _, txid in gone:
            sent = self.all.pop(txid)
            self._by_hash.pop(sent.transaction.txid, None)
            self._by_hash.pop(sent.transaction.wtxid, None)

        def write(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM bitcoin_sent WHERE network = ? AND txid = ?", gone)

        if gone:
            await self._db.change(write)
