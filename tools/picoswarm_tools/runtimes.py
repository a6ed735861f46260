"""The MicroPython runtimes that `make micropython` builds: where they are, and how to run them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What builds a runtime that is not there.
_BUILT_BY = {"micropython64": "python3 firmware/micropython/build.py unix64"}


class Missing(Exception):
    """A runtime is not built or not installed; the message names the command that mends it."""


def build_folder() -> Path:
    """Where built things are: $PICOSWARM_BUILD, or `build` in the checkout."""
    return Path(os.environ.get("PICOSWARM_BUILD") or ROOT / "build")


def find(name: str) -> Path:
    """The path of `micropython`, `micropython64`, `mpy-cross`, `qemu-m3.elf` or `qemu-m0.elf`. Raises Missing."""
    path = build_folder() / "micropython" / name
    if not path.is_file() and not (ROOT / "Makefile").is_file():
        raise Missing(f"{name} is built by a checkout of the project, and this is an installed copy: work there")
    if not path.is_file():
        raise Missing(f"{name} is not built: run `{_BUILT_BY.get(name, 'make micropython')}`")
    return path


def find_qemu() -> Path:
    """The path of qemu-system-arm: the one that the build unpacked, or the machine's. Raises Missing."""
    unpacked = build_folder() / "micropython" / "qemu-system-arm"
    if unpacked.is_file():
        return unpacked
    installed = shutil.which("qemu-system-arm")
    if not installed:
        raise Missing("qemu-system-arm is not installed: run `make micropython`")
    return Path(installed)


def run_micropython(
    args: Sequence[str | Path],
    heap_kb: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
    bits: int = 32,
    binary: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the unix port with `args` under a heap of `heap_kb` KiB and return what it did, both outputs in `stdout`.

    `binary`: another one than that of `bits`. `env` is added to this process's environment. The exit code is not looked
    at. Raises Missing, and subprocess.TimeoutExpired when it is not done after `timeout` seconds.
    """
    command = [str(binary or find("micropython64" if bits == 64 else "micropython"))]
    if heap_kb:
        command += ["-X", f"heapsize={heap_kb}k"]
    return subprocess.run(
        [*command, *map(str, args)],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        timeout=timeout,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
