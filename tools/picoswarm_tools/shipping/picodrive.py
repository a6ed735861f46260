"""Writing a UF2 file to a Pico in BOOTSEL mode: it shows itself as a drive, and takes the file that is copied there."""

from __future__ import annotations

import os
import string
import sys
import time
from pathlib import Path

from .board import CHIPS, Board, Chip
from .exits import Failed, NoDevice
from .progress import Report, nothing
from .uf2 import BLOCK, Uf2

INFO = "INFO_UF2.TXT"
_AT_ONCE = 64 * BLOCK
PRESS = (
    "Hold BOOTSEL while you plug the board in; a drive named RPI-RP2 or RP2350 appears. A system that mounts no drives by "
    "itself has to be told to."
)


def mounted() -> list[Path]:
    """Where drives are mounted on this machine."""
    if sys.platform == "win32":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase if Path(f"{letter}:\\").exists()]
    if sys.platform == "darwin":
        return sorted(Path("/Volumes").glob("*"))
    lines = Path("/proc/mounts").read_text().splitlines()
    return [Path(line.split()[1].replace("\\040", " ")) for line in lines if line.split()[2] in ("vfat", "msdos")]


def drive_chip(drive: Path) -> Chip | None:
    """The chip whose boot drive this is; None: it is no boot drive."""
    try:
        info = (drive / INFO).read_text(errors="replace")
    except OSError:
        return None
    return next((chip for chip in CHIPS.values() if chip.drive and chip.drive in info), None)


def drives() -> list[tuple[Path, Chip]]:
    """Every Pico that waits in BOOTSEL mode."""
    return [(path, chip) for path in mounted() if (chip := drive_chip(path)) is not None]


def wait_for_drive(chip: Chip, seconds: float) -> Path:
    """The boot drive of that chip, once there is one. Raises NoDevice, or Failed where there are several."""
    until = time.monotonic() + seconds
    while True:
        found = [path for path, its_chip in drives() if its_chip == chip]
        if len(found) > 1:
            raise Failed("Several boards wait in BOOTSEL mode: name the drive of one in the place of the port.")
        if found:
            return found[0]
        if time.monotonic() >= until:
            raise NoDevice(f"No {chip.name} waits in BOOTSEL mode. {PRESS}")
        time.sleep(0.3)


def flash_drive(board: Board, image: Uf2, data: bytes, drive: Path, is_dry: bool = False, report: Report = nothing) -> dict:
    """Copy a UF2 file to a boot drive; returns what was done as plain values. The boot ROM checks and writes page by page,
    and restarts after the last one. Raises Failed, NoDevice."""
    chip = drive_chip(drive)
    if chip is None:
        raise NoDevice(f"{drive} is no drive of a Pico in BOOTSEL mode (it has no {INFO}). {PRESS}")
    if image.chip != board.chip:
        raise Failed(f"The image is for {image.chip.name}, and {board.name} has {board.chip.name}. Nothing was written.")
    if chip != board.chip:
        raise Failed(f"The board there is an {chip.name}, and {board.name} has {board.chip.name}. Nothing was written.")
    if image.end > board.flash_bytes:
        raise Failed(
            f"The image ends at {image.end:#x}, behind the {board.flash_bytes // 1024} KB of flash. Nothing was written."
        )
    facts = {
        "board": board.name,
        "chip": chip.name,
        "drive": str(drive),
        "bytes": len(image.pages) * 256,
        "written": not is_dry,
    }
    if is_dry:
        return facts
    at = 0
    try:
        with open(drive / "picoswarm.uf2", "wb", buffering=0) as target:
            for at in range(0, len(data), _AT_ONCE):
                target.write(data[at : at + _AT_ONCE])
                os.fsync(target.fileno())
                report("writing", min(at + _AT_ONCE, len(data)), len(data))
    except OSError as trouble:
        # The board restarts with the last block, which takes the drive away under the file.
        if at + _AT_ONCE < len(data):
            raise Failed(
                f"The drive was gone after {at} of {len(data)} bytes ({trouble}). {PRESS} Then flash it again."
            ) from None
    return facts
