"""Small meshes of boards with few links: how long each node waits for its first session, and when sessions join all of
them to one piece.

    python -m picoswarm_tools.sim.newcomers --seeds 1 100
"""

from __future__ import annotations

import argparse
from random import Random

from .clock import SECOND
from .mesh import BOOTSTRAP
from .swarm_node import SwarmMesh, SwarmNode

_OPENED = 3  # event of a swarm


class Newcomers:
    """5 to 16 nodes with 2 to 4 links each and a key agreement of 0, 100 or 200 ms, of which the first is known to all; the
    others start together, or one each 0.5 or 2 s: drawn by the seed. `waits_s`: of each node, from its start (the first:
    from that of the second) to its first session. `pieces`: sizes of the pieces, by seconds after the last start."""

    def __init__(self, seed: int, links: int | None = None) -> None:
        draw = Random(seed)
        count = draw.randint(5, 16)
        self.links = draw.randint(2, 4) if links is None else links
        key_ms = draw.choice((0.0, 100.0, 200.0))
        gap_us = draw.choice((0, SECOND // 2, 2 * SECOND))
        self.mesh = mesh = SwarmMesh(seed, key_ms=key_ms, profile={"links": self.links})
        mesh.add(profile=BOOTSTRAP)
        starts = [SECOND, *(SECOND + gap_us * i for i in range(count - 1))]
        for start_us in starts[1:]:
            mesh.add(know=mesh.nodes[:1], start_us=start_us)
        self._last_us = starts[-1]
        self._starts = dict(zip(mesh.nodes, starts, strict=True))
        self._first: dict[SwarmNode, int] = {}
        for node in mesh.nodes:
            node.on_swarm_event = self._note
        self.pieces: dict[int, list[int]] = {}

    def _note(self, node: SwarmNode, event: tuple[object, ...]) -> None:
        if event[0] == _OPENED:
            self._first.setdefault(node, self.mesh.clock.now_us)

    def run(self, seconds: tuple[int, ...] = (60, 120)) -> None:
        for at in seconds:
            self.mesh.clock.run_until(self._last_us + at * SECOND)
            self.pieces[at] = self.mesh.components()

    @property
    def waits_s(self) -> list[float]:
        """A node that had none by now waits for ever."""
        return [
            (self._first[node] - start) / SECOND if node in self._first else float("inf")
            for node, start in self._starts.items()
        ]


def figures(seeds: range) -> tuple[list[float], list[int]]:
    """All waits, in order, and how many meshes are not one piece after 60 and after 120 s."""
    waits: list[float] = []
    apart = [0, 0]
    for seed in seeds:
        run = Newcomers(seed)
        run.run()
        waits += run.waits_s
        for place, sizes in enumerate(run.pieces.values()):
            apart[place] += len(sizes) > 1
    return sorted(waits), apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs=2, type=int, default=(1, 100), metavar=("FIRST", "LAST"))
    first, last = parser.parse_args().seeds
    waits, apart = figures(range(first, last + 1))
    print(
        f"first session: median {waits[len(waits) // 2]:.1f} s, 99 % {waits[len(waits) * 99 // 100]:.1f} s, "
        f"at most {waits[-1]:.1f} s; meshes in pieces after 60 and 120 s: {apart}"
    )


if __name__ == "__main__":
    main()
