"""What firmware/emulator/build_pico.py makes, how to have it made, and a flash chip that has files already."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .. import mpy
from ..runtimes import ROOT, Missing, build_folder, run_micropython

ARCH = "armv6m"
BUILDER = ROOT / "firmware/emulator/build_pico.py"
_IMAGE_MAKER = ROOT / "tools/picoswarm_tools/unix/flash_image.py"
FIRMWARE_BYTES = FILES_BYTES = 1 << 20  # of the flash chip: first the firmware, then the file system
_MAKER_KB = 4096


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
    library = mpy.compile_library(ARCH, 3, mpy.FROZEN) / "source" / "picoswarm"
    done = subprocess.run([sys.executable, str(BUILDER), "--library", str(library)])
    if done.returncode:
        raise RuntimeError("the emulated Pico cannot be built")


def write_chip(path: Path, files: Mapping[str, bytes]) -> None:
    """The file of a flash chip with these files on it, by their paths; the firmware comes when the Pico starts. Writing them
    on the emulated Pico would take it half a minute. Raises RuntimeError, Missing."""
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as scratch:
        root, image = Path(scratch, "files"), Path(scratch, "image")
        for name, data in files.items():
            place = root / name.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        arguments = [str(_IMAGE_MAKER), str(root), str(image), str(FILES_BYTES)]
        done = run_micropython(arguments, _MAKER_KB)
        if done.returncode:
            raise RuntimeError(f"no flash chip was made: {done.stdout}")
        path.write_bytes(b"\xff" * FIRMWARE_BYTES + image.read_bytes())


if __name__ == "__main__":
    try:
        build()
    except (RuntimeError, Missing, mpy.CompileError) as trouble:
        sys.exit(f"emulator: {trouble}")
