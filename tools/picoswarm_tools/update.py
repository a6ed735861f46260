"""`picoswarm update keygen|make|push|status`: new applications for boards, over the mesh (docs/updates.md)."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click
from picoswarm.appslots import UPDATE_KEY
from picoswarm.errors import PicoswarmError
from picoswarm.store import Store
from picoswarm_gateway.client import Client
from picoswarm_gateway.commands import reaching_gateway
from picoswarm_gateway.families.update import bundle as bundles
from picoswarm_gateway.families.update import keyfile
from picoswarm_gateway.families.update.bundle import Bundle, Refused
from picoswarm_gateway.figures import clean

LATE = 4
LOOK_S = 1.0
EXIT = "Exit status: 0 done, 1 refused or failed, 2 a mistake in the command, 3 no gateway there, 4 not done in time."

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_key = click.option(
    "--key",
    type=_FILE,
    default=lambda: Path(click.get_app_dir("picoswarm")) / "update.key",
    show_default="update.key in picoswarm's folder in the user's configuration",
    help="The key that signs: a PEM file.",
)


def _refusing(function: Callable[..., None]) -> Callable[..., None]:
    """What is refused ends the command with status 1 and its reason."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except (Refused, PicoswarmError, OSError) as error:
            raise click.ClickException(str(error)) from None

    return run


@click.group(epilog=EXIT)
def update() -> None:
    """Give boards a new application, over the mesh.

    Once: `keygen`, with the folder of each board before it is provisioned. Then `make` and `push`, and `status` to watch.
    """


@update.command(epilog=EXIT)
@_key
@click.argument("folders", nargs=-1, type=_FOLDER, metavar="[FOLDER]...")
@click.option("--replace", is_flag=True, help="Also where a folder trusts another key.")
@_json
@_refusing
def keygen(key: Path, folders: tuple[Path, ...], replace: bool, as_json: bool) -> None:
    """Make the update key, if there is none, and have the node of each FOLDER trust it.

    Whoever has the key can run any program on every board that trusts it: keep it where you sign, and a copy offline. Boards
    and gateways get its public half only.
    """
    is_new = not key.exists()
    if is_new:
        keyfile.create(key)
    public = keyfile.load_public(key)
    trusting = [folder for folder in folders if _trust(folder, public, replace)]
    if as_json:
        facts = {"key": str(key), "public": public.hex(), "made": is_new, "trusting": [str(folder) for folder in trusting]}
        click.echo(json.dumps(facts))
        return
    click.echo(f"{'Wrote' if is_new else 'Kept'} the update key {key}: {public.hex()}")
    for folder in trusting:
        click.echo(f"  {folder} trusts it")
    if is_new:
        click.echo("Keep it where you sign, and back it up: without it, boards take a new one by cable only.")


def _trust(folder: Path, public: bytes, replace: bool) -> bool:
    store = Store(str(folder))
    held = store.read(UPDATE_KEY)
    if held not in (None, public) and not replace:
        raise Refused(f"{folder} trusts another key, {held.hex()}. Use --replace.")
    store.write(UPDATE_KEY, public)
    return True


@update.command(epilog=EXIT)
@click.argument("source", type=_FOLDER, metavar="FOLDER")
@click.option("--version", type=int, required=True, help="A number; boards take only higher ones than they had.")
@click.option(
    "--board",
    "boards",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A board (RPI_PICO_W), an architecture (armv6m), a name that you gave to boards, or '*'. Several: any of them.",
)
@_key
@click.option("-o", "--output", type=_FILE, help="The bundle. [default: FOLDER-VERSION.update]")
@_json
@_refusing
def make(source: Path, version: int, boards: tuple[str, ...], key: Path, output: Path | None, as_json: bool) -> None:
    """Sign the application in FOLDER, with app.py and whatever it imports, as a bundle."""
    made = bundles.make(bundles.read_folder(source), version, list(boards), keyfile.load(key))
    output = output or Path(f"{source.resolve().name}-{version}{bundles.SUFFIX}")
    output.write_bytes(made.raw)
    if as_json:
        click.echo(json.dumps({"file": str(output), **made.facts()}))
        return
    facts = made.facts()
    click.echo(
        f"Wrote {output}: version {version} for {', '.join(boards)}, {facts['bytes']} bytes in {facts['files']} files"
    )
    for name, data in made.files.items():
        click.echo(f"  {len(data):7,d}  {name}")


@update.command(epilog=EXIT)
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_refusing
@reaching_gateway
@_json
async def push(client: Client, bundle: Path, as_json: bool) -> None:
    """Hand BUNDLE to a gateway, which offers it to the mesh."""
    raw = bundle.read_bytes()
    Bundle(raw)
    taken = await client.send("/api/updates", raw)
    if as_json:
        click.echo(json.dumps(taken))
    else:
        click.echo(f"The gateway offers version {taken['version']} for {', '.join(taken['boards'])}.")


@update.command(epilog=EXIT)
@_refusing
@reaching_gateway
@click.option(
    "--wait", type=float, default=0.0, metavar="SECONDS", help="Until every board that has updates runs the newest."
)
@click.option("--version", type=int, help="The version to wait for. [default: the newest that is offered]")
@_json
async def status(client: Client, wait: float, version: int | None, as_json: bool) -> None:
    """Show what the gateway offers, and what each board runs."""
    end = time.monotonic() + wait
    found = await client.get("/api/updates")
    while not _is_done(found, version) and time.monotonic() < end:
        await asyncio.sleep(LOOK_S)
        found = await client.get("/api/updates")
    click.echo(json.dumps(found) if as_json else _shown(found))
    if wait and not _is_done(found, version):
        sys.exit(LATE)


def _is_done(found: dict[str, Any], version: int | None) -> bool:
    wanted = version or max((each["version"] for each in found["bundles"]), default=0)
    nodes = found["nodes"]
    return bool(nodes) and all(each["version"] >= wanted and each["state"] == "runs" for each in nodes)


def _shown(found: dict[str, Any]) -> str:
    lines = ["offered:"]
    for each in found["bundles"]:
        lines.append(f"  version {each['version']:<6} for {', '.join(map(clean, each['boards']))}: {each['bytes']:,d} bytes")
    if not found["bundles"]:
        lines.append("  nothing")
    lines.append("boards:")
    for each in found["nodes"]:
        what = {
            "runs": "",
            "on trial": "on trial",
            "fetching": f"fetching {each['fetching']}: {each['chunks']} of {each['of']}",
        }
        name = clean(each["name"]) or each["id"][:12]
        parts = (f"{name:16}", f"version {each['version']:<6}", what[each["state"]], clean(each["trouble"]))
        lines.append("  " + "  ".join(parts).rstrip())
    if not found["nodes"]:
        lines.append("  none has told yet")
    return "\n".join(lines)
