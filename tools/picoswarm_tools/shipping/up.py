"""`picoswarm up BOARD PORT`: everything from a blank board to a member of a mesh."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import rich_click as click

from .. import mpy
from . import progress
from .board import Board, BoardName
from .console import start
from .deploy import deploy_board
from .doctor import usb_ports
from .exits import NoDevice, TimedOut
from .fit import has_frozen, refuse_too_large
from .flash import flash_image
from .remote import Remote

# The emulated Pico has PPP on UART 1 in the place of Wi-Fi.
PPP = {"uart": 1, "tx": 4, "rx": 5, "baud": 921600}
READY = "network: this board is"
NO_NETWORK = "It has no Wi-Fi yet: run this again with --wifi, or tell it one by `picoswarm provision --improv`."
START_SECONDS = 30


def wait_for_micropython(remote: Remote, seconds: float) -> dict:
    """The inventory of a board that may still be starting. Raises NoDevice."""
    until = time.monotonic() + seconds
    while True:
        try:
            return remote.inventory()
        except (NoDevice, TimedOut):
            if time.monotonic() >= until:
                raise
            time.sleep(1)


def appearing(before: list[tuple[str, str]], seconds: float) -> str:
    """The serial port of a board that starts once its boot drive is gone: one that was not there before. Raises NoDevice."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        new = [port for port in usb_ports() if port not in before]
        if new:
            return new[0][0]
        time.sleep(0.5)
    raise NoDevice("The firmware was written, and no serial port came: plug the board out and in, and name its port.")


def flash_first(
    board: Board, port: str, data: bytes, is_dry: bool, seconds: float, report: progress.Report
) -> tuple[str, dict]:
    """Flash an image; (the port at which the board then is, what was done)."""
    before = [each for each in usb_ports() if each[0] != port]  # a Pico that is asked to go to BOOTSEL mode comes back
    done = flash_image(board, port, data, is_dry=is_dry, report=report)
    return (appearing(before, seconds) if "drive" in done and not is_dry else port), done


def begin(remote: Remote, knows_network: bool) -> str:
    """Start the board, and wait until it is on its network, if it knows one. What it says, or what it needs."""
    if knows_network:
        return start(remote.port, READY, remote.seconds)[-1]
    remote.reset()
    return NO_NETWORK


def settings_of(
    board: Board, name: str | None, wifi: dict | None, bootstrap: tuple[str, ...], is_discovery: bool = False
) -> dict[str, Any]:
    """What provisioning has to tell a board. `is_discovery`: its node has no sessions."""
    more: dict[str, Any] = {"ppp": PPP} if board.is_emulated else {}
    if is_discovery:
        more["profile"] = {"links": 0}
    return {"name": name, "wifi": wifi, "bootstrap": bootstrap, "more": more}


@click.command()
@click.argument("board", type=BoardName())
@click.argument("port")
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Flash this firmware first.")
@click.option("--app", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your program, as /app.py.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: Path(click.get_app_dir("picoswarm")),
    show_default="picoswarm's folder in the user's configuration",
    help="The folder with the network key of your mesh; a new mesh if it has none.",
)
@click.option("--name", help="The board's name, at most 16 bytes.")
@click.option("--wifi", metavar="SSID", help="The board's Wi-Fi. Its password is asked for, or $PICOSWARM_WIFI_PASSWORD.")
@click.option("--country", metavar="CODE", help="Where the board's Wi-Fi is, as in DE.")
@click.option("--bootstrap", metavar="HOST:PORT", multiple=True, help="A node that the board asks first; may be repeated.")
@click.option("--romfs", is_flag=True, help="The library into the firmware's ROMFS.")
@click.option("--discovery", is_flag=True, help="A node without sessions, which fits where the whole one does not.")
@click.option("--timeout", "seconds", type=float, default=60, show_default=True, help="Seconds for each step.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing, here or there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def up(
    board: Board,
    port: str,
    image: Path | None,
    app: Path | None,
    folder: Path,
    name: str | None,
    wifi: str | None,
    country: str | None,
    bootstrap: tuple[str, ...],
    romfs: bool,
    discovery: bool,
    seconds: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """From a blank board to a member of your mesh: flash, deploy, provision, start.

    PORT is a serial port, a Pico's BOOTSEL drive with --image (or `auto`), or the socket://host:port of an emulated Pico.
    Without --image the board has to run MicroPython already. What is done already is left alone, so it can be run again
    after any failure. A board whose heap has no room for the library as .mpy files is refused before anything is written,
    with what can be done about it.

    Exit status: 0 the board is on its network, 1 failed or refused, 2 wrong usage, 3 no device, 4 timeout.
    """
    from ..keyfolder import Wants, dry_folder, write_folder
    from ..provision import to_board, wifi_settings

    steps: dict[str, Any] = {}
    say = (lambda *_: None) if as_json else click.echo
    if discovery and not romfs:  # from where it runs in place nothing has to be loaded by parts
        board = replace(board, form=mpy.DISCOVERY)
    settings = settings_of(board, name, wifi_settings(wifi, country), bootstrap, discovery)
    with progress.bar(as_json) as report:
        if image is not None:
            data = image.read_bytes()
            if not (romfs or discovery):
                refuse_too_large(board, has_frozen(data))
            say(f"Flashing {image.name}")
            port, steps["flash"] = flash_first(board, port, data, dry_run, seconds, report)
            if dry_run:
                said = "The image fits the board. What else there is to do, it can say once it runs that image."
                click.echo(json.dumps({"board": board.name, "port": port} | steps) if as_json else said)
                return
        remote = Remote(port, seconds)
        say("Looking for MicroPython")
        there = wait_for_micropython(remote, START_SECONDS)
        if not (romfs or discovery):
            refuse_too_large(board, there["frozen"], there["free"])
        say("Deploying the library, the firmware's files and the program")
        steps["deploy"] = deploy_board(remote, board, app, romfs, dry_run, False, report)
    say("Provisioning: network key, name, network")
    with dry_folder(folder) if dry_run else nullcontext(folder) as keys:
        membership, _, operator = write_folder(keys, None, None, Wants(keeps=True), None)
        if operator and not dry_run:
            say(f"Wrote the operator key of a new mesh in {operator}. Keep it on this computer, and back it up.")
        more = {"is_dry": dry_run, "resets": False, "seconds": seconds}
        steps["provision"] = to_board(port, keys, membership, False, settings | more)
    if not dry_run:
        say("Starting")
        steps["said"] = begin(remote, steps["provision"]["knows_network"])
    if as_json:
        click.echo(json.dumps({"board": board.name, "port": port} | steps))
        return
    deployed = steps["deploy"]
    click.echo(f"{len(deployed['changed'])} files deployed, {deployed['kept']} were right already")
    click.echo(steps.get("said", "Nothing was written."))
    if not dry_run:
        click.echo(f"Watch it: picoswarm monitor {port}, or the dashboard of a gateway of this mesh")
