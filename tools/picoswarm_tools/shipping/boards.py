"""`picoswarm boards`: the boards that this checkout knows, and how far each has been tried."""

from __future__ import annotations

import json

import rich_click as click
from rich import box
from rich.console import Console
from rich.table import Table

from .board import all_boards


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def boards(as_json: bool) -> None:
    """List the boards, what they have, and what each was tested on."""
    found = all_boards()
    if as_json:
        click.echo(json.dumps([board.facts for board in found]))
        return
    table = Table(box=box.SIMPLE)
    for heading in ("board", "chip", "flash", "Python heap", "native code", "tested on"):
        table.add_column(heading, justify="right" if heading in ("flash", "Python heap") else "left")
    for board in found:
        heap = f"{board.facts['heap_bytes']:,} B"
        table.add_row(
            board.name, board.chip.name, f"{board.flash_bytes // 1024:,} KB", heap, board.arch, board.facts["tested"]
        )
    Console().print(table)
