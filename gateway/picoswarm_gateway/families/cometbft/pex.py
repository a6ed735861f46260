"""Peer exchange: who is asked for addresses, who is answered, and what a seed does (rows T28-T30, T33, T34).

A seed is a node that others ask where the network is. It goes through the nodes of its book, asks each for addresses and
goes; who comes to it gets one answer, and is let go. `Peer` and `Book` as in their modules.
"""

from __future__ import annotations

import random
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from . import messages
from .book import BANS, ENOUGH, Book
from .messages import PEX
from .peer import Peer

NODE = re.compile("[0-9a-f]{40}")
REQUESTS_S = 10.0  # between two requests of one peer, after
FREE = 2  # of them
CRAWLED_S = 120.0  # until a seed dials a node again
CRAWL_S = 10.0  # that a node may take for its answer
SEED_PEER_S = 28 * 3600.0  # that a seed has anybody for a peer


class Pex:
    """See the module. `is_kept`: whether a peer is one of the configuration, which a seed does not let go. `clock`: seconds
    that do not jump."""

    def __init__(self, book: Book, is_seed: bool, is_kept: Callable[[Peer], bool], clock: Callable[[], float]) -> None:
        self.book = book
        self.is_seed = is_seed
        self.counts: Counter[str] = Counter(addresses=0, told=0, crawled=0)
        self._is_kept = is_kept
        self._clock = clock
        self._crawled: OrderedDict[str, float] = OrderedDict()  # when, by id

    def greet(self, peer: Peer) -> None:
        """It is connected. Who was dialed is asked for addresses; who came is known by what it says of itself."""
        if not peer.is_outbound:
            port = port_of(peer.info.listen)
            if port and self.book.add(peer.id, peer.ip, port, peer.id, peer.ip):
                self.counts["addresses"] += 1
        elif self.is_seed or len(self.book) < ENOUGH:
            self.ask(peer)

    def ask(self, peer: Peer) -> None:
        """One question at a time."""
        if not peer.asked_pex:
            peer.asked_pex = peer.send(PEX, messages.PEX_REQUEST)

    def ask_one(self, peers: Iterable[Peer]) -> None:
        """Of one peer, where the book has room."""
        free = [peer for peer in peers if not peer.asked_pex]
        if free and len(self.book) < ENOUGH:
            self.ask(random.choice(free))

    def receive(self, peer: Peer, text: bytes) -> str:
        """A message of a peer; returns why it is to be banned, "" where it is not. Raises Malformed."""
        told = messages.pex(text)
        if told is None:
            return self._answer(peer)
        if not peer.asked_pex:
            return "it sent addresses that nobody asked for"
        peer.asked_pex = False
        for node, ip, port in told:
            self.counts["addresses"] += bool(NODE.fullmatch(node)) and self.book.add(node, ip, port, peer.id, peer.ip)
        if self.is_crawled(peer):
            self.counts["crawled"] += 1
            self._crawled_now(peer)
            peer.finish("it was asked")
        return ""

    def _answer(self, peer: Peer) -> str:
        now = self._clock()
        peer.pex_requests += 1
        if peer.pex_requests > FREE and now - peer.pex_at < REQUESTS_S:
            return "it asks for addresses too often"
        peer.pex_at = now
        is_last = self.is_seed and not peer.is_outbound and not self._is_kept(peer)
        if is_last and peer.pex_requests > 1:
            return ""  # it goes already
        some = [each for each in self.book.selection(peer.ip) if each[0] != peer.id]
        self.counts["told"] += peer.send(PEX, messages.addresses(some))
        if is_last:
            peer.finish("it was told")
        return ""

    # A seed

    def is_crawled(self, peer: Peer) -> bool:
        """Whether this node is a seed that dialed it only to ask."""
        return self.is_seed and peer.is_outbound and not self._is_kept(peer)

    def is_due(self, node: str) -> bool:
        """Whether a seed may dial it again."""
        return not self.is_seed or self._clock() - self._crawled.get(node, -CRAWLED_S) >= CRAWLED_S

    def _crawled_now(self, peer: Peer) -> None:
        self._crawled[peer.id] = self._clock()
        self._crawled.move_to_end(peer.id)
        while len(self._crawled) > BANS + ENOUGH:
            self._crawled.popitem(last=False)

    def cut(self, peers: Iterable[Peer]) -> None:
        """Let go who does not answer a seed, and who was its peer for long."""
        for peer in list(peers) if self.is_seed else ():
            age = self._clock() - peer.since
            if not self._is_kept(peer) and age > (CRAWL_S if peer.is_outbound else SEED_PEER_S):
                if peer.is_outbound:
                    self._crawled_now(peer)
                peer.finish("it was here for long")


def port_of(listen: str) -> int:
    """The port of "tcp://ip:port", as a node tells it; 0: none."""
    try:
        return urlsplit(listen if "://" in listen else f"tcp://{listen}").port or 0
    except ValueError:
        return 0
