"""Fuzzing what the services take from a peer: mutants and raw bytes, on CPython and on 32-bit MicroPython
(services_fuzz.py). 10^5 for each with PICOSWARM_LONG=1, a tenth of that otherwise.

Fuzzing says something about the branches that it reaches only: so they are counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import branches
from picoswarm.counters import names
from picoswarm_tools import mpy, runtimes
from support import LONG

HERE = Path(__file__).resolve().parent
UNIT = HERE.parent / "unit"
COUNT = 100_000 if LONG else 10_000
COUNT_ON_BOARD = 20_000 if LONG else 2_000
HEAP_KB = 160

# What the mutants must have met, or the fuzzing stands before the door.
REACHED = {
    "pubsub": (names("pubsub"), ("received", "bad", "unsigned", "forged", "sent", "filters_refused")),
    "rpc": (names("rpc"), ("called", "late", "unasked", "answered", "turned_away")),
    "log": ("", ()),
    "stats": ("", ()),
}
ENTRANCES = {
    "pubsub.py": ("PubSub.receive", "PubSub._on_publish", "matches", "found", "kept", "PubSub.next_event"),
    "rpc.py": ("Rpc.receive",),
    "logstats.py": ("LogStats.receive", "LogStats._answer"),
}


def check(what: str, counters: list[int], malformed: int) -> None:
    names, reached = REACHED[what]
    found = dict(zip(names.split(), counters, strict=True))
    for name in reached:
        assert found[name] > 0, name
    assert malformed > 0


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE, UNIT, runtimes.ROOT / "lib")))}


@pytest.mark.parametrize("what", REACHED)
def test_mutants_of_the_services_do_no_harm(what):
    program = f"import json, services_fuzz; print(json.dumps(services_fuzz.run({what!r}, {COUNT})))"
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check(what, *json.loads(done.stdout))


@pytest.mark.parametrize("what", REACHED)
def test_mutants_of_the_services_do_no_harm_on_a_board(what, tmp_path):
    library = mpy.compile_library("x86")
    own = [HERE / "services_fuzz.py", HERE / "fuzz_draw.py", UNIT / "fake_peers.py"]
    mpy.compile_beside(own, tmp_path, "x86")
    program = f"import json, services_fuzz; print(json.dumps(services_fuzz.run({what!r}, {COUNT_ON_BOARD}, 4)))"
    done = runtimes.run_micropython(
        ["-c", program], HEAP_KB, {"MICROPYPATH": f"{library}:{tmp_path}:.frozen"}, tmp_path, 3000
    )
    assert done.returncode == 0, done.stdout
    check(what, *json.loads(done.stdout))


@pytest.fixture(scope="module")
def covered(tmp_path_factory) -> dict[str, dict]:
    """coverage's account of each function of the library, by file name, after a run of services_fuzz.py."""
    return branches.account(tmp_path_factory.mktemp("coverage"), [str(HERE / "services_fuzz.py"), "3000"], environment())


@pytest.mark.parametrize("file", ENTRANCES)
def test_fuzzing_reaches_the_branches_of_each_entrance(covered, file):
    branches.check(file, covered[file], ENTRANCES[file])
