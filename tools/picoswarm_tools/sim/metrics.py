"""What a run gives as figures: their names, units and meanings. `exists` and `near` check a name of a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from .measure import mean, percentile

# Single figures: name -> (unit, meaning)
SINGLE = {
    "join.share": ("share", "boots of nodes that joined within 60 s"),
    "rejoin.share": ("share", "the same, of nodes that a power fault had cut"),
    "mesh.pieces": ("pieces", "into which sessions join the nodes that are on, at the end"),
    "mesh.share": ("share", "nodes that are on in the largest piece, at the end"),
    "mesh.links": ("sessions", "of a node that is on, at the end, mean"),
    "lookup.found": ("share", "look-ups that found the wanted node, which was on"),
    "lookup.discv4.bytes": ("B", "the same look-ups by the rules and messages of Ethereum's discv4, nothing lost"),
    "lookup.mainline.bytes": ("B", "the same by those of BitTorrent's DHT"),
    "publish.sent": ("messages", "published"),
    "publish.due": ("messages", "due to subscribers with a chain of sessions to the publisher"),
    "publish.delivery": ("share", "of those delivered in time"),
    "publish.repeated": ("messages", "that an application got twice"),
    "request.asked": ("requests", "made"),
    "request.answered": ("share", "of requests answered in time"),
    "bulk.begun": ("transfers", "begun"),
    "bulk.done": ("share", "of transfers that came to their end"),
    "udp.bytes_per_node_hour": ("B", "of datagrams that a node sends in an hour"),
    "tcp.bytes_per_node_hour": ("B", "that a node writes to sessions in an hour"),
    "packets.mean_per_second": ("packets/s", "of the whole mesh"),
    "packets.peak_per_second": ("packets/s", "in the busiest second"),
    "packets.peak_per_node": ("packets/s", "in the busiest second, by nodes that were on"),
    "table.live": ("nodes", "that a node would hand out, at the end, mean"),
    "table.dead_share": ("share", "of those that are off, at the end"),
    "attack.table_share": ("share", "attackers in the tables of honest nodes, at the end"),
    "attack.answers": ("datagrams", "that strangers got as an answer"),
    "eclipse.found": (
        "share",
        "of look-ups of the victim and for it that found, where honest tables led to the wanted node",
    ),
}

# Distributions: name -> (unit, meaning), each with .p50 .p90 .p99 .mean .max
SPREAD = {
    "join.seconds": ("s", "from power on to the end of the first look-up of itself"),
    "session.seconds": ("s", "from power on to the first session"),
    "rejoin.seconds": ("s", "join.seconds of nodes that a power fault had cut"),
    "heal.seconds": ("s", "from the end of a fault until 99 % of all nodes that are on are one piece"),
    "lookup.seconds": ("s", "a look-up takes"),
    "lookup.hops": ("nodes", "one after another that had to be asked"),
    "lookup.queries": ("queries", "sent for a look-up"),
    "lookup.bytes": ("B", "both ways that the looking node had meanwhile, its upkeep's among them"),
    "publish.seconds": ("s", "from publishing to delivery"),
    "request.seconds": ("s", "from asking to the answer, the session included"),
    "bulk.kbps": ("kbit/s", "of a transfer"),
}
FIGURES = ("p50", "p90", "p99", "mean", "max")


def names() -> list[str]:
    """All names."""
    return [*SINGLE, *(f"{name}.{figure}" for name in SPREAD for figure in FIGURES)]


def exists(name: str) -> bool:
    """Whether there is such a figure."""
    return name in names()


def near(name: str) -> str:
    """The name that somebody probably meant, or ""."""
    return next(iter(get_close_matches(name, names(), 1)), "")


def unit(name: str) -> str:
    """The unit of a figure."""
    return (SINGLE.get(name) or SPREAD.get(name.rpartition(".")[0]) or ("", ""))[0]


def meaning(name: str) -> str:
    """What a figure says."""
    if name in SINGLE:
        return SINGLE[name][1]
    base, _, figure = name.rpartition(".")
    return f"{SPREAD[base][1]}, {figure}" if base in SPREAD else ""


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """The figures of a distribution; none where nothing was measured."""
    if not values:
        return {}
    found = {f"{name}.p{round(share * 100)}": percentile(values, share) for share in (0.5, 0.9, 0.99)}
    return {**found, f"{name}.mean": mean(values), f"{name}.max": max(values)}


def quantiles(values: Sequence[float]) -> list[float]:
    """101 values, the least to the largest: what a curve of the distribution is drawn from."""
    ordered = sorted(values)
    return [rounded(ordered[round(share / 100 * (len(ordered) - 1))]) for share in range(101)] if ordered else []


def rounded(value: float) -> float:
    """With six digits, as it stands in results."""
    return value if isinstance(value, int) else float(f"{value:.6g}")
