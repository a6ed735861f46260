"""Where the sources of full nodes are, and where what was made of them is kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .. import runtimes

MAKE = "run `make full-nodes`"


def names(kind: str) -> list[str]:
    """The full nodes of a kind, `go`, `js` or `py`, that this checkout has sources of."""
    of_kind = {"go": "go.mod", "js": "package.json", "py": "requirements.txt"}[kind]
    return sorted(path.parent.name for path in _root(kind).glob(f"*/{of_kind}"))


def folder(kind: str, name: str) -> Path:
    """The sources of one. Raises Missing."""
    path = _root(kind) / name
    if not path.is_dir():
        raise runtimes.Missing(f"the sources of the {kind} peer {name} are in a checkout of the project: work there")
    return path


def kept(kind: str, name: str) -> Path:
    """Where it is built: another folder of the user's cache for each content of its sources."""
    digest = hashlib.sha256()
    for path in sorted(folder(kind, name).rglob("*")):
        if path.is_file() and "node_modules" not in path.parts:
            digest.update(path.name.encode() + path.read_bytes())
    return cache() / f"{name}-{kind}-{digest.hexdigest()[:16]}"


def cache() -> Path:
    """The user's folder for what is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "picoswarm" / "peers"


def _root(kind: str) -> Path:
    return runtimes.ROOT / "host_tests" / "interop" / "peers" / kind
