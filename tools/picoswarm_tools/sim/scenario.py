"""Scenarios: TOML files that say which nodes there are, where they stand, what happens to them, and what is expected.

`find` gives a `Scenario` by the name of a shipped one or from a file, each mistake in it named with its line. Every number
has its unit in its name; a share lies in 0..1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from picoswarm.errors import LocalError
from picoswarm.profile import Profile
from picoswarm_gateway.profile import with_table
from picoswarm_gateway.tomlfile import Mistakes, read, read_file

from ..boards import boards, numbers_of
from . import metrics, sense
from .nat import NatKind

FOLDER = Path(__file__).with_name("scenarios")
ROLES = ("board", "bootstrap", "gateway")
SITES = ("internet", "lan")
ROUTERS = tuple(kind.value for kind in NatKind)
FAULTS = ("power", "wifi", "partition")
LENGTHS = ("exponential", "weibull", "lognormal", "fixed")
TRAFFIC = ("publish", "request", "bulk")
KEY_CYCLES = 16_500_000  # of a key agreement: 0.13 s on an RP2040 of 125 MHz
MHZ = 125  # where no board is named
ATTACKS = ("sybil", "eclipse", "black hole", "replay", "flood")


class SiteTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[site]]`: a LAN, or a part of the internet."""

    name: str  # by which nodes and faults mean it
    kind: str = "lan"  # of SITES; every internet site is a region of the one internet
    nat: str = ""  # of ROUTERS: how the LAN's router lets answers in; empty: the LAN has no way out
    forward: list[str] = []  # groups of nodes to which the router lets callers in (port forwarding)
    region: str = ""  # of the internet, for `[[route]]`; empty: the name of an internet site
    latency_ms: float = 2.0  # of one way
    jitter_ms: float = 4.0  # 0 to this on top, drawn for each packet
    loss: float = 0.0  # share of packets
    duplicate: float = 0.0  # share of datagrams that come twice
    reorder: float = 0.0  # share of datagrams that come late
    reorder_ms: float = 200.0  # by this much
    kbps: float = 0.0  # kilobits a second that all nodes of the LAN share; 0: no limit
    queue_ms: float = 500.0  # what would wait longer is lost


class InternetTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[internet]`: what happens to packets between sites."""

    latency_ms: float = 20.0  # of one way, within a region
    jitter_ms: float = 20.0  # 0 to this on top
    loss: float = 0.0  # share of packets
    duplicate: float = 0.0  # share of datagrams that come twice
    reorder: float = 0.0  # share of datagrams that come late
    reorder_ms: float = 200.0  # by this much


class RouteTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[route]]`: what two regions lie apart."""

    between: list[str]  # two regions
    latency_ms: float  # on top, each way


class NodesTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[nodes]]`: a group of like nodes."""

    name: str  # of the group
    count: int = 1  # nodes
    site: str = ""  # where they stand; empty: on the internet, each at an address of its own
    board: str = ""  # a folder of boards/, such as RPI_PICO_W, or leaf; empty: the default profile
    role: str = "board"  # of ROLES; a gateway relays, with its own numbers; a bootstrap node without `board` has its table
    profile: dict[str, int] = {}  # numbers of the profile that differ
    from_s: float = 0.0  # when the first of them starts
    within_s: float = 10.0  # they start at random within this time
    know: list[str] = msgspec.field(
        default_factory=lambda: ["*"]
    )  # groups whose addresses they are given; "*": all bootstrap nodes and gateways; []: nobody
    follow: list[str] = []  # groups with whose nodes they always want a session (at most 2 a node, drawn)
    hear: list[str] = []  # topic filters they subscribe to
    awake_s: float = 0.0  # a node that sleeps: awake for this long ...
    every_s: float = 0.0  # ... out of this time; 0: always awake
    skew_ppm: int = 0  # clocks are wrong by up to this, either way, in millionths
    key_ms: float | None = None  # what a key agreement takes the processor; not given: by the board's clock (below)


class FaultTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[fault]]`: something fails and comes back."""

    kind: str  # of FAULTS
    at_min: float = 0.0  # when
    for_s: float = 60.0  # how long
    sites: list[str] = []  # who it hits: nodes of these sites, ...
    groups: list[str] = []  # ... or of these groups; neither: all nodes
    share: float = 1.0  # of them, drawn once
    every_min: float = 0.0  # 0: once; else again and again, at each node by itself, this long apart on average
    back_s: float = 0.0  # they come back at random within this time


class ChurnTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[churn]]`: nodes lose power now and then and come back."""

    groups: list[str] = []  # who; empty: all but gateways and bootstrap nodes
    lengths: str = "exponential"  # of LENGTHS: how long a node stays
    mean_min: float = 60.0  # on average
    shape: float = 0.6  # of the weibull or lognormal distribution
    off_s: float = 60.0  # away on average


class TrafficTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[traffic]]`: what nodes say to each other."""

    kind: str  # of TRAFFIC; bulk is a transfer as requests one after another, as a file is read
    groups: list[str] = []  # who begins; empty: all boards
    to: list[str] = []  # whom requests and bulk go to; empty: any node
    every_s: float = 60.0  # between two of one node, on average
    bytes: int = 32  # of a message or request, at most 360; of a whole transfer
    topic: str = ""  # that all publish under; empty: each node has a topic of its own ...
    subscribers: int = 3  # ... which this many others hear, gateways among them
    within_s: float = 10.0  # what arrives later is not delivered


class AttackTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[attack]]`: somebody means harm."""

    kind: str  # of ATTACKS
    count: int = 10  # attackers; members of the mesh, but for replay and flood, which are strangers
    at_min: float = 0.0  # when they begin
    site: str = ""  # where they stand; empty: on the internet
    addresses: int = 0  # IP addresses that they share; 0: each has its own /24
    victims: list[str] = []  # groups; of eclipse the first node of the first one; empty: all
    per_s: float = 10.0  # datagrams of each attacker, of replay and flood
    share: float = 0.9  # eclipse: attackers among the nodes nearest to the victim


class LookupsTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[lookups]`: nodes look for each other, to see whether they would find."""

    per_min: float = 0.0  # in the whole mesh


class ExpectTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[expect]]`: what makes the run a test."""

    metric: str  # its name in the summary
    at_least: float | None = None  # the smallest good value
    at_most: float | None = None  # the largest one


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    about: str = ""  # one sentence
    minutes: float = 10.0  # virtual time of the run
    settle_min: float = 2.0  # of these at the start: traffic and look-ups begin after them
    seed: int = 1  # another seed is another run
    sample_s: float = 10.0  # between two looks at the whole mesh
    site: list[SiteTable] = []
    internet: InternetTable = msgspec.field(default_factory=InternetTable)
    route: list[RouteTable] = []
    nodes: list[NodesTable] = []
    fault: list[FaultTable] = []
    churn: list[ChurnTable] = []
    traffic: list[TrafficTable] = []
    lookups: LookupsTable = msgspec.field(default_factory=LookupsTable)
    attack: list[AttackTable] = []
    expect: list[ExpectTable] = []

    def check(self, found: list[tuple[str, str]]) -> None:
        """See picoswarm_gateway.tomlfile."""
        self._check_words(found)
        self._check_names(found)
        self._check_numbers(found)
        for number, group in enumerate(self.nodes or ()):
            try:
                numbers(group)
            except FileNotFoundError:
                known = ", ".join(board["board"] for board in boards())
                found.append((f"nodes[{number}].board", f"there is no board {group.board} in boards/; known: {known}, leaf"))
            except (LocalError, TypeError) as error:
                found.append((f"nodes[{number}].profile", str(error)))
        for number, expected in enumerate(self.expect or ()):
            where = f"expect[{number}]"
            if expected.metric is not None and not metrics.exists(expected.metric):
                near = metrics.near(expected.metric)
                found.append((f"{where}.metric", f"there is no such metric{f'; did you mean {near}?' if near else ''}"))
            if expected.at_least is None and expected.at_most is None:
                found.append((where, "needs at_least or at_most"))
        if not found:
            sense.check(self, found)

    def _check_words(self, found: list[tuple[str, str]]) -> None:
        for table, key, words in _WORDS:
            for number, each in enumerate(getattr(self, table) or ()):
                word = getattr(each, key)
                if word is not None and word not in words:
                    listed = ", ".join(word for word in words if word)
                    found.append((f"{table}[{number}].{key}", f"one of {listed}"))

    def _check_names(self, found: list[tuple[str, str]]) -> None:
        sites, groups = [each.name for each in self.site or ()], [each.name for each in self.nodes or ()]
        for table, names in (("site", sites), ("nodes", groups)):
            for number, name in enumerate(names):
                if name in names[:number]:
                    found.append((f"{table}[{number}].name", f"there are two called {name}"))
        regions = {each.region or each.name for each in self.site or ()}
        if not groups:
            found.append(("nodes", "there is no group of nodes: a scenario needs one [[nodes]] at least"))
        for table, key, of in _NAMES:
            for number, each in enumerate(getattr(self, table) or ()):
                value = getattr(each, key)
                known = {"site": sites, "group": groups, "region": sorted(regions)}[of]
                for name in [value] if isinstance(value, str) else value or ():
                    if name and name != "*" and name not in known:
                        listed = ", ".join(known) or "none"
                        found.append((f"{table}[{number}].{key}", f"there is no {of} called {name}; known: {listed}"))
        for number, each in enumerate(self.route or ()):
            if each.between is not None and len(each.between) != 2:
                found.append((f"route[{number}].between", "two regions"))

    def _check_numbers(self, found: list[tuple[str, str]]) -> None:
        tables = [("", self), ("internet", self.internet), ("lookups", self.lookups)]
        for name in ("site", "route", "nodes", "fault", "churn", "traffic", "attack"):
            tables += [(f"{name}[{number}]", each) for number, each in enumerate(getattr(self, name) or ())]
        for path, table in tables:
            for field in msgspec.structs.fields(table):
                value = getattr(table, field.name)
                if isinstance(value, bool) or not isinstance(value, (int, float)) or field.name == "seed":
                    continue
                here = f"{path}.{field.name}".lstrip(".")
                if value < 0:
                    found.append((here, "not below 0"))
                elif field.name in ("loss", "duplicate", "reorder", "share") and value > 1:
                    found.append((here, "a share lies in 0..1"))
                elif field.name in POSITIVE and not value:
                    found.append((here, "more than 0"))
        for number, each in enumerate(self.nodes or ()):
            if each.awake_s and each.every_s is not None and each.awake_s >= each.every_s:
                found.append((f"nodes[{number}].awake_s", "less than every_s"))
        for number, each in enumerate(self.traffic or ()):
            if each.every_s == 0:
                found.append((f"traffic[{number}].every_s", "more than 0"))
            if each.kind in ("publish", "request") and (each.bytes or 0) > 360:
                found.append((f"traffic[{number}].bytes", "at most 360; a transfer is of the kind bulk"))


POSITIVE = ("minutes", "sample_s", "count", "for_s", "mean_min", "shape", "per_s")
_WORDS = (
    ("site", "kind", SITES),
    ("site", "nat", ("", *ROUTERS)),
    ("nodes", "role", ROLES),
    ("fault", "kind", FAULTS),
    ("churn", "lengths", LENGTHS),
    ("traffic", "kind", TRAFFIC),
    ("attack", "kind", ATTACKS),
)
_NAMES = (
    ("site", "forward", "group"),
    ("route", "between", "region"),
    ("nodes", "site", "site"),
    ("nodes", "know", "group"),
    ("nodes", "follow", "group"),
    ("fault", "sites", "site"),
    ("fault", "groups", "group"),
    ("churn", "groups", "group"),
    ("traffic", "groups", "group"),
    ("traffic", "to", "group"),
    ("attack", "site", "site"),
    ("attack", "victims", "group"),
)


def numbers(group: NodesTable) -> dict[str, int]:
    """In what the profile of a group differs from the default one. Raises LocalError, FileNotFoundError."""
    own = group.profile or {}
    changes: dict[str, int] = dict(numbers_of(group.board)) if group.board else {}
    if group.role == "gateway":
        from .gateway_node import numbers as of_gateway

        changes.update(of_gateway(own))
    elif group.role == "bootstrap":
        from .mesh import BOOTSTRAP

        changes.update(BOOTSTRAP if group.board else with_table({**BOOTSTRAP, **own}))
    changes.update(own)
    Profile(**changes).check()
    return changes


def key_ms(group: NodesTable) -> float:
    """Milliseconds that a key agreement takes the processor of a node: those of the file, none on a computer, or what the
    board's clock makes of an RP2040's cycles."""
    if group.key_ms is not None:
        return group.key_ms
    if group.role != "board":
        return 0.0
    mhz = next((board["mhz"] for board in boards() if board["board"] == group.board), MHZ)
    return round(KEY_CYCLES / mhz / 1000, 1)


def shipped() -> dict[str, Path]:
    """The ready scenarios, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def find(name: str) -> tuple[str, Scenario]:
    """(name, Scenario) of a shipped one, or of a file. Raises Mistakes."""
    path = shipped().get(name)
    if path is None and not Path(name).is_file():
        raise Mistakes(Path(name), [(0, f"neither a file nor one of {', '.join(shipped())}")])
    path = path or Path(name)
    return path.stem, read_file(Scenario, path)


def parse(text: str, name: str = "scenario") -> Scenario:
    """A Scenario from TOML. Raises Mistakes."""
    return read(Scenario, text, Path(name))


def as_dict(scenario: Scenario) -> dict[str, Any]:
    """A scenario as plain values."""
    return msgspec.to_builtins(scenario)
