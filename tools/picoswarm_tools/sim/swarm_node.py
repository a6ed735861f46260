"""A whole node in virtual time: the discovery engine of `mesh.Node`, and the library's own `Swarm` with its reactors, on the
TCP of `tcp.py`. What `picoswarm.tcp` does with sockets on a board is done here with wires."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from picoswarm.addrbook import AddressBook
from picoswarm.compat import ticks_diff
from picoswarm.discovery import Discovery
from picoswarm.identity import Keyring
from picoswarm.pex import PeerExchange
from picoswarm.pubsub import PubSub
from picoswarm.session import OPEN, Session
from picoswarm.swarm import CLOSED, DIAL, HANG_UP, OPENED, Swarm
from picoswarm.topics import subscribe

from . import stream
from .clock import MILLISECOND, SECOND, Timer
from .kernels import agreements
from .mesh import BOOTSTRAP, NONE, Changes, Mesh, Node
from .nat import Address
from .network import INTERNET, Conditions, Lan
from .tcp import End, TcpHost, TcpNetwork

_SLICE_MS = 5  # between two turns of public-key work, at the least
_TURNS = 1000  # records in one turn: more is an engine that never stops

GATEWAY = 2  # of the capabilities
_SAVED = 8  # nodes in a node's database that are tried first


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

    @property
    def has_unread(self) -> bool:
        """Whether bytes wait that the session has not taken."""
        return bool(self._waiting)

    def _read(self) -> None:
        """What one turn of `picoswarm.tcp` reads."""
        node, session = self.node, self.session
        if self._is_reading or not node.holds(self):
            return
        room = node.room(session) if self._waiting else 0
        if self._waiting and room:
            n = min(room, len(self._waiting))
            node.take(session, bytes(self._waiting[:n]))
            del self._waiting[:n]
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
    """See the module. At each boot `swarm` and `reactors` are made anew, by what the profile asks for; `filters` are
    subscribed to, and what comes is given to `on_message`."""

    engine: Discovery | None
    make_swarm: type[Swarm] = Swarm
    make_pubsub: type[PubSub] = PubSub

    def __init__(self, mesh: SwarmMesh, *arguments: Any, **options: Any) -> None:
        super().__init__(mesh, *arguments, **options)
        self.permanent: list[Node] = []  # nodes with which it always wants a session
        self.swarm: Any = None
        self.pubsub: Any = None
        self.filters: list[str] = []
        self.more_reactors: Callable[[SwarmNode], Sequence[Any]] = lambda _node: ()
        self.on_swarm_event: Callable[[SwarmNode, tuple[Any, ...]], None] | None = None
        self.on_message: Callable[[SwarmNode, tuple[Any, ...]], None] | None = None
        self.tcp = mesh.tcp
        self.tcp_host: TcpHost = self.tcp.listen(self.endpoint.segment, self.endpoint.address, self._accept)
        self.tcp_host.is_on = False
        self._links: dict[Session, _Link] = {}
        self._opened_us: dict[Session, int] = {}
        self._swarm_timer: Timer | None = None
        self._is_slicing = False  # that timer is for public-key work
        self._ticked = 0  # ticks of the last look at what is due
        self._worked_us = 0  # when the processor has done what handshakes have taken it for
        self._held: list[Session] = []  # whose message is worked out by then
        self._record = bytearray(self.profile.record + 18)

    def power_on(self) -> None:
        super().power_on()
        now, port = self.now, self.endpoint.address[1]
        rng = stream(self._mesh.seed, "swarm", self.name, self.boots).randbytes
        reactors = list(self.more_reactors(self))
        book = pex = None
        if self.profile.pex:
            book = AddressBook(self.profile, rng(8), rng, [self.id])
            pex = PeerExchange(book, rng, now)
            reactors.append(pex)
        if self.profile.pubsub:
            self.pubsub = self.make_pubsub(self.id, self.profile, rng, now)
            reactors.append(self.pubsub)
            for text in self.filters:
                subscribe(self.pubsub, text, now)
        assert self.engine is not None
        self.swarm = self.make_swarm(
            self.profile, self.identity, self.engine.membership, rng, now, reactors, self.engine, book, port, ""
        )
        for other in self.permanent:
            self.swarm.manager.add(other.id, *self.address_of(other), now)
        if pex is not None:
            pex.score = self.swarm.manager.score
        self.tcp_host.is_on = True
        self.swarm_turn()

    def room(self, session: Session) -> int:
        """Bytes that a session takes now."""
        return session.room(self.now)

    def take(self, session: Session, data: bytes) -> None:
        """Hand a session what was read."""
        session.buf[session.fill : session.fill + len(data)] = data
        self.swarm.received(session, len(data), self.now)

    def write(self, session: Session, end: End) -> None:
        """Write what a session has to send."""
        while n := self.swarm.to_send(session, self._record, self.now):
            end.send(bytes(self._record[:n]))

    def set_link(self, is_linked: bool) -> None:
        """The node loses its Wi-Fi, or has it back; it runs on and is told nothing."""
        self.endpoint.is_linked = self.tcp_host.is_linked = is_linked

    def set_side(self, side: int) -> None:
        """Put the node on a side of a partition."""
        self.endpoint.side = self.tcp_host.side = side

    def address_of(self, other: Node) -> Address:
        """Where this node finds another one: inside one LAN at its own address, else outside that one's router."""
        segment = other.endpoint.segment
        if segment is self.endpoint.segment or not isinstance(segment, Lan) or segment.nat is None:
            return other.endpoint.address
        return segment.nat.outside_ip, other.endpoint.address[1]

    def power_off(self) -> None:
        """The plug is pulled. What a node has in flash stays: a few of the nodes that its table knew."""
        self.saved = [(id32, address) for id32, address, is_live in self.entries() if is_live][:_SAVED]
        super().power_off()
        self.swarm = self.pubsub = None
        self.clock.cancel(self._swarm_timer)
        self._links.clear()
        self._held.clear()
        self._opened_us.clear()
        self.tcp_host.power_off()

    def _make_engine(self, rng: Any, now: int, keys: Keyring) -> Discovery:
        engine = super()._make_engine(rng, now, keys)
        engine.codec.tcp_port = self.endpoint.address[1]
        engine.codec.capabilities = GATEWAY if self.profile.gateway else 0
        return engine

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message to whoever hears the topic."""
        self.pubsub.publish(self.pubsub.compose(topic, payload), self.now)
        self.swarm_turn()

    def want(self, other: SwarmNode) -> Any:
        """Somebody here waits for a session with `other`: the link."""
        link = self.swarm.manager.want(other.id, *other.endpoint.address, self.now)
        self.swarm_turn()
        return link

    def session(self, other: SwarmNode) -> Session | None:
        """The open session with another node."""
        session = self.swarm.peers.get(other.id) if self.swarm is not None else None
        return session if session is not None and session.stage == OPEN else None

    def end_of(self, session: Session) -> End | None:
        """The socket of a session."""
        link = self._links.get(session)
        return None if link is None else link.end

    def opened_us(self, session: Session) -> int:
        """When a session opened."""
        return self._opened_us[session]

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
                if event[1].mux is not None:
                    event[1].mux.on_message = None  # which knows the session: it would stay in memory
                if link is not None and link.end is not None:
                    link.end.taker = None
                    link.end.close(link.has_unread)
            else:
                if event[0] == OPENED:
                    self._opened_us[event[1]] = self.clock.now_us
                elif event[0] == CLOSED:
                    self._opened_us.pop(event[1], None)
                if self.on_swarm_event is not None:
                    self.on_swarm_event(self, event)
        while self.pubsub is not None and (message := self.pubsub.next_event()) is not None:
            if self.on_message is not None:
                self.on_message(self, message)
        now = self.now
        turns = 0
        while swarm.unsent and (session := swarm.next_unsent(now)) is not None:
            link = self._links.get(session)
            if session.handshake and self.clock.now_us < self._worked_us:
                self._held.append(session)
            elif link is not None and link.end is not None:
                self.write(session, link.end)
            turns += 1
            if turns > _TURNS:
                raise RuntimeError(f"{self.name}: the swarm sends without end")
        if swarm.events:
            return self.swarm_turn()
        self._arm_swarm(now)

    def _arm_swarm(self, now: int) -> None:
        timer = self._swarm_timer
        is_armed = timer is not None and timer.action is not None
        if self.swarm.is_busy:
            at_us = max(self._worked_us, self.clock.now_us + _SLICE_MS * MILLISECOND)
            if is_armed and self._is_slicing:
                return
        else:
            delay_ms = ticks_diff(self.swarm.next_time(now), now)
            at_us = self.at_us(min(max(1, delay_ms), 10_000))
            if is_armed and timer.at_us == at_us:  # type: ignore[union-attr]
                return
        self._is_slicing = self.swarm.is_busy
        self.clock.cancel(timer)
        self._swarm_timer = self.clock.at(at_us, self._swarm_tick)

    def _swarm_tick(self) -> None:
        now = self.now
        swarm = self.swarm
        if not self._is_slicing or (now ^ self._ticked) >> 7:  # between slices a look each 128 ms, as in tcp.py
            self._ticked = now
            swarm.tick(now)
        if swarm.is_busy:
            before = agreements()
            turns = 0
            while swarm.work(now) and turns < _TURNS:  # only key agreements take time
                if self.key_us and agreements() != before:
                    break
                turns += 1
            if spent := (agreements() - before) * self.key_us:
                self._worked_us = self.occupy(spent)
                self.clock.at(self._worked_us, self._worked, swarm)
        self.swarm_turn()

    def _worked(self, swarm: Swarm) -> None:
        """Public-key work is done, and what waits for it may go."""
        if self.swarm is swarm and self.clock.now_us >= self._worked_us:
            held, self._held = self._held, []
            for session in held:
                session.touch()
            self.swarm_turn()

    def _dial(self, session: Session) -> None:
        link = self._links[session] = _Link(self, session)
        link.end = self.tcp.connect(self.tcp_host, (bytes(session.ip), session.port), link)

    def _accept(self, end: End, seen: Address) -> _Link | None:
        session = self.swarm.accepted(seen[0], seen[1], self.now)
        if session is None:
            self.clock.after(0, self.swarm_turn)
            return None
        link = self._links[session] = _Link(self, session)
        link.end = end
        self.clock.after(0, self.swarm_turn)
        return link


class SwarmMesh(Mesh):
    """A mesh of SwarmNodes."""

    nodes: list[SwarmNode]  # type: ignore[assignment]

    def __init__(
        self, seed: object, conditions: Conditions = INTERNET, profile: Changes = NONE, key_ms: float = 0.0
    ) -> None:
        super().__init__(seed, conditions, key_ms, profile)
        self.tcp = TcpNetwork(self.network, seed)

    def _make(self, *arguments: Any, kind: type[SwarmNode] | None = None, **options: Any) -> SwarmNode:
        return (kind or SwarmNode)(self, *arguments, **options)

    def neighbors(self, node: SwarmNode, since_us: int | None = None) -> list[SwarmNode]:
        """The nodes with which `node` has a session, of which both ends think the same (and did at `since_us`)."""
        found = []
        for session in list(node.swarm.peers.values()) if node.swarm is not None else ():
            other = self._by_id.get(session.id)
            if other is not None and self.are_joined(node, other, since_us):
                found.append(other)
        return found

    def are_joined(self, node: SwarmNode, other: SwarmNode, since_us: int | None = None) -> bool:
        """Whether two nodes have a session with each other, and both think the same of it."""
        ours, theirs = node.session(other), other.session(node)
        if ours is None or theirs is None:
            return False
        end = node.end_of(ours)
        if end is None or end.other is not other.end_of(theirs):
            return False
        return since_us is None or max(node.opened_us(ours), other.opened_us(theirs)) <= since_us

    def node_of(self, id32: bytes) -> SwarmNode | None:
        """The node with this id."""
        return self._by_id.get(id32)

    @property
    def _by_id(self) -> dict[bytes, SwarmNode]:
        if len(self._ids) != len(self.nodes):
            self._ids = {node.id: node for node in self.nodes}
        return self._ids

    _ids: dict[bytes, SwarmNode] = {}

    def reached(self, start: SwarmNode, relays: Callable[[SwarmNode], bool], since_us: int | None = None) -> set[SwarmNode]:
        """Every node to which a chain of sessions leads whose inner nodes relay."""
        reached, todo = {start}, [start]
        while todo:
            for other in self.neighbors(todo.pop(), since_us):
                if other not in reached:
                    reached.add(other)
                    if relays(other):
                        todo.append(other)
        return reached

    def components(self) -> list[int]:
        """Sizes of the pieces into which sessions join the nodes that are on, largest first."""
        left, sizes = {node for node in self.nodes if node.is_on}, []
        while left:
            piece = self.reached(min(left, key=lambda node: node.name), lambda _node: True)
            sizes.append(len(piece))
            left -= piece
        return sorted(sizes, reverse=True)


def time_to_one_piece(nodes: int, seed: object, limit_us: int, profile: Changes = NONE) -> int:
    """Microseconds until sessions join a mesh of `nodes`, the first a bootstrap node on a host, to one piece; `limit_us`
    where they do not."""
    mesh = SwarmMesh(seed, profile=profile)
    for number in range(nodes):
        mesh.add(know=mesh.nodes[:1], profile=NONE if number else BOOTSTRAP, start_us=number * SECOND // 10)
    while mesh.clock.now_us < limit_us:
        mesh.clock.run_for(5 * SECOND)
        if mesh.components() == [nodes]:
            return mesh.clock.now_us
    return limit_us
