"""Progress of something that takes long, on standard error; nothing where that is no terminal or JSON was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# what is done now, how much of it, of how much
Report = Callable[[str, int, int], None]


def nothing(what: str, done: int, total: int) -> None:
    """Reports to nobody."""


@contextmanager
def bar(is_quiet: bool) -> Iterator[Report]:
    """A progress bar for each `what` that is reported."""
    console = Console(stderr=True)
    if is_quiet or not console.is_terminal:
        yield nothing
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield report
