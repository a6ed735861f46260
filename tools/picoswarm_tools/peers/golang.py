"""Full nodes in Go: a module of ours for each, with the versions that its go.sum pins, built once and kept.

`main.go`, where a module has one, becomes the binary `peer`; each `tool` line of its go.mod a binary of that tool's name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from .. import runtimes
from . import sources


def binary(name: str, tool: str = "peer") -> Path:
    """A binary of a module. Raises Missing where it is not built."""
    path = sources.kept("go", name) / tool
    if not path.is_file():
        raise runtimes.Missing(f"the full node {name} is not built: {sources.MAKE}")
    return path


def bring(name: str) -> None:
    """Build a module; a minute or more the first time, without cgo. Raises Missing, CalledProcessError."""
    source, target = sources.folder("go", name), sources.kept("go", name)
    wanted = {tool.rsplit("/", 1)[-1]: tool for tool in re.findall(r"^\s*(?:tool\s+)?(\S+/\S+)\s*$", _tools(source), re.M)}
    if (source / "main.go").is_file():
        wanted["peer"] = "."
    missing = {tool: package for tool, package in wanted.items() if not (target / tool).is_file()}
    if not missing:
        return
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not go:
        raise runtimes.Missing("go is not installed: install Go 1.25 or later, then run `make full-nodes`")
    target.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -trimpath"}
    for tool, package in missing.items():
        part = target / f"{tool}.part"
        subprocess.run([go, "build", "-ldflags=-s -w", "-o", str(part), package], cwd=source, env=env, check=True)
        part.rename(target / tool)


def _tools(source: Path) -> str:
    """The tool lines of a go.mod, alone or in a block."""
    text = (source / "go.mod").read_text()
    blocks = re.findall(r"^tool \(\n(.*?)^\)", text, re.M | re.S)
    return "\n".join([*blocks, *re.findall(r"^tool \S+/\S+$", text, re.M)])
