"""What is known of a board before anyone talks to it: `boards/<BOARD>/board.json`, and the chips that those name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import rich_click as click

from ..runtimes import ROOT

KB = 1024


@dataclass(frozen=True)
class Chip:
    """How one chip's images are told from another's.

    `esp_id`: the chip id in an ESP image header (bytes 12 and 13), and `boot_at` where its boot loader lies in flash.
    `families`: family ids that a UF2 block for this chip may carry; `drive` what its BOOTSEL drive calls itself.
    """

    name: str
    esp_id: int | None = None
    boot_at: int = 0
    families: tuple[int, ...] = ()
    drive: str = ""

    @property
    def is_esp(self) -> bool:
        return self.esp_id is not None


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("ESP32", esp_id=0, boot_at=0x1000),
        Chip("ESP32-S2", esp_id=2, boot_at=0x1000),
        Chip("ESP32-C3", esp_id=5),
        Chip("ESP32-S3", esp_id=9),
        Chip("ESP32-C6", esp_id=13),
        Chip("RP2040", families=(0xE48BFF56,), drive="RPI-RP2"),
        # Secure Arm, RISC-V, and the two families of blocks that belong to no program.
        Chip("RP2350", families=(0xE48BFF59, 0xE48BFF5A), drive="RP2350"),
    )
}


@dataclass(frozen=True)
class Board:
    """One folder of boards/. `facts` is the whole of board.json."""

    name: str
    title: str
    chip: Chip
    arch: str
    flash_bytes: int
    facts: dict
    profile: str = ""  # a folder of boards/ whose profile it has in the place of its own: "leaf"
    form: str = ""  # of its library, one of mpy.FORMS

    @property
    def folder(self) -> Path:
        return ROOT / "boards" / self.name

    @property
    def profile_file(self) -> Path:
        return ROOT / "boards" / (self.profile or self.name) / "profile.py"

    @property
    def is_emulated(self) -> bool:
        return self.name.endswith("_EMU")


def _read(path: Path) -> Board:
    facts = json.loads(path.read_text())
    return Board(
        name=facts["board"],
        title=facts["name"],
        chip=CHIPS[facts["chip"]],
        arch=facts["arch"],
        flash_bytes=facts["flash_kb"] * KB,
        facts=facts,
    )


def all_boards(root: Path = ROOT) -> list[Board]:
    """The boards of this checkout, by name."""
    return [_read(path) for path in sorted((root / "boards").glob("*/board.json"))]


LEAF = "leaf"


class BoardName(click.ParamType):
    """A click parameter that is a board of this checkout; `BOARD:leaf` is that board with the profile of a leaf."""

    name = "board"

    def convert(self, value: str | Board, param: click.Parameter | None, ctx: click.Context | None) -> Board:
        if isinstance(value, Board):
            return value
        boards = {board.name: board for board in all_boards()}
        if not boards:
            self.fail("an installed copy has no boards/: run this in a checkout of the project", param, ctx)
        value, _, profile = value.partition(":")
        if profile not in ("", LEAF):
            self.fail(f"{profile} is no profile for any board: there is {LEAF}", param, ctx)
        if value.upper() not in boards:
            self.fail(f"{value} is no board of boards/. There are: {', '.join(boards)}", param, ctx)
        return replace(boards[value.upper()], profile=profile, form=profile)
