"""One run of a scenario: its lines, its summary, and what fell short of what is expected.

The lines are JSON, one object a line, and the same bytes for the same scenario and seed:

    {"scenario": ..., "seed": ..., "nodes": [...], "sites": [...], ...}     the first
    {"t": 12.3, "event": ...}  {"t": 20, "sample": {...}, ...}              see watch.py
    {"summary": {...}, "expect": [...], "quantiles": {...}, "groups": [...]}    the last
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from . import figures, metrics
from .clock import MINUTE, SECOND
from .scenario import Scenario, as_dict
from .watch import Watch
from .world import World

FORMAT = 1
STEP_US = 2 * SECOND  # of virtual time between two tells of progress

OnProgress = Callable[[float, float], object]  # virtual seconds done, and of how many


@dataclass(frozen=True)
class Verdict:
    """One expectation, and what came of it. `value` None: it was not measured."""

    metric: str
    value: float | None
    at_least: float | None
    at_most: float | None

    @property
    def short_by(self) -> float:
        """By how much it was missed; 0: it was met."""
        if self.value is None:
            return 1.0
        under = self.at_least - self.value if self.at_least is not None else 0.0
        over = self.value - self.at_most if self.at_most is not None else 0.0
        return max(under, over, 0.0)

    def __str__(self) -> str:
        wanted = " and ".join(
            f"{word} {limit:g}"
            for word, limit in (("at least", self.at_least), ("at most", self.at_most))
            if limit is not None
        )
        unit = metrics.unit(self.metric)
        if self.value is None:
            return f"{self.metric}: {wanted} {unit} expected, but nothing of it was measured"
        missed = f", missed by {self.short_by:.3g}" if self.short_by else ""
        return f"{self.metric} = {self.value:g} {unit}, {wanted} expected{missed}"


@dataclass
class Run:
    """What came of one run. `cpu_seconds` and `megabytes` are of this machine and stand in no line."""

    scenario: str
    seed: int
    summary: dict[str, float]
    verdicts: list[Verdict]
    digest: str  # of all lines
    lines: list[dict[str, Any]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def failed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.short_by]


def play(name: str, scenario: Scenario, seed: int | None = None, on_progress: OnProgress | None = None) -> Run:
    """Run a scenario."""
    began = time.process_time()
    seed = scenario.seed if seed is None else seed
    lines: list[dict[str, Any]] = []
    gc.collect()
    gc.freeze()
    gc.disable()  # engines make no cycles that matter, and looking for them in ten thousand nodes takes minutes
    try:
        world = World(scenario, seed)
        watch = Watch(world, lines.append)
        lines.append(_first_line(name, seed, world))
        end_us = round(scenario.minutes * MINUTE)
        while world.clock.now_us < end_us:
            world.clock.run_until(min(end_us, world.clock.now_us + STEP_US))
            if on_progress is not None:
                on_progress(world.clock.now_us / SECOND, end_us / SECOND)
        watch.probe_victims()
        watch.look()
        summary = figures.summary(watch)
    finally:
        gc.enable()
        gc.unfreeze()
    verdicts = [Verdict(each.metric, summary.get(each.metric), each.at_least, each.at_most) for each in scenario.expect]
    spreads = {name: metrics.quantiles(values) for name, values in figures.spreads(watch).items() if values}
    lines.append(
        {
            "summary": summary,
            "expect": [_verdict_line(verdict) for verdict in verdicts],
            "quantiles": spreads,
            "groups": figures.by_group(watch),
        }
    )
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    run = Run(name, seed, summary, verdicts, digest(lines), lines, time.process_time() - began, megabytes)
    return run


def _first_line(name: str, seed: int, world: World) -> dict[str, Any]:
    sites = [{"name": site.name, "kind": site.kind, "nat": site.nat} for site in world.scenario.site]
    nodes = [
        {
            "id": node.id.hex()[:8],
            "group": world.group_of[node].name,
            "site": world.site_of[node],
            "role": "attacker" if node in world.attackers else world.group_of[node].role,
        }
        for node in world.mesh.nodes
    ]
    return {
        "format": FORMAT,
        "scenario": name,
        "about": world.scenario.about,
        "seed": seed,
        "minutes": world.scenario.minutes,
        "sites": sites,
        "nodes": nodes,
        "file": as_dict(world.scenario),
    }


def _verdict_line(verdict: Verdict) -> dict[str, Any]:
    return {
        "metric": verdict.metric,
        "value": verdict.value,
        "at_least": verdict.at_least,
        "at_most": verdict.at_most,
        "short_by": metrics.rounded(verdict.short_by),
    }


def encode(lines: list[dict[str, Any]]) -> bytes:
    """The lines as they stand in a file."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def digest(lines: list[dict[str, Any]]) -> str:
    """Two runs are the same to the byte where this is the same."""
    return blake2b(encode(lines), digest_size=8).hexdigest()


def load(path: Path) -> list[dict[str, Any]]:
    """The lines of a results file. Raises OSError, msgspec.DecodeError."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
