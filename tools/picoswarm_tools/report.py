"""`picoswarm report`: every figure that the project claims, measured now on this checkout.

A group of rows is a module in `rows/` with a function `measure()` that yields `Row`s as it gets them. No value is typed in
by hand: where a figure cannot be had, its row is missing, and a line says why. The command fails where a row that gates
misses its goal; rows of wall-clock time never gate, because machines drift.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import rich_click as click
from rich import box
from rich.console import Console
from rich.table import Table

from .mpy import CompileError
from .qemu import QemuError
from .runtimes import Missing

# (module, what its rows' ids begin with), in the order in which they are printed.
GROUPS = (
    ("picoswarm_tools.rows.kernel", ("kernel.",)),
    ("picoswarm_tools.rows.handshake", ("handshake.", "session.setup.", "secure.overhead.", "secure.seal512.")),
    ("picoswarm_tools.rows.size", ("mpy.",)),
    ("picoswarm_tools.rows.ship", ("ship.",)),
    ("picoswarm_tools.rows.libp2p", ("libp2p.",)),
    ("picoswarm_tools.rows.mux", ("mux.", "priority.")),
    ("picoswarm_tools.rows.sealed", ("secure.throughput.",)),
    (
        "picoswarm_tools.rows.discovery_device",
        (
            "discovery.heap.native",
            "discovery.heap.import_mpy",
            "discovery.heap.idle",
            "discovery.heap.slope",
            "discovery.alloc_per_datagram",
        ),
    ),
    (
        "picoswarm_tools.rows.discovery_engine",
        (
            "discovery.record",
            "discovery.alloc_per_ping",
            "discovery.alloc_per_find",
            "discovery.closest8",
            "discovery.ping_served",
            "discovery.find_node_served",
        ),
    ),
    (
        "picoswarm_tools.rows.discovery_small_heap",
        ("discovery.heap.import_frozen", "discovery.heap.smallest", "discovery.loads"),
    ),
    ("picoswarm_tools.rows.session_heap", ("heap.",)),
    ("picoswarm_tools.rows.compare", ("compare.",)),
    (
        "picoswarm_tools.rows.discovery_sim",
        ("lookup.", "join.", "idle.", "liveness.", "sim.grow", "table.", "discovery.datagram", "discovery.pong"),
    ),
    ("picoswarm_tools.rows.sim_large", ("sim.1000x1h.", "sim.10000.")),
    ("picoswarm_tools.rows.sim_faults", ("sim.partition.", "sim.power_cut.", "sim.eclipse.")),
    ("picoswarm_tools.rows.sim_fidelity", ("sim.fidelity",)),
    ("picoswarm_tools.rows.gateway", ("gateway.cpu", "gateway.p99", "gateway.session", "gateway.rss")),
    ("picoswarm_tools.rows.gateway_floods", ("gateway.flood.",)),
    ("picoswarm_tools.rows.publish", ("publish.", "swarm.")),
    ("picoswarm_tools.rows.gateway_start", ("gateway.start_",)),
    ("picoswarm_tools.rows.gateway_failover", ("gateway.failover_",)),
    ("picoswarm_tools.rows.gateway_all", ("gateway.all.",)),
    ("picoswarm_tools.rows.bitcoin", ("bitcoin.",)),
    ("picoswarm_tools.rows.cometbft", ("cometbft.",)),
    ("picoswarm_tools.rows.update", ("update.",)),
    ("picoswarm_tools.rows.emulator", ("emu.handshake", "emu.loop", "emu.collect", "emu.start", "emu.leaf.", "emu.awake")),
    ("picoswarm_tools.rows.emulator_loads", ("emu.overlay",)),
    ("picoswarm_tools.rows.emulator_heap", ("emu.heap.", "emu.join")),
    ("picoswarm_tools.rows.powercut", ("powercut.",)),
)

NARROWEST = 130  # columns that the table needs to be readable; a narrower terminal wraps lines


@dataclass(frozen=True)
class Row:
    """One measured figure. `goal` None: no limit is claimed. `better` says which side of the goal is good."""

    id: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    better: str = "lower"
    gate: bool = True
    method: str = ""

    @property
    def missed(self) -> bool:
        if self.goal is None:
            return False
        return self.value > self.goal if self.better == "lower" else self.value < self.goal


def select(wanted: str) -> list[str]:
    """The modules that may have rows whose id begins with `wanted`; all of them for ""."""
    return [
        module
        for module, prefixes in GROUPS
        if any(prefix.startswith(wanted) or wanted.startswith(prefix.rstrip(".")) for prefix in prefixes)
    ]


def measured(wanted: str, troubles: list[str]) -> Iterator[Row]:
    """The rows whose id begins with `wanted`, as they come; why others did not come goes to `troubles`."""
    for module in select(wanted):
        try:
            for row in import_module(module).measure():
                if row.id.startswith(wanted):
                    yield row
        except (Missing, CompileError, QemuError, RuntimeError) as trouble:
            troubles.append(f"{module.rpartition('.')[2]}: {trouble}")


def show(number: float) -> str:
    """A figure with thousands separated and no digits that say nothing."""
    return f"{number:,.0f}" if number == int(number) or abs(number) >= 1000 else f"{number:,.4g}"


def print_table(rows: list[Row]) -> None:
    table = Table(title="picoswarm report", title_justify="left", box=box.SIMPLE)
    for heading in ("id", "value", "goal", "unit", ""):
        table.add_column(heading, justify="right" if heading in ("value", "goal") else "left", no_wrap=True)
    table.add_column("what")
    for row in rows:
        sign = "≤" if row.better == "lower" else "≥"
        goal = "" if row.goal is None else f"{sign} {show(row.goal)}"
        verdict = "" if row.goal is None else ("[red]missed[/red]" if row.missed else "[green]ok[/green]")
        if row.missed and not row.gate:
            verdict = "[yellow]over[/yellow]"
        table.add_row(row.id, show(row.value), goal, row.unit, verdict, row.what)
    Console(width=max(Console().width, NARROWEST)).print(table)


def save(rows: list[Row], output: Path, is_whole: bool) -> None:
    """Write the rows as JSON. A part replaces its own rows in what is there and leaves the others."""
    kept = []
    if not is_whole and output.exists():
        new = {row.id for row in rows}
        kept = [row for row in json.loads(output.read_text()) if row["id"] not in new]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(kept + [asdict(row) for row in rows], indent=1) + "\n")


@click.command()
@click.option("--rows", "wanted", metavar="PREFIX", default="", help="Only rows whose id starts with PREFIX, as in kernel.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/report.json"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON instead of a table.")
def report(wanted: str, output: Path, as_json: bool) -> None:
    """Measure this checkout and print the table of figures.

    Exits 1 where a row that gates misses its goal, or where rows could not be measured.
    """
    started = time.monotonic()
    rows: list[Row] = []
    troubles: list[str] = []
    progress = Console(stderr=True)
    for row in measured(wanted, troubles):
        rows.append(row)
        progress.print(
            f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {row.id} = {show(row.value)} {row.unit}", highlight=False
        )
    for trouble in troubles:
        progress.print(f"[red]not measured:[/red] {trouble}")
    if not rows and not troubles:
        raise click.UsageError(f"no row's id begins with '{wanted}'")
    save(rows, output, is_whole=not wanted)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print_table(rows)
    missed = [row.id for row in rows if row.missed and row.gate]
    if missed:
        progress.print(f"[red]goals missed:[/red] {', '.join(missed)}")
    if missed or troubles:
        sys.exit(1)
