"""The power goes while an emulated Pico makes its key or writes its address book: it comes up again as the same node."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from picoswarm_tools.emulator.cuts import try_cuts

CUTS = 100 if os.environ.get("PICOSWARM_LONG") == "1" else 10


def test_whenever_the_power_goes_the_board_comes_up_as_the_node_that_it_was(tmp_path: Path):
    seed = secrets.randbits(32)
    trials = asyncio.run(try_cuts(tmp_path, CUTS, seed))
    shown = "\n".join(f"{trial.phase} {trial.inside or '-'} at {trial.at}: {trial.outcome or 'well'}" for trial in trials)
    assert all(trial.survived for trial in trials), f"seed {seed}\n{shown}"
    assert len(trials) == CUTS and sum(trial.inside != "" for trial in trials) * 2 >= CUTS, shown
