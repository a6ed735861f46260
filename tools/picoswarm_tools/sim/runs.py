"""Runs that are measured: a mesh is grown, hurt, and made to look up, to join and to idle.

Tables are grown by the protocol itself from one bootstrap node. Then a fifth of all nodes dies at once, so that every table
is as wrong as it will ever be, and each scenario runs in a forked copy of that moment (`fork.futures`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from . import compare, stream
from .clock import MINUTE, SECOND
from .liar import Liar, Lie
from .measure import FIND_NODE, PING, Exchange, Exchanges, mean, named_ids
from .mesh import BOOTSTRAP, Mesh, Node, Search
from .nat import Address
from .network import Fate

DEAD = 0.2  # share of all nodes that dies before the lookups
LIARS = 0.1
LOSS = 0.1
_SETTLE_MIN = 60  # virtual minutes after the last node's start: every node has refreshed at least once
_ROUND_S = 60  # every node begins at most one lookup in this time
IDLE_MIN = 30
JOIN_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Figures:
    """One lookup as it went."""

    known_bytes: int  # both ways, without the pings that introduced new contacts
    cold_bytes: int  # both ways, everything that the asker asked meanwhile
    queries: int  # FIND_NODE sent
    is_right: bool  # early stop: the wanted id was found; full rule: the result is the true set
    seconds: float


@dataclass(frozen=True, slots=True)
class Joins:
    """What each newcomer had when its first self lookup ended."""

    bytes: list[float]  # all that it sent and received
    contacts: list[float]  # live nodes that it knew, from its table or by name
    entries: list[float]  # those of them in its table, proven
    seconds: list[float]


@dataclass(frozen=True, slots=True)
class Idle:
    """What the nodes sent in a quiet time."""

    bytes_per_minute: float
    messages_per_minute: float
    liveness: list[float]
    largest: int
    amplified: int


def grow(nodes: int, seed: int) -> Mesh:
    """A mesh of `nodes` board nodes beside one bootstrap node, an hour after the last of them started."""
    mesh = Mesh(seed)
    bootstrap = mesh.add(profile=BOOTSTRAP)
    starts = stream(seed, "start")
    spread_s = max(60, nodes)
    for _ in range(nodes):
        mesh.add(know=[bootstrap], start_us=SECOND + starts.randrange(spread_s * SECOND))
    mesh.clock.run_for(spread_s * SECOND + _SETTLE_MIN * MINUTE)
    return mesh


def kill(mesh: Mesh) -> None:
    """Cut the power of a fifth of the nodes, the bootstrap node never among them."""
    boards = mesh.nodes[1:]
    for node in stream(mesh.seed, "dead").sample(boards, round(len(boards) * DEAD)):
        node.power_off()


def dead_share(mesh: Mesh) -> float:
    """The share of dead nodes among what live nodes would hand out."""
    on = {node.id for node in mesh.live()}
    held = [id32 for node in mesh.live() for id32 in node.live_ids()]
    return sum(id32 not in on for id32 in held) / len(held)


def pairs(mesh: Mesh, lookups: int) -> Iterator[tuple[Node, Node]]:
    """Who looks for whom, the same in every scenario: each node in turn, for a random live other."""
    rng = stream(mesh.seed, "lookup")
    boards = [node for node in mesh.nodes[1:] if node.is_on]
    order: list[Node] = []
    for _ in range(lookups):
        if not order:
            order = rng.sample(boards, len(boards))
        node = wanted = order.pop()
        while wanted is node:
            wanted = rng.choice(boards)
        yield node, wanted


def look_up(mesh: Mesh, lookups: int, is_full: bool) -> list[Figures]:
    """Run lookups, at most one at a time in every node, and take down each one's cost."""
    rng = stream(mesh.seed, "moment")
    exchanges = Exchanges(mesh.network_key)
    mesh.network.taps.append(exchanges)
    begun: list[tuple[Node, Node, Search]] = []

    def begin(node: Node, wanted: Node) -> None:
        target = rng.randbytes(32) if is_full else wanted.id
        begun.append((node, wanted, node.find(target, full=is_full)))

    todo = list(pairs(mesh, lookups))
    boards = sum(node.is_on for node in mesh.nodes[1:])
    for first in range(0, lookups, boards):
        for node, wanted in todo[first : first + boards]:
            mesh.clock.after(rng.randrange(_ROUND_S * SECOND), begin, node, wanted)
        mesh.clock.run_for(_ROUND_S * SECOND)
        mesh.clock.run_while(lambda: not all(search.is_done for *_, search in begun), 10 * MINUTE)
    mesh.clock.run_for(5 * SECOND)  # the last answers
    by_asker: dict[Any, list[Exchange]] = defaultdict(list)
    for exchange in exchanges.all:
        by_asker[exchange.asker].append(exchange)
    return [_figures(mesh, by_asker[node.endpoint.address], node, wanted, search, is_full) for node, wanted, search in begun]


def _figures(mesh: Mesh, asked: list[Exchange], node: Node, wanted: Node, search: Search, is_full: bool) -> Figures:
    if search.ended_us is None:
        raise RuntimeError(f"the lookup of {node} for {search.target.hex()} never ended")
    begun = bisect_left(asked, search.begun_us, key=lambda exchange: exchange.at_us)
    ended = bisect_right(asked, search.ended_us, key=lambda exchange: exchange.at_us)
    own = asked[begun:ended]
    queries = [exchange for exchange in own if exchange.kind == FIND_NODE]
    proof = [
        exchange for exchange in own if exchange.kind == PING and not is_full and exchange.asked == wanted.endpoint.address
    ]
    if is_full:
        is_right = set(search.closest) == {other.id for other in mesh.closest_live(search.target, 8, but=node)}
    else:
        is_right = search.found and search.closest[:1] == [wanted.id]
    return Figures(
        known_bytes=sum(exchange.bytes for exchange in queries + proof),
        cold_bytes=sum(exchange.bytes for exchange in own),
        queries=search.queries,  # the node's own upkeep may look up meanwhile
        is_right=is_right,
        seconds=(search.ended_us - search.begun_us) / SECOND,
    )


def lossy(mesh: Mesh) -> None:
    """Lose a tenth of all datagrams from now on."""
    internet = mesh.network.internet
    internet.conditions = replace(internet.conditions, loss=LOSS)


def corrupt(mesh: Mesh, *lies: Lie) -> list[Liar]:
    """Make a tenth of the live nodes lie, in turn in each of the ways given; returns those."""
    boards = [node for node in mesh.nodes[1:] if node.is_on]
    chosen = stream(mesh.seed, "liars").sample(boards, round(len(boards) * LIARS))
    return [mesh.make_liar(node, lies[number % len(lies)]) for number, node in enumerate(chosen)]


def join(mesh: Mesh, joins: int) -> Joins:
    """New nodes that know the address of the bootstrap node alone, one after another, until their self lookup is done."""
    figures = Joins([], [], [], [])
    on = {node.id for node in mesh.live()}
    named: set[bytes] = set()

    def listen(_us: int, fate: Fate, _source: Address, to: Address, datagram: bytes) -> None:
        if fate is Fate.DELIVERED and to == node.endpoint.address:
            named.update(named_ids(mesh.network_key, datagram))

    for _ in range(joins):
        named.clear()
        node = mesh.add(know=[mesh.nodes[0]], is_id_known=False, start_us=mesh.clock.now_us)
        mesh.network.taps.append(listen)
        begun_us = mesh.clock.now_us
        while not node.has_joined:
            if not mesh.clock.step(begun_us + JOIN_LIMIT_S * SECOND):
                raise RuntimeError(f"{node} did not join within {JOIN_LIMIT_S} s")
        figures.seconds.append((mesh.clock.now_us - begun_us) / SECOND)
        figures.bytes.append(node.endpoint.sent_bytes + node.endpoint.received_bytes)
        held = node.live_ids() & on
        figures.entries.append(len(held))
        figures.contacts.append(len(held | named & on))
        mesh.network.taps.remove(listen)
        mesh.clock.run_for(5 * SECOND)
    return figures


def idle(mesh: Mesh) -> Idle:
    """A quiet half hour, refreshes included."""
    exchanges = Exchanges(mesh.network_key)
    mesh.network.taps.append(exchanges)
    boards = mesh.nodes[1:]
    before = sum(node.endpoint.sent_bytes for node in boards), sum(node.endpoint.sent_n for node in boards)
    mesh.clock.run_for(IDLE_MIN * MINUTE)
    after = sum(node.endpoint.sent_bytes for node in boards), sum(node.endpoint.sent_n for node in boards)
    minutes = IDLE_MIN * len(boards)
    pings = [exchange for exchange in exchanges.all if exchange.kind == PING and exchange.answers == 1]
    return Idle(
        bytes_per_minute=(after[0] - before[0]) / minutes,
        messages_per_minute=(after[1] - before[1]) / minutes,
        liveness=[exchange.bytes for exchange in pings],
        largest=exchanges.largest,
        amplified=sum(exchange.answer_bytes > exchange.request_bytes for exchange in pings),
    )


def model(mesh: Mesh, lookups: int) -> dict[str, tuple[float, float]]:
    """Bytes of a lookup and of a join by protocol, over the tables as they are and for the same lookups."""
    tables = {int.from_bytes(node.id): [int.from_bytes(id32) for id32 in sorted(node.live_ids())] for node in mesh.live()}
    wanted = [(int.from_bytes(node.id), int.from_bytes(other.id)) for node, other in pairs(mesh, lookups)]
    rng = stream(mesh.seed, "model")
    joiners = [rng.getrandbits(256) for _ in range(max(20, lookups // 20))]
    bootstrap = int.from_bytes(mesh.nodes[0].id)
    costs = {}
    for protocol in (compare.Discv4(), compare.Mainline()):
        known = [compare.lookup(protocol, tables, own, tables[own], target).known_bytes for own, target in wanted]
        cold = [compare.lookup(protocol, tables, own, [bootstrap], own).cold_bytes for own in joiners]
        costs[protocol.name] = mean(known), mean(cold)
    return costs


def scenarios(mesh: Mesh, lookups: int) -> dict[str, Callable[[], Any]]:
    """What is run, each in its own copy of the mesh. All but the idle one begin with the death of a fifth of the nodes."""

    def after(*changes: Callable[[], object], then: Callable[[], Any]) -> Callable[[], Any]:
        def work() -> Any:
            kill(mesh)
            for change in changes:
                change()
            return then()

        return work

    def early() -> list[Figures]:
        return look_up(mesh, lookups, is_full=False)

    def full() -> list[Figures]:
        return look_up(mesh, lookups, is_full=True)

    return {
        "early": after(then=early),
        "full": after(then=full),
        "early.loss": after(lambda: lossy(mesh), then=early),
        "full.loss": after(lambda: lossy(mesh), then=full),
        "early.far": after(lambda: corrupt(mesh, Lie.FAR), then=early),
        "early.invented": after(lambda: corrupt(mesh, Lie.INVENTED), then=early),
        "full.invented": after(lambda: corrupt(mesh, Lie.INVENTED), then=full),
        "join": after(then=lambda: join(mesh, max(20, lookups // 20))),
        "tables": after(
            then=lambda: (dead_share(mesh), mean([len(node.live_ids()) for node in mesh.live()]), model(mesh, lookups))
        ),
        "idle": lambda: idle(mesh),
    }
