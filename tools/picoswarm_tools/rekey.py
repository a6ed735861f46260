"""`picoswarm rekey` and `picoswarm revoke`: a new network key for a running mesh (docs/security.md)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import rich_click as click
from picoswarm.errors import PicoswarmError
from picoswarm_gateway.keychange import NobodyThere, Operator, Refused, Report, run_change

NOBODY, INCOMPLETE = 3, 4

_STATUS = """
Exit status: 0 every member that was there confirmed; 1 refused or failed, nothing was changed; 2 wrong usage; 3 no member
was reached, nothing was changed; 4 the key was changed, but not every member confirmed: see --again.
"""


def _options(command: Callable) -> Callable:
    for option in reversed(
        (
            click.option(
                "--folder",
                type=click.Path(file_okay=False, path_type=Path),
                default=lambda: Path(f"{click.get_app_dir('picoswarm')}.operator"),
                show_default="the operator's folder beside picoswarm's own",
                help="The operator's folder, which `picoswarm provision` made.",
            ),
            click.option("--bootstrap", multiple=True, metavar="HOST:PORT", help="A node of the mesh, beyond the own LAN."),
            click.option("--host", default="", metavar="IP", help="Own address, where it cannot be found out."),
            click.option("--port", default=0, help="Own UDP and TCP port; 0: any."),
            click.option("--seconds", default=60.0, show_default=True, help="How long to wait for members."),
            click.option("--again", is_flag=True, help="Change nothing: hand out the last change once more."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        )
    ):
        command = option(command)
    return command


def _run(nodes: Sequence[str] | None, folder: Path, as_json: bool, **options) -> None:
    try:
        report = asyncio.run(run_change(Operator(folder), nodes, **options))
    except (Refused, PicoswarmError, OSError, TimeoutError) as error:
        text, status = str(error) or "The mesh did not answer in time.", NOBODY if isinstance(error, NobodyThere) else 1
        if as_json:
            click.echo(json.dumps({"error": text, "status": status}))
        else:
            click.echo(f"Error: {text}", err=True)
        sys.exit(status)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        _print(report)
    sys.exit(INCOMPLETE if report.missing else 0)


def _print(report: Report) -> None:
    click.echo(f"Change {report.serial}: epoch {report.epoch}, mesh {report.fingerprint}")
    for id16 in report.revoked:
        click.echo(f"  revoked    {id16}")
    click.echo(f"{len(report.confirmed)} members confirmed, {len(report.missing)} did not")
    for id32 in report.missing:
        click.echo(f"  missing    {id32}  {report.answers.get(id32, '')}".rstrip())


@click.command(epilog=_STATUS)
@_options
def rekey(folder: Path, as_json: bool, **options) -> None:
    """Move a running mesh to a new network key, with no outage.

    The old key stays valid for a day of each node's uptime, for those that are away now.
    """
    _run(None, folder, as_json, **options)


@click.command(epilog=_STATUS)
@click.argument("nodes", nargs=-1, metavar="NODE...")
@_options
def revoke(nodes: tuple[str, ...], folder: Path, as_json: bool, **options) -> None:
    """Shut lost nodes out: move a running mesh to a new network key that they do not get.

    NODE is the id of a node in hex (64 digits, or the first 32), the first 8 or more digits of one that is there now, or the
    name of a peer. The old key goes at once. Members that are away get the new one from a gateway, when they come back.
    """
    if bool(nodes) == options["again"]:
        raise click.UsageError("Name the nodes to revoke, or say --again without any.")
    _run(nodes, folder, as_json, **options)
