"""Fuzzing what a session takes from a peer: frames of every kind, mutated, and raw bytes, on CPython and on 32-bit
MicroPython (mux_fuzz.py). 10^5 records of each with PICOSWARM_LONG=1, a tenth of that otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import branches
from picoswarm_tools import mpy, runtimes
from support import LONG

HERE = Path(__file__).resolve().parent
UNIT = HERE.parent / "unit"
COUNT = 100_000 if LONG else 10_000
COUNT_ON_BOARD = 20_000 if LONG else 4_000
HEAP_KB = 100
ENTRANCES = {
    "mux.py": ["Mux." + name for name in ["receive", "_take_frame", "_look", "_take_other", "_part", "_breach", "_signal"]],
    "lanes.py": ["Lanes." + name for name in ["_change", "_was_reset", "_settle"]],
}
WHAT = ("frames", "raw")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE, UNIT, runtimes.ROOT / "lib")))}


def program(what: str, count: int, seed: int) -> str:
    return f"import json, mux_fuzz; print(json.dumps(mux_fuzz.run({what!r}, {count}, {seed})))"


def check(what: str, given: list[int]) -> None:
    """Every reason was given, or the fuzzing stands before the door; of raw bytes most are malformed."""
    assert min(given) > 0 if what == "frames" else given[1] > 0, given


@pytest.mark.parametrize("what", WHAT)
def test_what_a_peer_sends_in_records_does_no_harm(what):
    done = subprocess.run([sys.executable, "-c", program(what, COUNT, 1)], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check(what, json.loads(done.stdout))


@pytest.mark.parametrize("what", WHAT)
def test_what_a_peer_sends_in_records_does_no_harm_on_a_board(what, tmp_path):
    library = mpy.compile_library("x86")
    mpy.compile_beside([HERE / "mux_fuzz.py", HERE / "fuzz_draw.py", UNIT / "muxing.py"], tmp_path, "x86")
    path = {"MICROPYPATH": f"{library}:{tmp_path}:.frozen"}
    args = ["-c", program(what, COUNT_ON_BOARD, 4)]
    done = runtimes.run_micropython(args, HEAP_KB, path, tmp_path, 3000)
    assert done.returncode == 0, done.stdout
    check(what, json.loads(done.stdout))


@pytest.fixture(scope="module")
def covered(tmp_path_factory) -> dict[str, dict]:
    """coverage's account of each function of the library, by file name, after a run of mux_fuzz.py."""
    folder = tmp_path_factory.mktemp("coverage")
    fuzzing = tmp_path_factory.mktemp("program") / "fuzzing.py"
    fuzzing.write_text(program("frames", 8000, 1))
    return branches.account(folder, [str(fuzzing)], environment())


@pytest.mark.parametrize("file", ENTRANCES)
def test_fuzzing_reaches_the_branches_of_what_receives(covered, file):
    branches.check(file, covered[file], ENTRANCES[file])
