"""What firmware/emulator/build_pico.py makes, and how to have it made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .. import mpy
from ..runtimes import ROOT, Missing, build_folder

ARCH = "armv6m"
BUILDER = ROOT / "firmware/emulator/build_pico.py"


def find(name: str) -> Path:
    """The path of `rom.bin`, `pico.bin`, `pico-frozen.bin` or `runner`. Raises Missing."""
    path = build_folder() / "emulator" / name
    if not path.exists():
        raise Missing(f"{name} of the emulated Pico is not built: run `make emulator`")
    if name == "runner" and not shutil.which("node"):
        raise Missing("node is not installed: run `make emulator` as root, or `apt-get install nodejs npm`")
    return path


def build() -> None:
    """Bring all of it up to date, with this library in the frozen image. Raises RuntimeError, and Missing where the machine
    lacks what it takes."""
    library = mpy.compile_library(ARCH, 3, "frozen") / "source" / "picoswarm"
    done = subprocess.run([sys.executable, str(BUILDER), "--library", str(library)])
    if done.returncode:
        raise RuntimeError("the emulated Pico cannot be built")


if __name__ == "__main__":
    try:
        build()
    except (RuntimeError, Missing, mpy.CompileError) as trouble:
        sys.exit(f"emulator: {trouble}")
