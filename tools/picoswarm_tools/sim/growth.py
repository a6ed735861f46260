"""How the simulator's time and memory, and the hops of a look-up, grow with the number of nodes: boards that join and stay,
a mesh a process.

python -m picoswarm_tools.sim.growth                    # 100, 300, 1000, 3000, 10000: a table, and build/sim/growth.svg
python -m picoswarm_tools.sim.growth --nodes 100 300    # minutes instead of an hour
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from . import scenario
from .play import play

COUNTS = (100, 300, 1000, 3000, 10_000)


def measure(nodes: int) -> tuple[float, float, dict[str, float]]:
    """(processor seconds, gigabytes, figures) of `city-10k` with so many boards. The gigabytes are those of the process."""
    name, found = scenario.find("city-10k")
    boards = [group for group in found.nodes if group.role == "board"]
    whole = sum(group.count for group in boards)
    for group in boards:
        group.count = max(1, nodes * group.count // whole)
    boards[-1].count = max(1, boards[-1].count + nodes - sum(group.count for group in boards))
    run = play(name, found)
    return run.cpu_seconds, run.megabytes / 1024, run.summary


def alone(nodes: int) -> tuple[float, float, dict[str, float]]:
    """The same in a process of its own, whose memory nobody else has used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, nodes).result()


def grow(counts: list[int]) -> Iterator[tuple[int, float, float, float]]:
    """(nodes, processor seconds, gigabytes, hops of a look-up on average) of each."""
    for nodes in counts:
        seconds, gigabytes, found = alone(nodes)
        yield nodes, seconds, gigabytes, found["lookup.hops.mean"]


def plot(rows: list[tuple[int, float, float, float]], path: Path) -> None:
    """All curves; beside time and memory a line of linear growth."""
    from .plotfiles import STYLE, plt

    counts, seconds, gigabytes, hops = zip(*rows, strict=True)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
        axes[2].semilogx(counts, hops, marker="o")
        axes[2].set_title("Hops of a look-up", loc="left")
        axes[2].set_xlabel("nodes")
        axes[2].set_ylim(bottom=0)
        for axis, values, title, unit in (
            (axes[0], seconds, "Processor time", "s"),
            (axes[1], gigabytes, "Memory", "GB"),
        ):
            axis.loglog(counts, values, marker="o")
            axis.loglog(counts, [values[0] * count / counts[0] for count in counts], linestyle=":", label="linear")
            axis.set_title(title, loc="left")
            axis.set_xlabel("nodes")
            axis.set_ylabel(unit)
            axis.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--to", type=Path, default=Path("build", "sim", "growth.svg"))
    options = parser.parse_args()
    rows = []
    for row in grow(list(options.nodes)):
        rows.append(row)
        print(f"{row[0]:7,} nodes {row[1]:9.1f} s {row[2]:7.3f} GB {row[3]:6.2f} hops", flush=True)
    plot(rows, options.to)
    print(options.to)


if __name__ == "__main__":
    main()
