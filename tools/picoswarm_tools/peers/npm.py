"""Full nodes in JavaScript: a package of ours for each, with the versions that its package-lock.json pins, installed once
and kept. One that wants a newer Node than the machine has takes it from npm's package `node`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .. import runtimes
from . import sources

_DONE = ".installed"


def folder(name: str) -> Path:
    """A copy of a package's sources with its node_modules. Raises Missing where it is not installed."""
    path = sources.kept("js", name)
    if not (path / _DONE).is_file():
        raise runtimes.Missing(f"the full node {name} is not installed: {sources.MAKE}")
    return path


def command(name: str, script: str) -> list[str]:
    """How to run a script of a package. Raises Missing."""
    path = folder(name)
    own = path / "node_modules" / ".bin" / "node"
    return [str(own) if own.exists() else _found("node"), str(path / script)]


def bring(name: str) -> None:
    """Install a package, exactly as locked. Raises Missing, CalledProcessError."""
    source, target = sources.folder("js", name), sources.kept("js", name)
    if (target / _DONE).is_file():
        return
    npm = _found("npm")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=target, check=True)
    (target / _DONE).touch()


def _found(program: str) -> str:
    found = shutil.which(program)
    if not found:
        raise runtimes.Missing(f"{program} is not installed: install Node.js 20 or later with npm, then {sources.MAKE}")
    return found
