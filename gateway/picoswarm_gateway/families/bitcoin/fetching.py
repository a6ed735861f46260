"""Blocks that somebody wants to look into: asked of a peer that has them, or spared where filters say that there is nothing.

A filter of a peer that the user named is believed. Those of others are if two of them, of different networks, are the same;
otherwise the block is fetched. A filter that lacks what its block turns out to have is a lie, for which its peer is left.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .blocks import Transaction
from .book import group_of
from .chain import Block, Chain
from .filters import filtered, has_all, may_have
from .messages import BLOCK, FILTERS, WITNESS, WITNESS_FLAG
from .peers import Peer, Peers
from .wire import Malformed

UNDER_WAY = 4  # blocks that are asked for at a time
TRIES = 20
WAITING = 4096  # blocks that wait to be asked for
AGREEING = 2  # strangers whose filters must be the same

OnBlock = Callable[[Block, list[Transaction]], None]
Told = dict[Peer, bytes | None]  # filters, by who was asked


class Fetching:
    """See the module. `on_block(block, transactions)`: a block that `want` had asked for. `scripts()`: all that blocks are
    looked at for; None: whole blocks are wanted. `count`: blocks that came; `spared`: those that filters spared us;
    `given_up`: those that nobody gave, or that came upon too many others."""

    def __init__(self, chain: Chain, peers: Peers) -> None:
        self.on_block: OnBlock = lambda block, transactions: None
        self.scripts: Callable[[], set[bytes] | None] = lambda: None
        self.count = self.spared = self.lies = self.given_up = 0
        self._chain = chain
        self._peers = peers
        self._wanted: dict[bytes, int] = {}  # tries, by block
        self._asked: dict[bytes, Peer] = {}
        self._filters: dict[bytes, Told] = {}  # that are waited for, by block
        self._doubted: dict[bytes, Told] = {}  # that are held against their block when it comes

    def want(self, hash32: bytes) -> None:
        """A block is to be fetched, and `on_block` told of it."""
        if hash32 not in self._wanted and len(self._wanted) >= WAITING:
            self.given_up += 1
            return
        self._wanted.setdefault(hash32, 0)

    def tick(self, now: float) -> None:
        """Once a second: ask for what is wanted."""
        for hash32 in list(self._wanted):
            if len(self._asked) + len(self._filters) >= UNDER_WAY:
                break
            if hash32 in self._asked or hash32 in self._filters:
                continue
            block = self._chain.find(hash32)
            is_best = block is not None and self._chain.is_best(hash32)
            if not is_best or self._wanted[hash32] > TRIES:
                self.given_up += is_best
                self._forget(hash32)
                continue
            able = [peer for peer in self._peers.up() if peer.height >= block.height and serves_blocks(peer)]
            able = [peer for peer in able if hash32 not in peer.kept.setdefault("lacks", {})] or able
            if not able:
                continue
            self._wanted[hash32] += 1
            sources = self._sources(able) if self.scripts() and self._wanted[hash32] == 1 else []
            if sources:
                self._filters[hash32] = dict.fromkeys(sources)
                for peer in sources:
                    self._peers.guarded(peer, lambda peer=peer, b=block: peer.session.ask_filter(b.height, b.hash, now))
                continue
            peer = self._asked[hash32] = random.choice(able)
            self._peers.guarded(peer, lambda peer=peer, h=hash32: peer.session.ask([(BLOCK | WITNESS_FLAG, h)], now))

    @staticmethod
    def _sources(able: list[Peer]) -> list[Peer]:
        """Who is asked for a filter: one peer of the user's, or strangers of our choice, each of another network."""
        filtering = [peer for peer in able if peer.session.version.services & FILTERS]
        random.shuffle(filtering)
        own = [peer for peer in filtering if peer.is_permanent]
        if own:
            return own[:1]
        others = {group_of(peer.session.address): peer for peer in filtering if peer.session.is_outbound}
        return list(others.values())[:AGREEING] if len(others) >= AGREEING else []

    def receive(self, hash32: bytes, transactions: list[Transaction]) -> None:
        """A block came, whose transactions are those of its header."""
        self._asked.pop(hash32, None)
        block = self._chain.find(hash32)
        told = self._doubted.get(hash32, {})
        is_wanted = hash32 in self._wanted
        self._forget(hash32)
        scripts = filtered(transactions) if told else set()
        for peer, data in told.items():
            if not has_all(hash32, data or b"\0", scripts):
                self.lies += 1
                self._peers.guarded(peer, _lied)
        if block is not None and is_wanted:
            self.count += 1
            self.on_block(block, transactions)

    def on_filter(self, peer: Peer, hash32: bytes, data: bytes) -> None:
        """A filter that was asked for. Raises Malformed."""
        told = self._filters.get(hash32)
        if told is None or peer not in told:
            return
        told[peer] = data
        if None in told.values():
            return
        self._doubted[hash32] = self._filters.pop(hash32)
        scripts = self.scripts()
        if scripts is None or len(set(told.values())) > 1 or may_have(hash32, data, scripts):
            return  # the whole block is next
        self.spared += 1
        self._forget(hash32)

    def give_back(self, peer: Peer, hashes: set[bytes] | None) -> None:
        """A peer has some blocks not, or is gone (None): others are asked."""
        for hash32, asked in list(self._asked.items()):
            if asked is peer and (hashes is None or hash32 in hashes):
                del self._asked[hash32]
                peer.kept.setdefault("lacks", {})[hash32] = True
        if hashes is None:
            self._filters = {hash32: told for hash32, told in self._filters.items() if peer not in told}

    def _forget(self, hash32: bytes) -> None:
        self._wanted.pop(hash32, None)
        self._doubted.pop(hash32, None)


def _lied() -> None:
    raise Malformed("a filter without what is in its block")


def serves_blocks(peer: Peer) -> bool:
    """Whether a peer gives whole blocks, with their witnesses."""
    return bool(peer.session.version and peer.session.version.services & WITNESS)
