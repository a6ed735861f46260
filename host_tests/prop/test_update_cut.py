"""Power cuts while an update is fetched, switched to, tried and confirmed: the old application or the new one, and never
neither. On MicroPython's own littlefs, on a RAM flash that stops at a block operation (update_cut_on_board.py)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from picoswarm_tools import runtimes

LONG = os.environ.get("PICOSWARM_LONG") == "1"
HERE = Path(__file__).parent


@pytest.mark.parametrize("damage", ["clean", "torn", "garbled"])
def test_a_cut_during_an_update_leaves_the_old_application_or_the_new_one(damage):
    folders = (HERE, HERE.parent / "unit", runtimes.ROOT / "firmware", runtimes.ROOT / "lib")
    env = {"MICROPYPATH": ":".join(map(str, folders)) + ":.frozen"}
    script = HERE / "update_cut_on_board.py"
    done = runtimes.run_micropython([script, damage, "0" if LONG else "10", "1"], env=env, timeout=1200)
    assert done.returncode == 0, done.stdout[-2000:]
    _, cuts, _, old, _, new = done.stdout.splitlines()[-1].split()
    assert int(cuts) >= 10 and int(old) > 0 and int(new) > 0, done.stdout
