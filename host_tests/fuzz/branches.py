"""Which branches of the library a run of fuzzing reached, by the account of `coverage`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from picoswarm_tools import runtimes

LEAST = 95  # per cent of the branches of each entrance or decoder


def account(folder: Path, program: list[str], environment: dict[str, str]) -> dict[str, dict]:
    """What a run of a program (a file and its arguments), within the empty `folder`, reached: by file name of the library,
    then by function."""
    coverage = [sys.executable, "-m", "coverage"]
    library = runtimes.ROOT / "lib" / "picoswarm"
    settings = {**environment, "COVERAGE_FILE": str(folder / "data")}
    for command in (["run", "--branch", f"--source={library}", *program], ["json", "-q", "-o", str(folder / "report.json")]):
        done = subprocess.run([*coverage, *command], env=settings, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    files = json.loads((folder / "report.json").read_text())["files"]
    return {Path(name).name: about["functions"] for name, about in files.items()}


def check(of: str, functions: dict[str, dict], names: tuple[str, ...] | list[str]) -> None:
    """The branches of these functions were reached, all but a few. `of`: what they are together, for who reads it."""
    parts = [functions[name] for name in names]
    reached = sum(part["summary"]["covered_branches"] for part in parts)
    branches = sum(part["summary"]["num_branches"] for part in parts)
    missing = [branch for part in parts for branch in part["missing_branches"]]
    print(f"{of}: {reached} of {branches} branches; from and to the lines {missing} not")
    assert branches and reached * 100 >= LEAST * branches, missing
