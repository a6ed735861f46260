"""Rows of meshes that are cut, go dark or are attacked, of the scenarios `partition`, `power-cut` and `eclipse`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..report import Row
from ..sim import scenario
from ..sim.play import play
from ..sim.sweep import in_processes

SEEDS = 100


def measure(seeds: int = SEEDS) -> Iterator[Row]:
    found = play(*scenario.find("partition")).summary
    method = "scenario partition: 61 nodes, two halves that do not hear each other for 30 minutes"
    healed = found["heal.seconds.max"]
    yield Row("sim.partition.heal", "until the halves are one mesh again", healed, "s", 120, method=method)
    found = play(*scenario.find("power-cut")).summary
    method = "scenario power-cut: 151 nodes of one building are off for a minute and come back at once"
    share = found["rejoin.share"]
    yield Row("sim.power_cut.joined", "joined again within 60 s", share, "share", 0.95, "higher", method=method)
    yield Row("sim.power_cut.heal", "until sessions join all of them", found["heal.seconds.max"], "s", 60, method=method)
    yield Row(
        "sim.power_cut.peak", "packets in the busiest second", found["packets.peak_per_second"], "packets/s", method=method
    )
    per_node = found["packets.peak_per_node"]
    yield Row("sim.power_cut.peak_per_node", "the same, of a node", per_node, "packets/s", 60, method=method)
    name, what = scenario.find("eclipse")
    runs = list(in_processes(name, what, list(range(1, seeds + 1)), min(2, os.cpu_count() or 1)))
    good = sum(run.summary["eclipse.found"] == 1 for run in runs)
    method = (
        f"scenario eclipse, seeds 1-{seeds}: nine tenths of a victim's neighbourhood are attackers that name only each "
        "other; the victim and ten others look for each other, where honest tables lead from one to the other"
    )
    yield Row(
        "sim.eclipse.found",
        "seeds in which every such look-up found",
        100 * good / len(runs),
        "of 100",
        95,
        "higher",
        method=method,
    )
