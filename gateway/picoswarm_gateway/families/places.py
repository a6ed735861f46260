"""The peers of one network that are connected: one connection to each, and so many that came by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from .dialing import is_kept


class Connected(Protocol):
    """What a family's peers have. `id`: text; those of a network are ordered by it."""

    is_outbound: bool

    @property
    def id(self) -> str: ...


P = TypeVar("P", bound=Connected)


class Places(dict[str, P]):
    """Peers by id. `own`: the id of this node; `close(peer, why)` ends a connection that is one too many."""

    def __init__(self, own: Callable[[], str], inbound: int, close: Callable[[P, str], None]) -> None:
        super().__init__()
        self._own = own
        self._inbound = inbound
        self._close = close

    def is_full(self, kept: int = 0) -> bool:
        """Of peers that came by themselves, with places that are `kept` for those of the configuration."""
        return sum(not peer.is_outbound for peer in self.values()) >= self._inbound + kept

    @contextmanager
    def held_by(self, peer: P) -> Iterator[bool]:
        """Whether a new connection stays; within the block it is then the one to its node."""
        if known := self.get(peer.id):
            if not is_kept(self._own(), peer.id, peer.is_outbound, known.is_outbound):
                self._close(peer, "there is a connection to it already")
                yield False
                return
            self._close(known, "another connection to it stays")
        self[peer.id] = peer
        try:
            yield True
        finally:
            if self.get(peer.id) is peer:
                del self[peer.id]
