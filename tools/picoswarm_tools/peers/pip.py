"""Full nodes in Python: locked requirements for each, every package checked against its hash, installed once into an
environment of its own and kept. What has to be compiled is, by the C compiler that MicroPython needs too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .. import runtimes
from . import sources

_DONE = ".installed"
_HEADERS = {"gmp.h": "libgmp-dev"}  # what fastecdsa includes, and the distribution's package that has it


def command(name: str, script: str) -> list[str]:
    """How to run a script in its environment. Raises Missing."""
    path = _environment(name)
    if not (path / _DONE).is_file():
        raise runtimes.Missing(f"the full node {name} in Python is not installed: {sources.MAKE}")
    return [str(path / "bin" / "python"), str(sources.folder("py", name) / script)]


def bring(name: str) -> None:
    """Make the environment of one: 130 MB for libp2p, half a minute. Raises Missing, CalledProcessError."""
    source, target = sources.folder("py", name), _environment(name)
    if (target / _DONE).is_file():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(target)], check=True)
    pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", "install"]
    for part, more in (("build.txt", []), ("requirements.txt", ["--no-build-isolation"])):
        chosen = [*more, "--require-hashes", "-r", str(source / part)]
        subprocess.run([*pip, *chosen], check=True, env={**os.environ, **_headers(target)})
    (target / _DONE).touch()


def _environment(name: str) -> Path:
    """Another folder of the user's cache for each lock and each Python."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(sources.folder("py", name).glob("*.txt")):
        digest.update(path.read_bytes())
    return sources.cache() / f"{name}-py-{digest.hexdigest()[:16]}"


def _headers(target: Path) -> dict[str, str]:
    """Where the compiler finds headers that this machine does not have installed: unpacked, which takes no root."""
    compiler = shutil.which("gcc") or "cc"
    looked = [
        subprocess.run([compiler, "-E", "-"], input=f"#include <{each}>", text=True, capture_output=True)
        for each in _HEADERS
    ]
    if all(done.returncode == 0 for done in looked):
        return {}
    sys.path.insert(0, str(runtimes.ROOT / "firmware" / "micropython"))
    import aptget

    folder = target / "headers"
    if not folder.is_dir():
        aptget.unpack(folder, list(_HEADERS.values()))
    return {
        "CPATH": ":".join(str(path.parent) for path in folder.rglob("gmp.h")),
        "LIBRARY_PATH": ":".join({str(path.parent) for path in folder.rglob("libgmp.*")}),
    }
