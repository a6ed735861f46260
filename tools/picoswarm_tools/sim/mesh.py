"""A mesh of discovery nodes: the library's `Discovery` engines in one virtual network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from picoswarm.crypto import run
from picoswarm.discovery import LOOKUP_DONE, Discovery
from picoswarm.ed25519 import PublicKey
from picoswarm.identity import Keyring, is_valid_id
from picoswarm.membership import Membership, NetworkKey
from picoswarm.nodekey import Identity, short
from picoswarm.profile import Profile
from picoswarm.sha512 import sha512

from . import stream
from .clock import MILLISECOND, SECOND, Clock
from .host import Host
from .kernels import remember
from .liar import Liar, Lie
from .nat import Address
from .network import INTERNET, Conditions, Endpoint, Lan, Network, Segment

PORT = 7483

Changes = Mapping[str, int]  # of a profile's numbers, by name
NONE: Changes = {}

# What a bootstrap node on a host allows itself beyond a board's profile: many newcomers at once are its daily work.
BOOTSTRAP: Changes = {
    "bootstrap": 1,
    "own_keys": 64,
    "own_key_ms": 50,
    "inbound_keys": 64,
    "inbound_key_ms": 50,
    "deferred": 32,
    "pending": 32,
    "stranger_per_second": 100,
    "proven_per_second": 100,
}


def create_identity(rng: Random) -> Identity:
    """A node key, as `nodekey.Create` makes it but for that one's garbage collections, which for a thousand nodes in one
    process would take longer than all the rest."""
    while True:
        seed = rng.randbytes(32)
        id32 = run(PublicKey(seed))
        if is_valid_id(id32):
            private = bytearray(sha512(seed)[:32])
            private[0] &= 0xF8
            private[31] = private[31] & 0x3F | 0x40
            return Identity(seed, bytes(private), id32)


@dataclass(slots=True)
class Search:
    """One lookup of one node. `closest` holds the ids of the nodes that answered, the closest first."""

    target: bytes
    begun_us: int
    ended_us: int | None = None
    found: bool = False
    queries: int = 0
    bytes: int = 0  # of datagrams that the node sent and received meanwhile, its upkeep's among them
    closest: list[bytes] = field(default_factory=list)
    by: bytes = b""  # id of the node that looks

    @property
    def is_done(self) -> bool:
        return self.ended_us is not None


class Node(Host):
    """A host with an identity, which it keeps over power cuts, and what it is told at boot."""

    engine: Discovery | None

    def __init__(
        self,
        mesh: Mesh,
        identity: Identity,
        profile: Profile,
        segment: Segment,
        address: Address,
        key_ms: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(mesh.network, segment, *address, self._boot_engine, work_ms=key_ms, **options)
        self.key_us = round(key_ms * MILLISECOND)
        self.identity = identity
        self.profile = profile
        self.know: list[tuple[bytes | None, Address]] = []  # bootstrap nodes: id (None: not known), address
        self.saved: list[tuple[bytes, Address]] = []  # what its node database gives it at boot
        self.events: list[tuple[Any, ...]] | None = None  # set to a list to keep every event
        self.on_event = self._note
        self._mesh = mesh
        self._running: list[tuple[Any, Search]] = []

    @property
    def id(self) -> bytes:
        return self.identity.id

    def __repr__(self) -> str:
        return f"<{self.name} {short(self.id)}{'' if self.is_on else ' off'}>"

    def has_work(self) -> bool:
        return self.engine is not None and self.engine.agreements.is_ready(self.now)

    def _work(self) -> None:
        """With the kernels of a computer a key agreement has two slices: it is taken up, and it is done."""
        assert self.engine is not None
        self.engine.work()
        super()._work()

    def _deadline(self) -> int | None:
        """While a key agreement is under way the engine is not due for the next one."""
        engine = self.engine
        assert engine is not None
        if self._work_timer is None or self._work_timer.action is None:
            return super()._deadline()
        due: int = engine.upkeep.next_time(engine.requests.next_time(engine.revalidation.due))
        return due

    def find(self, target: bytes, full: bool = False) -> Search:
        """Begin a lookup; run the clock until it is done. Where the engine has no lookup free it begins a second later."""
        search = Search(target, self.clock.now_us, by=self.id)
        self._begin(search, full)
        return search

    def _begin(self, search: Search, full: bool) -> None:
        if self.engine is None:
            return
        handle = self.engine.find(search.target, self.now, full)
        if handle is None:
            self.clock.after(SECOND, self._begin, search, full)
            return
        search.begun_us = self.clock.now_us
        search.bytes = -self.endpoint.sent_bytes - self.endpoint.received_bytes
        self._running.append((handle, search))
        self.turn()

    @property
    def has_joined(self) -> bool:
        """Whether the first self lookup has ended with a live node in the table."""
        return self.engine is not None and self.engine.upkeep.is_joined

    def entries(self) -> list[tuple[bytes, Address, bool]]:
        """The table: id, address, and whether the entry is live (handed out)."""
        assert self.engine is not None
        table = self.engine.table
        found = []
        for at in range(0, len(table.pool), table.step):
            if table.is_entry(at):
                port = table.pool[at + 56] << 8 | table.pool[at + 57]
                found.append((bytes(table.pool[at : at + 32]), (table.ip(at), port), table.is_live(at)))
        return found

    def live_ids(self) -> set[bytes]:
        """The ids that this node would hand out."""
        return {id32 for id32, _, is_live in self.entries() if is_live}

    def power_off(self) -> None:
        super().power_off()
        self._running.clear()

    def _boot_engine(self, _host: Host, rng: Any, now: int) -> Discovery:
        return self._make_engine(rng, now, Membership(self._mesh.network_key))

    def _make_engine(self, rng: Any, now: int, keys: Keyring) -> Discovery:
        segment = self.endpoint.segment
        prefix = segment.subnet.prefixlen if isinstance(segment, Lan) else 0
        engine = Discovery(self.profile, self.identity, keys, rng, now, *self.endpoint.address, prefix=prefix)
        for id32, (ip, port) in self.know:
            engine.add_bootstrap(ip, port, id32)
        for id32, (ip, port) in self.saved:
            engine.add_seed(id32, ip, port)
        return engine

    def _note(self, _host: Host, event: tuple[Any, ...]) -> None:
        if self.events is not None:
            self.events.append(event)
        if event[0] != LOOKUP_DONE:
            return
        for place, (handle, search) in enumerate(self._running):
            if handle is event[1]:
                search.ended_us = self.clock.now_us
                search.found = handle.is_found
                search.bytes += self.endpoint.sent_bytes + self.endpoint.received_bytes
                search.queries = handle.queries
                search.closest = [result[0] for result in handle.results()]
                del self._running[place]
                return


class Mesh:
    """Every node of one simulation, and the truth about them."""

    def __init__(
        self, seed: object, conditions: Conditions = INTERNET, key_ms: float = 0.0, profile: Changes = NONE
    ) -> None:
        """`key_ms`: what a key agreement takes a node's processor, of those that are not given a number of their own.
        `profile` changes numbers of every node's profile."""
        self.seed = seed
        self.clock = Clock()
        self.network = Network(self.clock, seed, conditions)
        self.network_key = remember(NetworkKey(stream(seed, "network key").randbytes(32), 0))
        self.nodes: list[Node] = []
        self._key_ms = key_ms
        self._profile = profile
        self._identities = stream(seed, "identity")
        self._by_address: dict[Address, Node] = {}

    def add(
        self,
        *,
        know: Iterable[Node] = (),
        is_id_known: bool = True,
        start_us: int | None = 0,
        segment: Segment | None = None,
        ip: str | None = None,
        port: int = PORT,
        first_tick: int | None = None,
        profile: Changes = NONE,
        identity: Identity | None = None,
        skew_ppm: int = 0,
        key_ms: float | None = None,
        **more: Any,
    ) -> Node:
        """A node that boots at `start_us` (None: whenever somebody gives it power) and is told the addresses (and ids) of
        `know`. Without `ip`, a public address of
        its own /24."""
        number = len(self.nodes)
        address = bytes((20 + (number >> 16), number >> 8 & 255, number & 255, 1)) if ip is None else ip
        node = self._make(
            identity or create_identity(self._identities),
            Profile(**{**self._profile, **profile}).check(),
            segment or self.network.internet,
            (address, port),  # type: ignore[arg-type]
            name=number,
            seed=self.seed,
            key_ms=self._key_ms if key_ms is None else key_ms,
            first_tick=first_tick,
            skew_ppm=skew_ppm,
            **more,
        )
        node.know = [(other.id if is_id_known else None, other.endpoint.address) for other in know]
        self.nodes.append(node)
        self._by_address[node.endpoint.address] = node
        if start_us is None:
            node.endpoint.is_up = False
        else:
            self.clock.at(start_us, node.power_on)
        return node

    def _make(self, *arguments: Any, **options: Any) -> Node:
        return Node(self, *arguments, **options)

    def live(self) -> list[Node]:
        """The nodes that are on."""
        return [node for node in self.nodes if node.is_on]

    def closest_live(self, target: bytes, n: int, but: Node | None = None) -> list[Node]:
        """The truth: the `n` live nodes closest to `target`, the closest first."""
        wanted = int.from_bytes(target)
        others = (node for node in self.nodes if node.is_on and node is not but)
        return sorted(others, key=lambda node: int.from_bytes(node.id) ^ wanted)[:n]

    def identify(self, address: Address) -> Identity | None:
        """Who is at a public address."""
        node = self._by_address.get(address)
        return None if node is None else node.identity

    def make_liar(self, node: Node, lie: Lie) -> Liar:
        """Let `node` lie from now on."""
        liar = Liar(
            lie,
            node.identity,
            Membership(self.network_key),
            stream(self.seed, "liar", node.name),
            self.identify,
            lambda: [(other.id, other.endpoint.address) for other in self.nodes if other.is_on],
        )
        node.incoming, node.outgoing = liar.incoming, liar.outgoing
        return liar

    def partition(self, *sides: Iterable[Node]) -> None:
        """Cut the network between groups of nodes."""
        self.network.partition(*([node.endpoint for node in side] for side in sides))

    def endpoints(self) -> list[Endpoint]:
        return [node.endpoint for node in self.nodes]
