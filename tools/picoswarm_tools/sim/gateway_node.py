"""A gateway in virtual time: a node with the gateway's own swarm and numbers, which thousands of boards may have sessions
with. Its families, its HTTP and its bridges are not here."""

from __future__ import annotations

from typing import Any

from picoswarm.session import GREETING, Session
from picoswarm_gateway.profile import gateway_profile
from picoswarm_gateway.pubsub import HostPubSub
from picoswarm_gateway.swarm import EARLY_MOST, HostSwarm

from .swarm_node import SwarmNode
from .tcp import End


def numbers(changes: dict[str, int]) -> dict[str, int]:
    """A gateway's profile with single numbers replaced. Its table has IPv4 only, which is what the simulator's nodes have.
    Raises LocalError."""
    profile = gateway_profile(**{"ipv6": 0, **changes})
    return {name: value for name, value in vars(profile).items() if not name.startswith("_")}


class VirtualSwarm(HostSwarm):
    """A HostSwarm whose turns end when the handshakes of the moment are done, not after a slice of real time."""

    def work(self, now: int) -> bool:
        self.at(now)
        while self._due:
            session = self._due.popleft()
            while session.stage == GREETING and session.handshake.has_work:
                self._work_on(session)
        self.is_busy = self._work_of_reactors()
        return self.is_busy


class GatewayNode(SwarmNode):
    """See the module."""

    make_swarm = VirtualSwarm
    make_pubsub = HostPubSub

    def room(self, session: Session) -> int:
        return EARLY_MOST

    def take(self, session: Any, data: bytes) -> None:
        self.swarm.heard(session, data, self.now)

    def write(self, session: Any, end: End) -> None:
        now = self.now
        while data := session.to_send(self._record, now):
            end.send(data)
        self.swarm.sent(session, now)
