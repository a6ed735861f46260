"""Rows of whole nodes in the virtual network: whether published messages arrive, and how soon sessions join a mesh.

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
from ..sim.swarm_node import time_to_one_piece

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
