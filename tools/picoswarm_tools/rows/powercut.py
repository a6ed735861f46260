"""Power cuts on the emulated Pico, each told on standard error as it is judged."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..emulator.cuts import PHASES, try_cuts
from ..report import Row

CUTS = 100
HOW = f"emulated Pico; phases {', '.join(PHASES)}"


def measure() -> Iterator[Row]:
    seed = secrets.randbits(32)
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        trials = asyncio.run(try_cuts(Path(folder), CUTS, seed, log=partial(print, file=sys.stderr, flush=True)))
    inside = sum(trial.inside != "" for trial in trials)
    survived = sum(trial.survived for trial in trials)
    how = f"{HOW}; seed {seed}"
    yield Row("powercut.tried", "power cuts", len(trials), "cuts", method=how)
    what = "of them inside an erase or program operation"
    yield Row("powercut.inside", what, inside, "cuts", CUTS // 2, "higher", method=how)
    what = "after which it was the same node, with the old or the new"
    yield Row("powercut.survived", what, survived, "cuts", len(trials), "higher", method=how)
