"""The gateway's node: the library's, on the transport of a computer.

What a running gateway needs to know of its node beyond the library's public names is here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picoswarm import Node
from picoswarm.membership import NetworkKey
from picoswarm.node import Events

from .driver import HostDriver
from .pubsub import HostPubSub
from .swarm import HostSwarm
from .transport import HostLinks

GATEWAY = 2  # bit of the capabilities in HELLO, and of the flags of a record
EVENTS = 16_384  # that wait: a change of keys ends all sessions at once
_OPEN = 4  # a session's stage
_FLAGS = 64  # in a table record
_PREFIX = 16  # bytes of a revoked id that are known


class HostNode(Node):
    """A Node whose sessions take less of a computer's time each; what is said on the wire is the same."""

    parts = (HostSwarm, HostLinks, HostDriver, HostPubSub)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.events = Events(EVENTS)

    # Sessions, as the library has them (picoswarm.session.Session)

    @property
    def swarm(self) -> Any:
        """The node's Swarm, while it runs."""
        return self._sessions().swarm

    def session(self, id32: bytes) -> Any:
        """The open session with a node, or None."""
        session = self.swarm.peers.get(id32)
        return session if session and session.stage == _OPEN else None

    def open_sessions(self) -> list[Any]:
        """All open ones."""
        return [session for session in self.swarm.peers.values() if session.stage == _OPEN] if self._services else []

    def socket(self, session: Any) -> Any:
        """The socket of a session, or None where it has none."""
        link = self._sessions().links._links.get(session)
        return link.sock if link else None

    async def connect(self, id32: bytes, timeout_ms: int = 10_000) -> None:
        """See that there is a session with a node. Raises a RequestError."""
        await self._sessions().session(id32, timeout_ms)

    def open_stream_on(self, session: Any, protocol: str) -> Any:
        """A Stream on an open session. Raises a RequestError."""
        return self._sessions().stream(session, protocol)

    # The mesh

    def live_gateways(self) -> set[bytes]:
        """Ids of the live nodes of the table that say they are gateways, whether there is a session with them or not."""
        table = self._discovery.table
        records = range(0, len(table.pool), table.step)
        return {bytes(table.pool[at : at + 32]) for at in records if table.pool[at + _FLAGS] & GATEWAY and table.is_live(at)}

    def network(self) -> tuple[int, str]:
        """(epoch, fingerprint) of the network key that the node sends under."""
        key = self._discovery.membership.highest
        return key.epoch, NetworkKey(key.key, key.epoch).fingerprint()

    def is_revoked(self, id32: bytes) -> bool:
        """Whether the operator has shut a node out."""
        revoked = self._discovery.membership.revoked
        return any(id32[:_PREFIX] == revoked[at : at + _PREFIX] for at in range(0, len(revoked), _PREFIX))

    def remember(self, knows: Callable[[bytes], bool]) -> None:
        """`knows(id)` tells whom the node knew before it started. Such a one may come back after a revocation that it slept
        through; without this, only those that had a session since the start."""
        self.swarm.membership.remembers = knows
