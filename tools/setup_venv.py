#!/usr/bin/env python3
"""Make `build/venv`: the Python environment of everything one does here, pinned by `requirements-dev.lock`.

Runs under the system's Python before anything is installed, so it uses the standard library only. A second run with the
same lock file does nothing. As root it installs the distribution's venv package when that is what is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv"
LOCK = ROOT / "requirements-dev.lock"
STAMP = VENV / ".installed"
OLDEST = (3, 11)


def fail(message: str) -> None:
    """End with one sentence that says what to do."""
    sys.exit(f"setup: {message}")


def fingerprint() -> str:
    """What the environment depends on: lock file, project metadata, interpreter."""
    digest = hashlib.sha256()
    for part in (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode()):
        digest.update(part)
    return digest.hexdigest()


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command quietly; its output matters only when it fails."""
    return subprocess.run([str(part) for part in command], text=True, capture_output=True)


def install_tools() -> None:
    """The commands `ip`, with which tests make networks of their own, and `valgrind`, which counts instructions; without
    them, or root, those tests are skipped."""
    missing = [package for command, package in (("ip", "iproute2"), ("valgrind", "valgrind")) if not shutil.which(command)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"setup: installing {', '.join(missing)}", flush=True)
        run("apt-get", "-q", "update")
        for package in missing:
            run("apt-get", "-q", "-y", "--no-install-recommends", "install", package)


def make_venv() -> None:
    """Create an empty virtual environment, with the distribution's venv package if need be."""
    made = run(sys.executable, "-m", "venv", "--clear", VENV)
    if made.returncode == 0:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        fail(f"this Python cannot make virtual environments; install it first: sudo apt-get install {package}")
    print(f"setup: installing {package}", flush=True)
    run("apt-get", "-q", "update")
    for name in (package, "python3-venv"):
        if run("apt-get", "-q", "-y", "--no-install-recommends", "install", name).returncode == 0:
            break
    made = run(sys.executable, "-m", "venv", "--clear", VENV)
    if made.returncode:
        fail(f"cannot make a virtual environment in {VENV}:\n{made.stdout}{made.stderr}")


def install() -> None:
    """Install the locked packages, each checked against its hash, then this project in place."""
    pip = [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    steps = (
        ("locked packages", ["--require-hashes", "-r", LOCK]),
        ("the project itself, editable", ["--no-deps", "--no-build-isolation", "--editable", ROOT]),
    )
    for what, arguments in steps:
        print(f"setup: installing {what}", flush=True)
        done = run(*pip, *arguments)
        if done.returncode:
            fail(f"pip could not install {what}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def main() -> None:
    if sys.version_info < OLDEST:
        fail(f"Python {OLDEST[0]}.{OLDEST[1]} or later is needed; this is {sys.version.split()[0]}")
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    started = time.monotonic()
    print(f"setup: Python environment in {VENV.relative_to(ROOT)}", flush=True)
    install_tools()
    make_venv()
    install()
    STAMP.write_text(wanted)
    print(f"setup: done in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
