"""`picoswarm image BOARD FIRMWARE`: one file with a firmware and a file system in which library and program are already.

It holds no key of any kind: a board that starts from it makes its node key itself, and waits for a network key
(`picoswarm provision --port`). Who flashes one file onto a hundred boards has a hundred nodes.
"""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from . import payload
from .board import Board, BoardName
from .espimage import read_image
from .exits import Failed
from .filesystem import Region, by_firmware, by_map, littlefs, of_esp
from .payload import File
from .uf2 import pages_of, read_uf2, write_uf2


def joined(board: Board, firmware: bytes, files: list[File]) -> tuple[bytes, Region]:
    """(the image, where its file system lies). Raises Failed for a firmware of another chip, or files that do not fit."""
    if board.chip.is_esp:
        image = read_image(firmware)
        _refuse_other(board, image.chip.name)
        region = of_esp(image)
        if image.end > region.at:
            raise Failed("The firmware has a file system of its own already.")
        return firmware.ljust(region.at - image.start, b"\xff") + littlefs(files, region.size), region
    pages, flash = _rp2(board, firmware)
    region = by_firmware(flash) or by_map(board)
    if len(flash) > region.at:
        raise Failed(f"The firmware ends at {len(flash):#x}, in the file system that begins at {region.at:#x}.")
    return write_uf2([*pages, *pages_of(littlefs(files, region.size), region.at)], board.chip.families[0]), region


def _rp2(board: Board, firmware: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """(pages, flash from its beginning) of a firmware as UF2 or as plain bytes."""
    if firmware[:4] != b"UF2\n":
        return pages_of(firmware, 0), firmware
    image = read_uf2(firmware)
    _refuse_other(board, image.chip.name)
    return list(image.pages.items()), image.span(0, image.end)


def _refuse_other(board: Board, chip: str) -> None:
    if chip != board.chip.name:
        raise Failed(f"The firmware is for {chip}, and {board.name} has {board.chip.name}.")


@click.command()
@click.argument("board", type=BoardName())
@click.argument("firmware", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="[default: picoswarm-BOARD.bin or .uf2]"
)
@click.option("--app", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your program, as /app.py.")
@click.option("--no-library", is_flag=True, help="Leave the library out: the firmware has it frozen in.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def image(board: Board, firmware: Path, output: Path | None, app: Path | None, no_library: bool, as_json: bool) -> None:
    """Join a firmware and a file system with library and program to one file, for `picoswarm flash`.

    FIRMWARE is MicroPython for the board: the .bin of an ESP32, the .uf2 of a Pico. The file holds no keys: each board that
    gets it makes its own.

    Exit status: 0 done, 1 failed or refused, 2 wrong usage.
    """
    files = [*([] if no_library else payload.library(board)), *payload.firmware(board), *payload.program(app)]
    data, region = joined(board, firmware.read_bytes(), files)
    output = output or Path(f"picoswarm-{board.name}.{'bin' if board.chip.is_esp else 'uf2'}")
    output.write_bytes(data)
    facts = {"board": board.name, "image": str(output), "bytes": len(data), "files": len(files), "file_system_at": region.at}
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Wrote {output}: {len(data):,} bytes, {len(files)} files in a file system at {region.at:#x}")
