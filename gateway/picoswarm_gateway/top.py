"""`picoswarm top`: the mesh of a gateway, live in a terminal (screen.py), or once for scripts, from the HTTP interface."""

from __future__ import annotations

import asyncio
import json
import sys

import rich_click as click

from .client import Client, NoAnswer
from .commands import EXIT, URL, raised
from .figures import Figures


@click.command(epilog=EXIT)
@click.option("--url", default=URL, show_default=True, envvar="PICOSWARM_URL", help="Of the gateway's HTTP interface.")
@click.option("--token", default="", envvar="PICOSWARM_TOKEN", help="What pings need.")
@click.option("--once", is_flag=True, help="Print the state and the nodes once, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: JSON.")
def top(url: str, token: str, once: bool, as_json: bool) -> None:
    """Watch the mesh of a gateway."""
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    if not once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("this is no terminal; --once prints what is known now")
    try:
        asyncio.run(_once(url, token, as_json) if once else _watch(url, token))
    except NoAnswer as error:
        raise raised(error) from None


async def _watch(url: str, token: str) -> None:
    from .screen import Top  # Textual takes a second, which scripts need not wait for

    async with Client(url, token) as client:
        await client.get("/api/state")  # a wrong address is said in the shell, not in a screen
        await Top(client).run_async()


async def _once(url: str, token: str, as_json: bool) -> None:
    async with Client(url, token) as client:
        state, nodes = await client.get("/api/state"), await client.get("/api/nodes")
    if as_json:
        click.echo(json.dumps({"state": state, "nodes": nodes}))
        return
    figures = Figures()
    figures.take(state, nodes)
    click.echo(figures.text())
