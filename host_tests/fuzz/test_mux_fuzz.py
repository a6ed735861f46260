"""Fuzzing what a session takes from a peer: frames of every kind, mutated, and raw bytes, on CPython and on 32-bit
MicroPython (mux_fuzz.py). 10^5 records of each with PICOSWARM_LONG=1, a tenth of that otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from picoswarm_tools import mpy, runtimes
from support import LONG

HERE = Path(__file__).resolve().parent
UNIT = HERE.parent / "unit"
COUNT = 100_000 if LONG else 10_000
COUNT_ON_BOARD = 20_000 if LONG else 4_000
HEAP_KB = 100
LEAST_COVERED = 95  # per cent of the branches of each entrance
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


def test_fuzzing_reaches_the_branches_of_what_receives(tmp_path):
    coverage = [sys.executable, "-m", "coverage"]
    settings = {**environment(), "COVERAGE_FILE": str(tmp_path / "data")}
    library = runtimes.ROOT / "lib" / "picoswarm"
    (tmp_path / "fuzzing.py").write_text(program("frames", 8000, 1))
    run = [*coverage, "run", "--branch", f"--source={library}", "fuzzing.py"]
    for command in (run, [*coverage, "json", "-q", "-o", "report.json"]):
        done = subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    files = json.loads((tmp_path / "report.json").read_text())["files"]
    functions = {Path(name).name: about["functions"] for name, about in files.items()}
    parts = [functions[file][name] for file, names in ENTRANCES.items() for name in names]
    covered = sum(part["summary"]["covered_branches"] for part in parts)
    branches = sum(part["summary"]["num_branches"] for part in parts)
    missing = [branch for part in parts for branch in part["missing_branches"]]
    print(f"{covered} of {branches} branches; from and to the lines {missing} not")
    assert branches and covered * 100 >= LEAST_COVERED * branches, missing
