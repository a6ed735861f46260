"""The figures of a run, at its end, from what its observer saw. Their names are those of `metrics`."""

from __future__ import annotations

from typing import Any

from . import compare
from .clock import SECOND
from .measure import mean
from .mesh import Search
from .metrics import rounded, spread
from .watch import Watch

HOUR_US = 3600 * SECOND
COMPARED = 200  # look-ups that are run again by the rules of others


def summary(watch: Watch) -> dict[str, float]:
    """All single figures, and those of the distributions; one that was not measured is missing."""
    world, traffic, attacks = watch.world, watch.traffic.ledgers, watch.attacks
    now_us = world.clock.now_us
    node_us = watch.node_us + sum(now_us - since_us for since_us in watch.since_us.values())
    hours = max(1e-9, node_us / HOUR_US)
    pieces = watch.pieces()
    on = sum(map(len, pieces))
    totals = watch.totals()
    live, dead, bad = watch.tables()
    publish, request, bulk = traffic["publish"], traffic["request"], traffic["bulk"]
    found: dict[str, float | None] = {
        "join.share": _share(watch.joined_in_time, watch.boots),
        "rejoin.share": _share(watch.rejoined_in_time, watch.reboots),
        "mesh.pieces": len(pieces),
        "mesh.share": _share(len(pieces[0]) if pieces else 0, on),
        "mesh.links": mean([len(node.swarm.peers) for node in world.honest() if node.is_on]) if on else None,
        "lookup.found": _share(sum(search.found for search in watch.searches), len(watch.searches)),
        "publish.sent": publish.begun or None,
        "publish.due": publish.due or None,
        "publish.delivery": _share(publish.good, publish.due),
        "publish.repeated": publish.repeated if publish.begun else None,
        "request.asked": request.begun or None,
        "request.answered": _share(request.good, request.due),
        "bulk.begun": bulk.begun or None,
        "bulk.done": _share(bulk.good, bulk.due),
        "udp.bytes_per_node_hour": totals["udp_bytes"] / hours,
        "tcp.bytes_per_node_hour": totals["tcp_bytes"] / hours,
        "packets.mean_per_second": (totals["udp"] + totals["tcp"]) / (now_us / SECOND),
        "packets.peak_per_second": watch.peak,
        "packets.peak_per_node": watch.peak_share,
        "table.live": live,
        "table.dead_share": dead,
        "attack.table_share": bad if world.attackers else None,
        "attack.answers": attacks.answers() if attacks.strangers else None,
        "eclipse.found": _share(sum(watch.pairs), len(watch.pairs)),
        **_others(watch),
    }
    for name, values in spreads(watch).items():
        found.update(spread(name, values))
    return {name: rounded(value) for name, value in found.items() if value is not None}


def spreads(watch: Watch) -> dict[str, list[float]]:
    """Every value of what is given as a distribution."""
    done = [search for search in watch.searches if search.is_done]
    ledgers = watch.traffic.ledgers
    return {
        "join.seconds": watch.joins,
        "session.seconds": watch.sessions,
        "rejoin.seconds": watch.rejoins,
        "heal.seconds": watch.heals,
        "lookup.seconds": [_seconds(search) for search in done],
        "lookup.hops": watch.hops,  # type: ignore[dict-item]
        "lookup.queries": [search.queries for search in done],
        "lookup.bytes": [search.bytes for search in done],
        "publish.seconds": ledgers["publish"].seconds,
        "request.seconds": ledgers["request"].seconds,
        "bulk.kbps": watch.traffic.kbps,
    }


def by_group(watch: Watch) -> list[dict[str, Any]]:
    """What each group of nodes sent, and the most sessions that one of its nodes had."""
    world = watch.world
    hours = max(1e-9, world.clock.now_us / HOUR_US)
    found = []
    for name, nodes in world.groups.items():
        table = world.group_of[nodes[0]]
        found.append(
            {
                "name": name,
                "board": table.board,
                "role": "attacker" if nodes[0] in world.attackers else table.role,
                "profile": table.profile,
                "nodes": len(nodes),
                "udp": rounded(sum(node.endpoint.sent_bytes for node in nodes) / len(nodes) / hours),
                "tcp": rounded(sum(node.tcp_host.sent_bytes for node in nodes) / len(nodes) / hours),
                "sessions": watch.most_sessions.get(name, 0),
            }
        )
    return found


def _others(watch: Watch) -> dict[str, float | None]:
    """What the last look-ups would have cost by the rules of other protocols, over the tables as they are at the end."""
    asked = watch.searches[-COMPARED:]
    if not asked:
        return {}
    mesh = watch.world.mesh
    tables = {int.from_bytes(node.id): [int.from_bytes(id32) for id32 in sorted(node.live_ids())] for node in mesh.live()}
    costs = {}
    for protocol in (compare.Discv4(), compare.Mainline()):
        bytes_ = [
            compare.lookup(protocol, tables, own, tables[own], int.from_bytes(search.target)).known_bytes
            for search in asked
            if (own := int.from_bytes(search.by)) in tables
        ]
        costs[f"lookup.{protocol.name}.bytes"] = mean(bytes_) if bytes_ else None
    return costs


def _seconds(search: Search) -> float:
    assert search.ended_us is not None
    return (search.ended_us - search.begun_us) / SECOND


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
