"""`picoswarm flash BOARD PORT IMAGE`: put a firmware onto a board, after making sure that it is one for that board."""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from . import progress
from .board import Board, BoardName
from .espimage import read_image
from .exits import Failed
from .uf2 import read_uf2

DRIVE_SECONDS = 30


def flash_image(
    board: Board,
    port: str,
    data: bytes,
    *,
    baud: int = 460800,
    is_stub: bool = True,
    before: str = "default-reset",
    after: str = "hard-reset",
    is_dry: bool = False,
    erases_all: bool = False,
    report: progress.Report = progress.nothing,
) -> dict:
    """Write an image by the way that the board's chip has. Raises what exits.py has."""
    if board.is_emulated:
        raise Failed("The emulator starts with its firmware in flash: give it the image, as `make emulator` does.")
    if board.chip.is_esp:
        from .esprom import Line, flash_esp  # esptool takes half a second to load

        return flash_esp(board, read_image(data), Line(port, baud, is_stub, before, after), is_dry, erases_all, report)
    image = read_uf2(data)
    return _flash_pico(board, port, image, data, is_dry, report)


def _flash_pico(board: Board, port: str, image, data: bytes, is_dry: bool, report: progress.Report) -> dict:
    """`port`: the boot drive, or a serial port whose MicroPython is asked to go to BOOTSEL mode, or `auto`."""
    from .picodrive import flash_drive, wait_for_drive

    if image.chip != board.chip:
        raise Failed(f"The image is for {image.chip.name}, and {board.name} has {board.chip.name}. Nothing was written.")
    if Path(port).is_dir():
        return flash_drive(board, image, data, Path(port), is_dry, report)
    if port != "auto":
        from .remote import Remote

        if is_dry:
            return {
                "board": board.name,
                "chip": board.chip.name,
                "port": port,
                "bytes": len(image.pages) * 256,
                "written": False,
            }
        Remote(port).bootloader()
    return flash_drive(board, image, data, wait_for_drive(board.chip, DRIVE_SECONDS), is_dry, report)


@click.command()
@click.argument("board", type=BoardName())
@click.argument("port")
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be erased and written, and do neither.")
@click.option("--erase-all", is_flag=True, help="ESP: erase the whole flash first, with the board's keys and files.")
@click.option("--baud", type=int, default=460800, show_default=True, help="ESP: speed of writing.")
@click.option("--no-stub", is_flag=True, help="ESP: talk to the ROM itself, slower.")
@click.option(
    "--before", default="default-reset", show_default=True, help="ESP: how to reach the loader, as esptool says it."
)
@click.option("--after", default="hard-reset", show_default=True, help="ESP: what to do afterwards, as esptool says it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def flash(
    board: Board,
    port: str,
    image: Path,
    dry_run: bool,
    erase_all: bool,
    baud: int,
    no_stub: bool,
    before: str,
    after: str,
    as_json: bool,
) -> None:
    """Put a firmware image onto a board.

    PORT is a serial port (/dev/ttyUSB0, COM3); for a Pico, its BOOTSEL drive, a port at which its MicroPython can be asked
    to go there, or `auto` for the one that waits. IMAGE is MicroPython's .bin or .uf2 for the board, or what `picoswarm
    image` made. An image for another chip is refused before anything is erased. What a board keeps (its files, its key in
    NVS) stays, unless the image brings its own or --erase-all is given.

    Exit status: 0 done, 1 failed or refused, 2 wrong usage, 3 no device, 4 timeout.
    """
    with progress.bar(as_json) as report:
        facts = flash_image(
            board,
            port,
            image.read_bytes(),
            baud=baud,
            is_stub=not no_stub,
            before=before,
            after=after,
            is_dry=dry_run,
            erases_all=erase_all,
            report=report,
        )
    if as_json:
        click.echo(json.dumps(facts))
        return
    size = facts["bytes"] if "bytes" in facts else sum(region["bytes"] for region in facts["regions"])
    for region in facts.get("regions", ()):
        click.echo(f"  {region['address']:#010x}  {region['bytes']:,} bytes")
    did = "Would write" if dry_run else "Wrote and verified" if facts.get("verified") else "Wrote"
    click.echo(f"{did} {size:,} bytes of {facts['chip']} firmware")
