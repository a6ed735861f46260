"""Rows of whole nodes in the virtual network: whether published messages arrive, how soon sessions join a mesh, and whether
nodes whose links are all taken reach each other.

How it is measured stands in `picoswarm_tools.sim.delivery` and docs/simulator.md.

    python -m picoswarm_tools.rows.publish --minutes 5 --seeds 2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ..report import Row
from ..sim.clock import MINUTE, SECOND
from ..sim.delivery import Delivery
from ..sim.fork import futures
from ..sim.newcomers import figures
from ..sim.swarm_node import time_to_one_piece
from ..sim.visits import Visits

MESHES = (12, 30, 100)


def _deliver(seed: int, minutes: int) -> tuple[int, int, int, int, int]:
    run = Delivery(seed=seed)
    run.run(minutes)
    reached = sum(size * count for size, count in run.chains.items())
    return run.due, run.delivered, run.repeated, run.published, reached


def measure(minutes: int = 30, seeds: int = 2) -> Iterator[Row]:
    runs = list(futures([lambda seed=seed: _deliver(seed, minutes) for seed in range(1, seeds + 1)], 2))  # type: ignore[misc]
    due, delivered, repeated, published, reached = (sum(figures) for figures in zip(*runs, strict=True))
    method = (
        f"50 whole nodes, 20 % of packets lost, each off for 60 s every 10 minutes on average; {published} messages in "
        f"{seeds} x {minutes} virtual minutes; {due} due"
    )
    share = delivered / due
    yield Row("publish.delivery", "due messages delivered within 10 s", share, "share", 0.99, "higher", method=method)
    yield Row("publish.repeated", "messages that a subscriber got twice", repeated, "messages", 0, method=method)
    yield Row(
        "publish.reached", "nodes with a chain of sessions to a publisher", reached / published, "of 50 nodes", method=method
    )
    counts = list(futures([lambda nodes=nodes: _join(nodes) for nodes in MESHES], 2))  # type: ignore[misc]
    for nodes, (median, worst) in zip(MESHES, counts, strict=True):
        how = f"{nodes} boards of the default profile, the first a bootstrap node, started within {nodes / 10} s; seeds 1-5"
        yield Row(f"swarm.one_piece.{nodes}", f"sessions join {nodes} nodes to one piece", median, "s, median", method=how)
        yield Row(f"swarm.one_piece.{nodes}.max", "the same, at most", worst, "s", 300, method=how)
    yield from measure_visits()
    yield from measure_newcomers()


def measure_newcomers() -> Iterator[Row]:
    """Small meshes of boards with few links."""
    halves = [lambda seeds=seeds: figures(seeds) for seeds in (range(1, 51), range(51, 101))]
    runs = list(futures(halves, 2))  # type: ignore[arg-type]
    waits = sorted(wait for run in runs for wait in run[0])
    how = "100 meshes of 5-16 boards with 2-4 links, seeds 1-100; key agreements of 0-200 ms"
    yield Row("swarm.first.p99", "99 % of nodes have a session after", waits[len(waits) * 99 // 100], "s", 10, method=how)
    yield Row("swarm.first.median", "half of them", waits[len(waits) // 2], "s", method=how)
    for place, (seconds, goal) in enumerate(((60, None), (120, 0))):
        apart = sum(run[1][place] for run in runs)
        yield Row(f"swarm.first.pieces.{seconds}", f"meshes in pieces after {seconds} s", apart, "of 100", goal, method=how)


def _visit(nodes: int, seed: int) -> tuple[int, int, list[int], int, int]:
    run = Visits(nodes, MINUTE, seed)
    run.run(10)
    return run.asked, run.ends["answered"], run.waits_ms, run.opened, max(run.pieces)


def measure_visits() -> Iterator[Row]:
    """Requests from node to node where all links are taken."""
    for nodes in (12, 50):
        works = [lambda nodes=nodes, seed=seed: _visit(nodes, seed) for seed in (1, 2, 3)]
        runs = list(futures(works, 2))  # type: ignore[arg-type]
        asked, answered, opened = (sum(run[i] for run in runs) for i in (0, 1, 3))
        waits = sorted(wait for run in runs for wait in run[2])
        method = (
            f"{nodes} boards with 4 links each; each asks one of the others, drawn at random, once a minute on average; "
            f"seeds 1-3, 10 virtual minutes; at most {max(run[4] for run in runs)} piece(s)"
        )
        name = f"swarm.visits.{nodes}"
        yield Row(name, "requests answered within 10 s", answered / asked, "share", 0.99, "higher", method=method)
        yield Row(f"{name}.wait", "median until the answer", waits[len(waits) // 2], "ms", method=method)
        yield Row(
            f"{name}.sessions", "sessions opened for each request, both ends", opened / asked, "sessions", method=method
        )


def _join(nodes: int) -> tuple[float, float]:
    seconds = sorted(time_to_one_piece(nodes, seed, 10 * MINUTE) / SECOND for seed in range(1, 6))
    return seconds[2], seconds[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    for row in measure(arguments.minutes, arguments.seeds):
        print(f"{row.id:28} {row.value:10.4f} {row.unit}")


if __name__ == "__main__":
    main()
