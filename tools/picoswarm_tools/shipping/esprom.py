"""Writing an image through the ROM loader of an ESP chip, by esptool's Python API.

The order is what matters: which chip it is and whether the image is for it and fits is known before anything is erased.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from esptool import cmds
from esptool.logger import EsptoolLogger, TemplateLogger
from esptool.util import FatalError, flash_size_bytes
from serial import SerialException

from .board import Board
from .espimage import EspImage
from .exits import Failed, NoDevice, TimedOut
from .progress import Report, nothing

ROM_BAUD = 115200
_SILENCE = ("No serial data", "Serial data stream stopped", "Packet content transfer stopped", "No more data")


@dataclass(frozen=True)
class Line:
    """How to reach the loader: the port, the speed for writing, whether esptool's stub runs there instead of the ROM, and
    what happens to the chip before and after (esptool's words)."""

    port: str
    baud: int = 460800
    is_stub: bool = True
    before: str = "default-reset"
    after: str = "hard-reset"


class _Quiet(TemplateLogger):
    """esptool's words go nowhere, its progress to a Report."""

    def __init__(self, report: Report, what: str) -> None:
        self.report = report
        self.what = what
        self.remarks: list[str] = []

    def print(self, *args: Any, **kwargs: Any) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        self.remarks.append(message)

    error = warning

    def stage(self, finish: bool = False) -> None:
        pass

    def set_verbosity(self, verbosity: str) -> None:
        pass

    def progress_bar(
        self, cur_iter: int, total_iters: int, prefix: str = "", suffix: str = "", bar_length: int = 30
    ) -> None:
        self.report(self.what, cur_iter, total_iters)


@contextmanager
def _esptool_says(report: Report) -> Iterator[_Quiet]:
    """While it lasts, esptool reports there."""
    logger = _Quiet(report, "writing")
    its_own = EsptoolLogger()
    its_own.set_logger(logger)
    try:
        yield logger
    finally:
        its_own.set_logger(its_own)


def _is_silence(trouble: Exception) -> bool:
    return any(text in str(trouble) for text in _SILENCE)


def _connected(line: Line):
    """The loader of the chip at the end of the line. Raises NoDevice."""
    try:
        return cmds.detect_chip(line.port, ROM_BAUD, line.before, connect_attempts=3)
    except (FatalError, SerialException, OSError) as trouble:
        reason = str(trouble).strip().splitlines()[0]
        raise NoDevice(
            f"No ESP chip answers at {line.port}: {reason} Is the cable one for data? Then hold BOOT, press RESET, let "
            "go of BOOT, and try again."
        ) from None


def refuse_other(board: Board, image: EspImage, chip: str, flash_bytes: int | None) -> None:
    """Raises Failed unless the image is for the board, the chip is the board's, and its flash is large enough."""
    if image.chip != board.chip:
        raise Failed(f"The image is for {image.chip.name}, and {board.name} has {board.chip.name}. Nothing was erased.")
    if chip != board.chip.name:
        raise Failed(f"The chip there is {chip}, and {board.name} has {board.chip.name}. Nothing was erased.")
    needed = max(part.offset + part.size for part in image.partitions)
    if flash_bytes is not None and needed > flash_bytes:
        raise Failed(
            f"The image divides {needed // 1024} KB of flash, and the chip has {flash_bytes // 1024} KB. Nothing was erased."
        )


def flash_esp(
    board: Board, image: EspImage, line: Line, is_dry: bool = False, erases_all: bool = False, report: Report = nothing
) -> dict:
    """Write and verify an image; returns what was done as plain values. `is_dry`: says what would be, and writes nothing.
    Raises Failed, NoDevice, TimedOut."""
    with _esptool_says(report) as says:
        esp = _connected(line)
        try:
            chip = esp.CHIP_NAME
            if chip != board.chip.name:
                refuse_other(board, image, chip, None)
            if line.is_stub:
                esp = esp.run_stub()
            cmds.attach_flash(esp)
            size = cmds.detect_flash_size(esp)
            flash_bytes = flash_size_bytes(size) if size else None
            refuse_other(board, image, chip, flash_bytes)
            regions = image.regions()
            facts = {
                "board": board.name,
                "chip": chip,
                "flash_bytes": flash_bytes,
                "regions": [{"address": address, "bytes": len(data)} for address, data in regions],
                "erased": "all" if erases_all else "regions",
                "written": not is_dry,
                "verified": not is_dry,
            }
            if not is_dry:
                _write(esp, regions, line, erases_all)
            cmds.reset_chip(esp, line.after)
            return facts | {"remarks": says.remarks}
        except SerialException as trouble:
            raise Failed(
                f"The link was cut while the flash was being written ({trouble}). What it holds is neither the old firmware "
                "nor the new: plug the board in and flash it again. Its loader is in ROM, it cannot be lost."
            ) from None
        except FatalError as trouble:
            reason = str(trouble).strip().splitlines()[0]
            if _is_silence(trouble):
                raise TimedOut(
                    f"The chip stopped answering: {reason} Flash it again, slower if need be (--baud 115200)."
                ) from None
            raise Failed(f"The chip refused: {reason}") from None
        finally:
            esp._port.close()


def _write(esp, regions: list[tuple[int, bytes]], line: Line, erases_all: bool) -> None:
    """Erase, write and compare MD5 sums, region by region."""
    if line.baud != ROM_BAUD:
        esp.change_baud(line.baud)
    if erases_all and not esp.IS_STUB:
        raise Failed("Only esptool's stub can erase all of a flash: leave out --no-stub or --erase-all.")
    cmds.write_flash(esp, regions, erase_all=erases_all)
