"""`picoswarm nodes|ping|trace|find|log|export`: what a running gateway knows or finds out, by its HTTP API.

Each takes `--url` and `--json`, those that make the gateway send something `--token` too. Exit status: 0 done, 1 there is no
such node or it does not answer, 2 a mistake in the command, 3 no gateway answers at the address.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import rich_click as click

from .client import Client, NoAnswer
from .figures import clean
from .graphs import FORMATS, write

URL = "http://127.0.0.1:8742"
WAIT_S = 40  # a node that sleeps takes the gateway's own time-out
FAILED, UNREACHABLE = 1, 3
EXIT = "Exit status: 0 done, 1 no such node or no answer, 2 a mistake in the command, 3 no gateway there."


class Failed(click.ClickException):
    """The gateway answers with an error."""

    exit_code = FAILED


class Unreachable(click.ClickException):
    """No gateway answers."""

    exit_code = UNREACHABLE


def raised(error: NoAnswer) -> click.ClickException:
    """What a command raises in its place, for its exit status."""
    return Failed(str(error)) if error.status else Unreachable(f"no gateway answers: {error}")


def reaching_gateway(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Options by which a command reaches a gateway; its coroutine function gets a Client first."""

    async def ask(url: str, token: str, rest: dict[str, Any]) -> None:
        async with Client(url, token, WAIT_S) as client:
            await function(client, **rest)

    @functools.wraps(function)
    def run(url: str, token: str, token_file: Path | None, **rest: Any) -> None:
        if token_file:
            token = token_file.read_text("utf-8").strip()
        try:
            asyncio.run(ask(url, token, rest))
        except NoAnswer as error:
            raise raised(error) from None

    run = click.option("--token", envvar="PICOSWARM_TOKEN", default="", help="What writes need (or PICOSWARM_TOKEN).")(run)
    exists = click.Path(exists=True, dir_okay=False, path_type=Path)
    run = click.option("--token-file", type=exists, help="A file that holds it.")(run)
    return click.option("--url", envvar="PICOSWARM_URL", default=URL, show_default=True, help="Of the gateway.")(run)


def _command(**options: Any) -> Callable[[Callable[..., Awaitable[None]]], click.Command]:
    """A command about a gateway, with the options that all have."""
    return lambda function: click.command(epilog=EXIT, **options)(reaching_gateway(function))


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@_command()
@_json
async def nodes(client: Client, as_json: bool) -> None:
    """List the nodes that a gateway knows."""
    rows = await client.get("/api/nodes")
    if as_json:
        return click.echo(json.dumps(rows))
    lines = [("NAME", "ID", "STATE", "ADDRESS", "RTT", "LAST SEEN", "IN", "OUT", "RUNS")]
    for row in rows:
        rtt = "" if row["rtt_ms"] is None else f"{row['rtt_ms']:.1f} ms"
        seen = datetime.datetime.fromtimestamp(row["last_seen"]).strftime("%Y-%m-%d %H:%M:%S")
        address = f"{row['ip']}:{row['port']}" if row["ip"] else ""
        name = row["name"] + (" (gateway)" if row["is_gateway"] else "")
        counts = (str(row["bytes_in"]), str(row["bytes_out"]))
        lines.append((name, row["id"][:12], row["state"], address, rtt, seen, *counts, row["firmware"]))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        click.echo("  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip())


@_command()
@click.argument("node")
@click.option("-c", "--count", type=click.IntRange(1, 1000), default=4, show_default=True, help="How many.")
@_json
async def ping(client: Client, node: str, count: int, as_json: bool) -> None:
    """Time requests from a gateway to NODE: a name, an id, or the beginning of one."""
    times = []
    for i in range(count):
        answer = await client.post("/api/ping", {"id": node})
        times.append(answer["rtt_ms"])
        if not as_json:
            click.echo(f"{answer['name'] or answer['id'][:12]}: {i + 1} of {count}: {answer['rtt_ms']:.1f} ms")
    summary = {"least": min(times), "mean": round(sum(times) / count, 2), "most": max(times)}
    if as_json:
        click.echo(json.dumps({"id": answer["id"], "name": answer["name"], "rtt_ms": times, **summary}))
    else:
        click.echo(f"least {summary['least']:.1f}, mean {summary['mean']:.1f}, most {summary['most']:.1f} ms")


@_command()
@click.argument("node")
@_json
async def trace(client: Client, node: str, as_json: bool) -> None:
    """Show the way to NODE: sessions that lead there, and the live nodes nearest to its id."""
    found = await client.get("/api/trace", node=node)
    if as_json:
        click.echo(json.dumps(found))
    else:
        _print_trace(found)
    if not found["path"] and found["state"] == "gone":
        sys.exit(FAILED)


def _print_trace(found: dict[str, Any]) -> None:
    click.echo(f"{found['name'] or '(no name)'} {found['id']}: {found['state']}, {found['ip']}:{found['port']}")
    for i, hop in enumerate(found["path"]):
        click.echo(f"  {i}  {hop['id'][:12]}  {hop['name']}")
    if not found["path"]:
        click.echo("  no chain of sessions to it is known")
    click.echo("nearest by lookup:")
    for peer in found["nearest"]:
        click.echo(f"  {peer['distance']:3} bits  {peer['id'][:12]}  {peer['ip']}:{peer['port']}  {peer['name']}")


@_command()
@click.argument("what")
@_json
async def find(client: Client, what: str, as_json: bool) -> None:
    """Find WHAT in the DHT of libp2p: where a peer id is, or who has what a CID names."""
    told = await client.get("/api/find", what=what)
    if as_json:
        click.echo(json.dumps(told))
    else:
        for row in told["found"]:
            for address in row["addresses"] or [""]:
                click.echo(clean(f"{address}/p2p/{row['peer']}"))
    if not told["found"]:
        if not as_json:
            click.echo("nobody tells where it is" if told["kind"] == "peer" else "nobody has it", err=True)
        sys.exit(FAILED)


@_command()
@click.argument("node", required=False)
@_json
async def log(client: Client, node: str | None, as_json: bool) -> None:
    """Print the log of NODE as it tells it, or the gateway's own."""
    found = await client.get("/api/log", **({"node": node} if node else {}))
    text = "\n".join(map(clean, found["text"].split("\n")))  # it comes from another machine
    click.echo(json.dumps(found) if as_json else text, nl=as_json)


@_command()
@click.option("--format", "form", type=click.Choice(FORMATS), default="json", show_default=True, help="Of the graph.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file in the place of the screen.")
async def export(client: Client, form: str, output: Path | None) -> None:
    """Write the graph of nodes and sessions, for other programs."""
    text = write(await client.get("/api/topology"), form)
    if output:
        output.write_text(text, "utf-8")
    else:
        click.echo(text, nl=False)
