"""`picoswarm demo`: a mesh on this machine, seen live. On a terminal it is a table, elsewhere a line every second; a JSON
line at the end says what came of it."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import rich_click as click
from picoswarm.errors import PicoswarmError
from picoswarm_gateway.log import set_up
from rich.console import Console

from .. import mpy, runtimes
from ..swarm import Trouble
from . import screen
from .mesh import HTTP_PORT, Demo


async def run(demo: Demo, seconds: float | None, console: Console) -> dict:
    """One demo, from the first node to the summary; every process that it started has ended when this returns."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, demo.end)
    try:
        await demo.start()
        if seconds is not None:
            demo.end_at = min(demo.end_at, time.monotonic() + seconds)
        screen.introduce(demo, console)
        await screen.show(demo, console)
        for trouble in demo.troubles():
            console.print(trouble, style="red", highlight=False, soft_wrap=True)
        return await demo.finish()
    finally:
        await demo.stop()


@click.command()
@click.option("--nodes", default=8, show_default=True, type=click.IntRange(1, 64), help="MicroPython nodes.")
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    help="How long the mesh runs.  [default: on a terminal until Ctrl-C, elsewhere 30]",
)
@click.option("--board", default="RPI_PICO_W", show_default=True, help="Whose heap the nodes have: a folder of boards/.")
@click.option(
    "--picos", default=0, type=click.IntRange(0, 4), help="Emulated Picos besides, with real firmware.  [default: none]"
)
@click.option("--port", type=click.IntRange(1025, 65535 - 65), help="First port of the nodes; by default any that are free.")
@click.option("--http", type=click.IntRange(1025, 65535), help=f"The dashboard's port.  [default: {HTTP_PORT}, or any]")
def demo(nodes: int, seconds: float | None, board: str, picos: int, port: int | None, http: int | None) -> None:
    """Run a mesh of real MicroPython nodes on this machine, with a gateway, and watch it in browser, terminal and MQTT.

    Ends with one line of JSON. Exit status: 0 every node joined and at most 1 % of the readings were lost on their way to
    MQTT; 1 not so, or a part of it ended or could not be started.
    """
    if seconds is not None and not math.isfinite(seconds):
        raise click.BadParameter("not a number of seconds that ends", param_hint="--seconds")
    console = Console()
    if seconds is None and not console.is_terminal:
        seconds = 30.0
    folder = Path(tempfile.mkdtemp(prefix="picoswarm-demo-"))
    try:
        runtimes.find("micropython")
        mesh = Demo(nodes, board, port, http, folder, picos)
        console.print("[dim]precompiling the library for the nodes[/dim]")
        mpy.compile_library("x86", mpy.BOARD_LEVEL)
        with (folder / "gateway.log").open("w") as log:
            set_up("info", "json", log)
            summary = asyncio.run(run(mesh, seconds, console))
    except (Trouble, runtimes.Missing, mpy.CompileError, PicoswarmError, OSError) as trouble:
        raise click.ClickException(str(trouble)) from None
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(summary), flush=True)
    sys.exit(0 if summary["ok"] else 1)
