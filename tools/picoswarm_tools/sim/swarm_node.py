"""A whole node in virtual time: the discovery engine of `mesh.Node`, and the library's own `Swarm` with its reactors, on the
TCP of `tcp.py`. What `picoswarm.tcp` does with sockets on a board is done here with wires."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from picoswarm.compat import ticks_diff
from picoswarm.discovery import Discovery
from picoswarm.membership import Membership
from picoswarm.session import PARKED, Session
from picoswarm.swarm import DIAL, HANG_UP, Swarm

from . import stream
from .clock import MILLISECOND, SECOND, Timer
from .host import Host
from .mesh import Mesh, Node
from .nat import Address
from .tcp import End, TcpHost, TcpNetwork

_SLICE_MS = 5  # virtual time of one slice of public-key work, of which a handshake has a few with the host's kernels
_TURNS = 1000  # records in one turn: more is an engine that never stops

MakeReactors = Callable[["SwarmNode", int], Sequence[Any]]


class _Link:
    """A session's socket. What arrives waits here, as in the socket's own buffer, until the session has room."""

    def __init__(self, node: SwarmNode, session: Session) -> None:
        self.node = node
        self.session = session
        self.end: End | None = None
        self._waiting = bytearray()
        self._has_ended = False
        self._is_reading = False

    def connected(self) -> None:
        self.node.swarm.connected(self.session, self.node.now)
        self.node.swarm_turn()

    def arrived(self, data: bytes) -> None:
        self._waiting += data
        self._read()

    def ended(self) -> None:
        self._has_ended = True
        self._read()

    def _read(self) -> None:
        """What one turn of `picoswarm.tcp` reads."""
        node, session = self.node, self.session
        if self._is_reading or not node.holds(self):
            return
        room = len(session.buf) - session.fill if session.stage != PARKED else 0
        if self._waiting and room:
            n = min(room, len(self._waiting))
            session.buf[session.fill : session.fill + n] = self._waiting[:n]
            del self._waiting[:n]
            node.swarm.received(session, n, node.now)
        elif self._has_ended and not self._waiting:
            node.swarm.lost(session, node.now)
        if node.holds(self) and (self._waiting or self._has_ended):
            self._is_reading = True
            node.clock.after((0 if room else 20) * MILLISECOND, self._read_on)
        node.swarm_turn()

    def _read_on(self) -> None:
        self._is_reading = False
        self._read()


class SwarmNode(Node):
    """See the module. `swarm` and `reactors` are made anew at each boot."""

    def __init__(self, mesh: Mesh, *arguments: Any, tcp: TcpNetwork, make_reactors: MakeReactors, **options: Any) -> None:
        super().__init__(mesh, *arguments, **options)
        self.swarm: Any = None
        self.reactors: Sequence[Any] = ()
        self.on_swarm_event: Callable[[SwarmNode, tuple[Any, ...]], None] | None = None
        self.after_turn: Callable[[SwarmNode], None] | None = None
        self.tcp = tcp
        self.tcp_host: TcpHost = tcp.listen(self.endpoint.segment, self.endpoint.address, self._accept)
        self.tcp_host.is_on = False
        self._make_reactors = make_reactors
        self._links: dict[Session, _Link] = {}
        self._swarm_timer: Timer | None = None
        self._record = bytearray(self.profile.record + 18)

    def power_on(self) -> None:
        super().power_on()
        self.reactors = self._make_reactors(self, self.now)
        rng = stream(self._mesh.seed, "swarm", self.name, self.boots).randbytes
        membership = Membership(self._mesh.network_key)
        port = self.endpoint.address[1]
        self.swarm = Swarm(
            self.profile, self.identity, membership, rng, self.now, list(self.reactors), self.engine, None, port, ""
        )
        self.tcp_host.is_on = True
        self.swarm_turn()

    def power_off(self) -> None:
        super().power_off()
        self.swarm = None
        self.clock.cancel(self._swarm_timer)
        for link in self._links.values():
            if link.end is not None:
                link.end.vanish()
        self._links.clear()
        self.tcp_host.power_off()

    def _boot_engine(self, host: Host, rng: Any, now: int) -> Discovery:
        engine = super()._boot_engine(host, rng, now)
        engine.codec.tcp_port = self.endpoint.address[1]
        return engine

    def holds(self, link: _Link) -> bool:
        """Whether a session's socket is open."""
        return self._links.get(link.session) is link

    def swarm_turn(self) -> None:
        """What each turn of `picoswarm.tcp` does: events, writes, the timer. Call it after every call from outside."""
        swarm = self.swarm
        if swarm is None:
            return
        while (event := swarm.next_event()) is not None:
            if event[0] == DIAL:
                self._dial(event[1])
            elif event[0] == HANG_UP:
                link = self._links.pop(event[1], None)
                if link is not None and link.end is not None:
                    link.end.taker = None
                    link.end.close()
            elif self.on_swarm_event is not None:
                self.on_swarm_event(self, event)
        if self.after_turn is not None:
            self.after_turn(self)
        for _ in range(_TURNS):
            session = swarm.next_unsent(self.now)
            if session is None:
                break
            link = self._links.get(session)
            while link is not None and link.end is not None and (n := swarm.to_send(session, self._record, self.now)):
                link.end.send(bytes(self._record[:n]))
        else:
            raise RuntimeError(f"{self.name}: the swarm sends without end")
        if swarm.has_events:
            return self.swarm_turn()
        self._arm_swarm()

    def _arm_swarm(self) -> None:
        self.clock.cancel(self._swarm_timer)
        if self.swarm.is_busy:
            delay_us = _SLICE_MS * MILLISECOND
        else:
            delay_us = max(1, ticks_diff(self.swarm.next_time(self.now), self.now)) * MILLISECOND
        self._swarm_timer = self.clock.after(min(delay_us, 10 * SECOND), self._swarm_tick)

    def _swarm_tick(self) -> None:
        self.swarm.tick(self.now)
        self.swarm.work(self.now)
        self.swarm_turn()

    def _dial(self, session: Session) -> None:
        link = self._links[session] = _Link(self, session)
        link.end = self.tcp.connect(self.tcp_host, (bytes(session.ip), session.port), link)

    def _accept(self, end: End, seen: Address) -> _Link | None:
        session = self.swarm.accepted(seen[0], seen[1], self.now)
        if session is None:
            return None
        link = self._links[session] = _Link(self, session)
        link.end = end
        self.clock.after(0, self.swarm_turn)
        return link
