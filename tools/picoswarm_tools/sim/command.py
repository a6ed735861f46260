"""`picoswarm sim`: run a scenario, print what came of it, and write its results and its report."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click
from picoswarm_gateway.tomlfile import Mistakes
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from . import metrics, scenario, sweep
from .measure import percentile
from .play import OnProgress, Run, encode, load, play
from .scenario import Scenario

EVERY_S = 15  # between two lines of progress where there is no terminal
HEADLINES = (
    "join.share",
    "join.seconds.p50",
    "join.seconds.p90",
    "mesh.share",
    "heal.seconds.max",
    "lookup.found",
    "lookup.hops.mean",
    "lookup.bytes.mean",
    "lookup.discv4.bytes",
    "lookup.mainline.bytes",
    "publish.sent",
    "publish.due",
    "publish.delivery",
    "publish.seconds.p99",
    "request.answered",
    "bulk.done",
    "udp.bytes_per_node_hour",
    "tcp.bytes_per_node_hour",
    "packets.peak_per_second",
    "table.live",
    "table.dead_share",
    "attack.table_share",
    "attack.answers",
    "eclipse.found",
)
errors = Console(stderr=True, highlight=False)


@contextmanager
def progress(what: str) -> Iterator[OnProgress]:
    """A bar with the time that is left, or now and then a line where nobody watches."""
    if errors.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeRemainingColumn())
        with Progress(*columns, console=errors, transient=True) as bar:
            task = bar.add_task(what, at="")

            def show(done_s: float, all_s: float) -> None:
                bar.update(task, completed=done_s, total=all_s, at=f"{done_s / 60:.1f} of {all_s / 60:g} virtual minutes")

            yield show
        return
    began = told = time.monotonic()

    def tell(done_s: float, all_s: float) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= EVERY_S and done_s < all_s:
            told = now
            left_s = (now - began) / done_s * (all_s - done_s)
            errors.print(f"{what}: {done_s / 60:.1f} of {all_s / 60:g} virtual minutes, about {left_s:.0f} s left")

    yield tell


def print_list() -> None:
    table = Table(box=box.SIMPLE)
    for heading in ("scenario", "nodes", "minutes", "what happens"):
        table.add_column(heading, justify="right" if heading in ("nodes", "minutes") else "left")
    for name in scenario.shipped():
        each = scenario.find(name)[1]
        nodes = sum(group.count for group in each.nodes) + sum(attack.count for attack in each.attack)
        table.add_row(name, f"{nodes:,}", f"{each.minutes:g}", each.about)
    Console().print(table)


def print_run(run: Run, is_full: bool) -> None:
    table = Table(title=f"{run.scenario}, seed {run.seed}", title_justify="left", box=box.SIMPLE)
    for heading in ("figure", "value", "unit", "what"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for name, value in run.summary.items():
        if is_full or name in HEADLINES:
            table.add_row(
                name, f"{value:,.4g}" if value < 10000 else f"{value:,.0f}", metrics.unit(name), metrics.meaning(name)
            )
    Console().print(table)
    print_verdicts(run)


def print_verdicts(run: Run) -> None:
    for verdict in run.verdicts:
        style, word = ("red", "missed") if verdict.short_by else ("green", "ok    ")
        errors.print(f"[{style}]{word}[/{style}] {verdict}")


def tell_failed(run: Run, name: str) -> None:
    """How to see it again."""
    again = "" if run.seed is None else f" --seed {run.seed}"
    errors.print(
        f"[red]{len(run.failed)} of {len(run.verdicts)} expectations missed[/red]; again: picoswarm sim {name}{again}",
        soft_wrap=True,  # a line to copy
    )


@click.command()
@click.argument("name", required=False, metavar="[NAME|FILE]")
@click.option("--list", "is_list", is_flag=True, help="List the ready scenarios.")
@click.option("--show", is_flag=True, help="Print the scenario's file, to begin one of your own.")
@click.option("--seed", type=int, help="Another seed than the scenario's.")
@click.option("--seeds", type=click.IntRange(1), help="A sweep: so many seeds, from the scenario's on.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes of a sweep.")
@click.option("--dask", metavar="ADDRESS", help="Sweep on the Dask cluster with this scheduler.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the results; else build/sim/NAME.")
@click.option("--plots", type=click.Choice(["svg", "png"]), help="Write each plot as a file too.")
@click.option("--report", "results", type=click.Path(path_type=Path, exists=True), help="Make the report of a results file.")
@click.option("--all", "is_full", is_flag=True, help="Print every figure.")
@click.option("--minutes", type=float, help="Another length than the scenario's, in virtual minutes.")
def sim(
    name: str | None,
    is_list: bool,
    show: bool,
    seed: int | None,
    seeds: int | None,
    jobs: int,
    dask: str | None,
    out: Path | None,
    plots: str | None,
    results: Path | None,
    is_full: bool,
    minutes: float | None,
) -> None:
    """Run a scenario of many nodes in virtual time: the library's own engines on a network that is made up.

    Exits 1 where something that the scenario expects was missed; the results are written all the same.
    """
    if is_list:
        return print_list()
    if results is not None:
        return write_report(load(results), results.parent, plots)
    if name is None:
        raise click.UsageError("which scenario? `picoswarm sim --list` shows the ready ones; or give a file of your own")
    try:
        title, what = scenario.find(name)
    except Mistakes as mistakes:
        raise click.ClickException(str(mistakes)) from None
    if show:
        path = scenario.shipped().get(name) or Path(name)
        return click.echo(path.read_text("utf-8"), nl=False)
    if minutes is not None:
        what.minutes = minutes
    first = what.seed if seed is None else seed
    folder = out or Path("build", "sim", title)
    if seeds:
        run_sweep(name, title, what, list(range(first, first + seeds)), jobs, dask, folder)
    else:
        run_once(name, title, what, first, folder, plots, is_full)


def run_once(name: str, title: str, what: Scenario, seed: int, folder: Path, plots: str | None, is_full: bool) -> None:
    with progress(title) as on_progress:
        run = play(title, what, seed, on_progress)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_bytes(encode(run.lines))
    print_run(run, is_full)
    errors.print(f"{run.cpu_seconds:.1f} s of processor time, {run.megabytes:.0f} MB; lines' digest {run.digest}")
    write_report(run.lines, folder, plots)
    if run.failed:
        tell_failed(run, name)
        sys.exit(1)


def run_sweep(name: str, title: str, what: Scenario, seeds: list[int], jobs: int, dask: str | None, folder: Path) -> None:
    try:
        runs = sweep.on_dask(title, what, seeds, dask) if dask else sweep.in_processes(title, what, seeds, jobs)
        done: list[Run] = []
        began = time.monotonic()
        for run in runs:
            done.append(run)
            left_s = (time.monotonic() - began) / len(done) * (len(seeds) - len(done))
            word = "[red]missed[/red]" if run.failed else "ok"
            errors.print(f"seed {run.seed}: {word}, {run.digest}; {len(done)} of {len(seeds)}, about {left_s:.0f} s left")
            for verdict in run.failed:
                errors.print(f"    {verdict}")
    except ModuleNotFoundError:
        raise click.ClickException("distributed is missing. In a checkout: pip install '.[sim,dask]'") from None
    except OSError as error:
        raise click.ClickException(f"no Dask scheduler at {dask}: {error}") from None
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"scenario": title, "seed": run.seed, "digest": run.digest, "summary": run.summary} for run in done]
    (folder / "sweep.jsonl").write_bytes(encode(lines))
    print_sweep(title, done)
    failed = [run for run in done if run.failed]
    if failed:
        for run in failed[:5]:
            tell_failed(run, name)
        errors.print(f"[red]{len(failed)} of {len(done)} seeds missed something[/red]")
        sys.exit(1)


def print_sweep(title: str, runs: list[Run]) -> None:
    table = Table(title=f"{title}, {len(runs)} seeds", title_justify="left", box=box.SIMPLE)
    for heading in ("figure", "least", "median", "most", "unit"):
        table.add_column(heading, justify="left" if heading in ("figure", "unit") else "right")
    for metric in HEADLINES:
        values = [run.summary[metric] for run in runs if metric in run.summary]
        if values:
            shown = [f"{value:,.4g}" for value in (min(values), percentile(values, 0.5), max(values))]
            table.add_row(metric, *shown, metrics.unit(metric))
    Console().print(table)


def write_report(lines: list[dict], folder: Path, plots: str | None) -> None:
    """The HTML report, and the plots as files."""
    from . import page, plotfiles

    path = folder / "report.html"
    # What the code takes on a board is compiled and measured once in a checkout, which takes a minute.
    with errors.status("making the report; the first one of a checkout measures the heap of its boards"):
        path.write_text(page.render(lines), "utf-8")
    errors.print(f"report: {path}")
    if plots:
        shutil.rmtree(folder / "plots", ignore_errors=True)
        for plot in plotfiles.write(lines, folder / "plots", plots):
            errors.print(f"plot: {plot}")
