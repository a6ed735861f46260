"""`picoswarm checklist BOARD PORT`: for people with a board on the desk. It does and asks what no test here can, and prints
a table to be pasted into an issue. Only such a table makes `docs/boards.md` say "hardware" of a board.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import rich_click as click

from .board import Board, BoardName
from .console import start
from .deploy import deploy_board
from .flash import flash_image
from .remote import Remote
from .up import READY, wait_for_micropython

OK, FAILED, SKIPPED = "ok", "**failed**", "not tried"
_IMPORT = """
import gc, time
gc.collect()
before, began = gc.mem_free(), time.ticks_ms()
import picoswarm
picoswarm.Node
ms = time.ticks_diff(time.ticks_ms(), began)
gc.collect()
print("%d bytes of heap, %d left, %d ms" % (before - gc.mem_free(), gc.mem_free(), ms))
"""


class Table:
    """The rows so far: what, how it went, and what was seen."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def step(self, what: str, do: Callable[[], object]) -> bool:
        """Do one thing; whatever it raises is a row of the table."""
        click.echo(f"... {what}", err=True)
        began = time.monotonic()
        try:
            seen = do()
        except (click.ClickException, OSError, KeyError, ValueError) as trouble:
            self.rows.append((what, FAILED, str(getattr(trouble, "message", trouble)).splitlines()[0]))
            return False
        took = f"{time.monotonic() - began:.1f} s"
        self.rows.append((what, OK, f"{seen}; {took}" if seen else took))
        return True

    def ask(self, what: str, asks: bool) -> None:
        """What only eyes can tell."""
        if not asks:
            self.rows.append((what, SKIPPED, ""))
            return
        reply = click.prompt(f"{what}? [y]es, [n]o, or Enter to leave it out", default="", show_default=False, err=True)
        self.rows.append((what, {"y": OK, "n": FAILED}.get(reply[:1].lower(), SKIPPED), "seen by a person"))

    def markdown(self, head: str) -> str:
        lines = [head, "", "| step | result | what was seen |", "|---|---|---|"]
        return "\n".join([*lines, *(f"| {what} | {how} | {seen.replace('|', '/')} |" for what, how, seen in self.rows)])

    @property
    def has_failed(self) -> bool:
        return any(how == FAILED for _, how, _ in self.rows)


@click.command()
@click.argument("board", type=BoardName())
@click.argument("port")
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Flash this firmware first.")
@click.option("--no-questions", is_flag=True, help="Leave out what a person has to look at or pull.")
@click.option("--timeout", "seconds", type=float, default=90, show_default=True, help="Seconds for each step.")
def checklist(board: Board, port: str, image: Path | None, no_questions: bool, seconds: float) -> None:
    """Try a real board, and print a table of what worked, to be pasted into an issue.

    It writes the board's firmware (with --image), library and program. Provision the board first, for its Wi-Fi to be
    tried.

    Exit status: 0 nothing failed, 1 something did, 2 wrong usage.
    """
    table, remote, asks = Table(), Remote(port, seconds), not no_questions
    about: dict = {}
    if image is not None:
        table.step("flash and verify", lambda: f"{flash_image(board, port, image.read_bytes())['chip']}, {image.name}")
    if table.step(
        "MicroPython answers", lambda: about.update(wait_for_micropython(remote, min(30, seconds))) or about["machine"]
    ):
        table.step("deploy", lambda: f"{deploy_board(remote, board)['bytes']:,} bytes copied")
        table.step("deploy again copies nothing", lambda: _nothing_new(deploy_board(remote, board)))
        table.step("the library is imported", lambda: remote.execute(_IMPORT).strip().splitlines()[-1])
        table.ask("Pull the plug during `picoswarm deploy`, plug in again: does the board start as before", asks)
        table.step("it starts and joins its network", lambda: start(port, READY, seconds)[-1])
        table.ask("Does the gateway's dashboard show it", asks)
        table.ask("Switch the access point off for a minute and on again: is it back within two minutes", asks)
        table.ask("Is it still there after an hour", asks)
    head = f"{board.name}: {about.get('machine', 'no answer')}, MicroPython {about.get('version', '?')}, "
    head += f"picoswarm {version('picoswarm')}, from {platform.system()} {platform.release()}, {time.strftime('%Y-%m-%d')}"
    click.echo(table.markdown(head))
    if table.has_failed:
        raise click.exceptions.Exit(1)


def _nothing_new(facts: dict) -> str:
    if facts["changed"]:
        raise ValueError(f"{len(facts['changed'])} files were copied again")
    return f"{facts['kept']} files"
