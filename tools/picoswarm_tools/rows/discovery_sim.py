"""Rows of discovery in the virtual network: what a lookup, a join and an idle minute cost among a thousand real engines.

How they are measured stands in `picoswarm_tools.sim.runs`. Beside them, over the same tables and for the same lookups, the
messages of Ethereum's discv4 and of BitTorrent's mainline DHT are counted.

    python -m picoswarm_tools.rows.discovery_sim --nodes 200 --lookups 300
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

from ..report import Row
from ..sim import runs
from ..sim.clock import MINUTE
from ..sim.fork import futures
from ..sim.measure import mean, percentile

# Scenario of runs.scenarios -> what the answer must be right in, at least.
_RIGHT_GOALS = {
    "early": 0.995,
    "early.loss": 0.99,
    "early.far": 0.95,
    "early.invented": 0.95,
    "full": 0.99,
    "full.loss": 0.98,
    "full.invented": 0.95,
}
_TROUBLES = {
    "": "",
    "loss": f", {runs.LOSS:.0%} of datagrams lost",
    "far": f", {runs.LIARS:.0%} of nodes name nobody closer",
    "invented": f", {runs.LIARS:.0%} of nodes invent ids near the target",
}


def measure(nodes: int = 1000, lookups: int = 2000, seed: int = 1, jobs: int = 2) -> Iterator[Row]:
    """Every row, as soon as its scenario is done: `nodes` live ones, `lookups` in each, `jobs` scenarios at a time."""
    began = time.process_time()
    grown = nodes * 5 // 4
    mesh = runs.grow(grown, seed)
    method = (
        f"{grown} engines grow a mesh and settle: {mesh.clock.now_us // MINUTE} virtual minutes, {mesh.clock.events} events"
    )
    yield _row("sim.grow.cpu_seconds", "processor time to grow the mesh", time.process_time() - began, "s", method)
    works = runs.scenarios(mesh, lookups)
    context = f"{nodes} live engines of {grown}, {lookups} lookups, seed {seed}"
    dead = f"{context}, a fifth of all nodes just dead"
    for name, result in zip(works, futures(list(works.values()), jobs), strict=True):
        if name == "join":
            yield from _join_rows(result, dead)
        elif name == "idle":
            yield from _idle_rows(result, f"{context}, nobody dead, {runs.IDLE_MIN} virtual minutes, refreshes included")
        elif name == "tables":
            share, live, costs = result
            yield from _table_rows(share, live, costs, dead)
        else:
            yield from _lookup_rows(name, result, dead)


def _row(id_: str, what: str, value: float, unit: str, method: str, goal: float | None = None, better: str = "lower") -> Row:
    """A row that gates where it has a goal."""
    return Row(id_, what, value, unit, goal, better, gate=goal is not None, method=method)


def _lookup_rows(name: str, figures: list[runs.Figures], context: str) -> Iterator[Row]:
    rule, _, trouble = name.partition(".")
    is_full = rule == "full"
    prefix, what = ("lookup.full", "the 8 closest live nodes") if is_full else ("lookup", "a given live id")
    suffix = f".{trouble}" if trouble else ""
    what += _TROUBLES[trouble]
    context += _TROUBLES[trouble]

    def row(figure: str, text: str, value: float, unit: str, goal: float | None = None, **more: Any) -> Row:
        method = f"{context}{'; ' + counted if counted else ''}"
        return _row(f"{prefix}.{figure}{suffix}", text, value, unit, method, goal, **more)

    def plain(goal: float) -> float | None:
        return None if trouble else goal

    counted = ""
    right = mean([figure.is_right for figure in figures])
    verb = "true_set" if is_full else "found"
    yield row(verb, f"lookups that give {what}", right, "share", _RIGHT_GOALS[name], better="higher")
    queries = [figure.queries for figure in figures]
    yield row("queries", f"FIND_NODE sent for {what}", mean(queries), "queries", None if is_full else plain(6.0))
    yield row("queries.max", "the same, at most", max(queries), "queries", 24.0)
    counted = "FIND_NODE, NEIGHBORS and the proof of the wanted id, both ways"
    known = [figure.known_bytes for figure in figures]
    yield row("bytes", f"lookup of {what}, contacts proven", mean(known), "B", plain(3072.0 if is_full else 1536.0))
    yield row("bytes.p99", "the same, 99th percentile", percentile(known, 0.99), "B")
    counted = "all that the asker asked meanwhile and all answers that were sent to it"
    cold = [figure.cold_bytes for figure in figures]
    yield row("cold.bytes", f"lookup of {what}, as it happens", mean(cold), "B", None if is_full else plain(2253.0))
    yield row("cold.bytes.p99", "the same, 99th percentile", percentile(cold, 0.99), "B")
    counted = "virtual time"
    seconds = [figure.seconds for figure in figures]
    yield row("seconds", f"duration of a lookup of {what}, median", percentile(seconds, 0.5), "s")
    yield row("seconds.p99", "the same, 99th percentile", percentile(seconds, 0.99), "s")


def _join_rows(joins: runs.Joins, context: str) -> Iterator[Row]:
    method = f"{context}; {len(joins.bytes)} newcomers that know one bootstrap address, until their first self lookup ends"
    counted = f"{method}; all that the newcomer sent and received"
    yield _row("join.bytes", "a join, full rule, every contact new", mean(joins.bytes), "B", counted, 4403.0)
    yield _row("join.bytes.p99", "the same, 99th percentile", percentile(joins.bytes, 0.99), "B", counted)
    yield _row("join.contacts", "live nodes that it knows then", mean(joins.contacts), "nodes", method, 12.0, "higher")
    yield _row("join.contacts.least", "the same, at least", min(joins.contacts), "nodes", method, better="higher")
    yield _row("join.entries", "those of them proven, in its table", mean(joins.entries), "nodes", method, better="higher")
    yield _row("join.seconds", "duration of a join, median", percentile(joins.seconds, 0.5), "s", method)


def _idle_rows(idle: runs.Idle, context: str) -> Iterator[Row]:
    yield _row("idle.bytes_per_minute", "sent by an idle node", idle.bytes_per_minute, "B/min", context, 512.0)
    yield _row("idle.messages_per_minute", "datagrams sent by an idle node", idle.messages_per_minute, "1/min", context, 4.0)
    liveness = percentile(idle.liveness, 0.5)
    yield _row("liveness.bytes", "PING and PONG of nodes that know each other, median", liveness, "B", context, 100.0)
    yield _row("discovery.datagram.max", "longest datagram", idle.largest, "B", context, 512.0)
    yield _row("discovery.pong.amplified", "PONGs larger than their PING", idle.amplified, "answers", context, 0.0)


def _table_rows(dead: float, live: float, costs: dict[str, tuple[float, float]], context: str) -> Iterator[Row]:
    yield _row("lookup.dead_share", "dead entries among those handed out", dead, "share", context, better="higher")
    yield _row("table.live", "entries that a node hands out, mean", live, "nodes", context, better="higher")
    for name, (lookup, join) in costs.items():
        method = f"{context}; {name}'s rules and encoded messages over the same tables, nothing lost"
        yield _row(f"lookup.{name}.bytes", f"the same lookups in {name}, contacts known", lookup, "B", method)
        yield _row(f"join.{name}.bytes", f"a join in {name}, contacts new", join, "B", method)


def main() -> None:
    from rich.console import Console

    from ..report import print_table

    parser = argparse.ArgumentParser(description="Measure discovery in the virtual network.")
    parser.add_argument("--nodes", type=int, default=1000, help="live nodes; a quarter as many die before the lookups")
    parser.add_argument("--lookups", type=int, default=2000, help="lookups in each scenario")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="scenarios at a time")
    options = parser.parse_args()
    progress = Console(stderr=True)
    rows = []
    for row in measure(options.nodes, options.lookups, options.seed, options.jobs):
        progress.print(f"[dim]{row.id} = {row.value:,.4g} {row.unit}[/dim]", highlight=False)
        rows.append(row)
    print_table(rows)


if __name__ == "__main__":
    main()
