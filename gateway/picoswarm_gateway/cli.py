"""`picoswarm gateway`: run a gateway, or check its configuration."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sqlite3
import sys
from pathlib import Path

import rich_click as click
from picoswarm.errors import PicoswarmError

from .config import Config, Mistakes, as_dict, effective, load

CONFIG = click.Path(dir_okay=False, path_type=Path)


def read(path: Path | None) -> Config:
    """The configuration; where it has mistakes, they are printed and the process ends with status 2."""
    try:
        return load(path)
    except Mistakes as mistakes:
        click.echo(str(mistakes), err=True)
        sys.exit(2)


@click.group()
def gateway() -> None:
    """Run a bridge between the mesh and the world.

    Exit status: 0 done, 1 it could not start or failed, 2 mistakes in the configuration or the command.
    """


@gateway.command()
@click.option("--config", type=CONFIG, help="TOML; without it, the defaults.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(config: Path | None, as_json: bool) -> None:
    """Print the effective configuration, secrets masked, or every mistake with its line."""
    found = read(config)
    click.echo(json.dumps(as_dict(found)) if as_json else effective(found), nl=as_json)


@gateway.command()
@click.option("--config", type=CONFIG, help="TOML; without it, the defaults.")
def run(config: Path | None) -> None:
    """Run the gateway until it is told to end (SIGTERM, SIGINT)."""
    found = read(config)
    from .log import set_up
    from .state import StateError

    set_up(found.log.level, found.log.format)
    try:
        _runner()(_run(found))
    except (PicoswarmError, OSError, StateError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from None


def _runner():
    """`asyncio.run`, or uvloop's where that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _run(config: Config) -> None:
    from .gateway import Gateway

    gateway = Gateway(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, gateway.end)
    async with gateway:
        gc.collect()
        gc.freeze()  # what is there now stays: no collection has to look at it again
        await gateway.ended()
