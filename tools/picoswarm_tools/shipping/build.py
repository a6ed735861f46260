"""`picoswarm firmware BOARD`: how a firmware with the library frozen in is built, and how far that was tried here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import rich_click as click

from .. import mpy
from ..runtimes import ROOT, build_folder
from .board import Board, BoardName
from .exits import Failed

RUN, BUILT, RECIPE = "built and run here", "built here, not run", "recipe only"
_TAG = "v1.26.1"


def level(board: Board) -> str:
    """How far building a board's firmware was tried in this project (docs/flashing.md)."""
    if board.is_emulated:
        return RUN
    return BUILT if board.facts.get("firmware_was_built") else RECIPE


def recipe(board: Board, source: str = "micropython") -> list[str]:
    """The commands, from a MicroPython checkout in the folder `source` to an image."""
    if board.is_emulated:
        return ["make emulator"]
    port = f"{source}/ports/{'esp32' if board.chip.is_esp else 'rp2'}"
    # What 1.26 aligns to 2 bytes, a Cortex-M0+ needs aligned to 4: it loads the constants of frozen machine code from there.
    align = [f"sed -i 's/aligned (2)/aligned (4)/' {source}/tools/mpy-tool.py"] if board.chip.name == "RP2040" else []
    form = mpy.IN_FIRMWARE[board.form]
    library = build_folder() / "mpy" / f"{board.arch}-O3-{form}" / "source" / "picoswarm"
    frozen = f"PICOSWARM_LIBRARY={library} PICOSWARM_PROFILE={board.profile_file.parent}"
    return [
        *align,
        f"make -C {ROOT} mpy ARCH={board.arch} FORM={form}",
        f"make -C {source}/mpy-cross",
        f"make -C {port} BOARD={board.name} submodules",
        f"env {frozen} make -C {port} BOARD={board.name} FROZEN_MANIFEST={board.folder / 'manifest.py'}",
    ]


def product(board: Board, source: str = "micropython") -> str:
    """Where the image is afterwards."""
    if board.is_emulated:
        return "build/emulator/pico-frozen.bin"
    if board.chip.is_esp:
        return f"{source}/ports/esp32/build-{board.name}/firmware.bin"
    return f"{source}/ports/rp2/build-{board.name}/firmware.uf2"


@click.command()
@click.argument("board", type=BoardName())
@click.option(
    "--run", "runs", is_flag=True, help="Do it. Needs $MICROPYTHON_SRC, a checkout of MicroPython, and the chip's tools."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def firmware(board: Board, runs: bool, as_json: bool) -> None:
    """How to build a firmware with the library frozen in, which takes the least heap; and how far that was tried.

    Without --run it says how. It is not needed to begin: MicroPython's own firmware for the board and `picoswarm deploy` do.

    Exit status: 0 done, 1 failed, 2 wrong usage.
    """
    source = os.environ.get("MICROPYTHON_SRC")
    steps = recipe(board, source or "micropython")
    facts = {"board": board.name, "level": level(board), "steps": steps, "image": product(board, source or "micropython")}
    if runs:
        if source is None and not board.is_emulated:
            raise Failed("Set MICROPYTHON_SRC to a checkout of MicroPython. For an ESP32 its IDF has to be active too.")
        for step in steps:
            if subprocess.run(shlex.split(step)).returncode:
                raise Failed(f"`{step}` failed.")
        if not Path(facts["image"]).exists():
            raise Failed(f"There is no {facts['image']}.")
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"{board.name}: {facts['level']}")
    if not runs and not board.is_emulated:
        click.echo(f"  git clone --depth 1 --branch {_TAG} https://github.com/micropython/micropython")
        if board.chip.is_esp:
            click.echo("  # with ESP-IDF of the version that ports/esp32/README.md names, its export.sh sourced")
    for step in steps:
        click.echo(f"  {step}")
    click.echo(f"  # -> {facts['image']}")
