"""`picoswarm deploy BOARD PORT`: the library, the firmware's files and a program onto a board with MicroPython.

Only what differs is copied. It goes to a folder beside, is checked there by its hashes, and lands by one rename: a power cut
or a lost cable leaves what was, or what shall be (firmware/landing.py). A deployment that was interrupted goes on where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import rich_click as click

from .. import mpy
from . import payload, progress
from .board import Board, BoardName
from .exits import Failed
from .fit import advice, lacks_heap
from .payload import File
from .remote import Remote, romfs_image

STAGE = "/.stage"
OLDEST = (1, 25)
# By the number in sys.implementation._mpy: what native code a firmware loads.
_ARM = ("armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp")
_ARCHES = ("none", "x86", "x64", "armv6", *_ARM, "xtensa", "xtensawin", "rv32imc")

PREPARE = """
import os
try:
    os.mkdir({stage!r})
except OSError:
    pass
for name in os.listdir({stage!r}):
    if name not in {keep!r}:
        os.remove({stage!r} + "/" + name)
"""
# In one program: the check, the rename that decides, and the landing. What has not the right hash is thrown away. A board
# whose first deployment was cut after its rename has no boot.py that would land it: what is left of it goes, since the list
# of this one begins with what is there now.
LAND = """
import hashlib, os
bad = 0
for name, wanted in {wanted!r}.items():
    whole, buf = hashlib.sha256(), bytearray(512)
    with open({stage!r} + "/" + name, "rb") as file:
        n = file.readinto(buf)
        while n:
            whole.update(memoryview(buf)[:n])
            n = file.readinto(buf)
    if "".join("%02x" % byte for byte in whole.digest()) != wanted:
        os.remove({stage!r} + "/" + name)
        bad += 1
if not bad:
    try:
        os.remove(READY + "/list")
        land()
    except OSError:
        pass
    os.rename({stage!r}, READY)
    land()
print('\\npicoswarm:{{"bad": %d}}' % bad)
"""
_ROM = """
import hashlib, vfs
size = {size}
rom = memoryview(vfs.rom_ioctl(2, 0))  # a Pico gives an object that has no length, but bytes
print('\\npicoswarm:{{"there": %d, "digest": "%s"}}' % (
    len(rom), "".join("%02x" % byte for byte in hashlib.sha256(rom[:size]).digest())))
"""


@dataclass(frozen=True)
class Plan:
    """What a deployment has to do: files that differ, paths that have to go, and how many files are right already."""

    changed: list[File]
    stale: list[str]
    kept: int


def plan(files: Sequence[File], there: dict) -> Plan:
    """Compare what shall be on a board with its inventory."""
    changed = [file for file in files if there["files"].get(file.path) != file.digest]
    wanted = {file.path for file in files}
    stale = [
        f"{folder}/{name}"
        for folder, names in there["folders"].items()
        if folder != STAGE
        for name in names
        if f"{folder}/{name}" not in wanted
    ]
    return Plan(changed, sorted(stale), len(files) - len(changed))


def arch_of(there: dict) -> str:
    """The architecture of a firmware's native code; `none` where it loads none."""
    return _ARCHES[there["mpy"] >> 10 & 0xF] if there["mpy"] else "none"


def refuse_other(board: Board, there: dict) -> None:
    """Raises Failed where a board's library would not run on the firmware that answers."""
    version = tuple(int(part) for part in there["version"].split(".")[:2])
    if version < OLDEST:
        raise Failed(f"The board runs MicroPython {there['version']}, and 1.25 or later is needed: flash a newer firmware.")
    arch = arch_of(there)
    runs = _ARM[_ARM.index(board.arch) :] if board.arch in _ARM else (board.arch,)
    if arch not in runs:
        raise Failed(f"{there['machine']} answers, which runs {arch}; {board.name} has {board.arch}. Nothing was copied.")


def deploy_files(remote: Remote, files: list[File], there: dict, is_dry: bool, report: progress.Report) -> dict:
    """Bring `files` onto a board whose inventory is `there`; returns what was done as plain values."""
    todo = plan(files, there)
    staged = there["folders"].get(STAGE, {})
    to_copy = [file for file in todo.changed if staged.get(file.staged_as) != file.digest]
    facts = {
        "changed": [file.path for file in todo.changed],
        "removed": todo.stale,
        "kept": todo.kept,
        "resumed": len(todo.changed) - len(to_copy),
        "bytes": sum(len(file.data) for file in to_copy),
        "written": not is_dry and bool(todo.changed or todo.stale),
    }
    if not facts["written"]:
        return facts
    room = there["disk_free"]
    if room is not None and facts["bytes"] + 4096 * (len(to_copy) + 2) > room:
        raise Failed(
            f"The new files take {facts['bytes']:,} bytes beside the old ones, and the board has {room:,}. Free some."
        )
    _stage(remote, todo, to_copy, report)
    _land(remote, todo)
    return facts


def _list_of(todo: Plan) -> File:
    """The list by which the files find their places."""
    lines = [f"{file.staged_as} {file.path}" for file in todo.changed] + [f"- {path}" for path in todo.stale]
    return File(f"{STAGE}/list", "".join(line + "\n" for line in lines).encode())


def _stage(remote: Remote, todo: Plan, to_copy: list[File], report: progress.Report) -> None:
    """Copy the files to the folder beside. What an interrupted deployment left there and is still wanted stays."""
    keep = [file.staged_as for file in todo.changed if file not in to_copy]
    total, done = len(to_copy) + 1, 0

    def on_line(line: str) -> None:
        nonlocal done
        if line.startswith("cp "):
            done += 1
            report("copying", done, total)

    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for file in to_copy:
            paths.append(Path(scratch, file.staged_as))
            paths[-1].write_bytes(file.data)
        listed = Path(scratch, "list")
        listed.write_bytes(_list_of(todo).data)
        # One `cp` for each file, so that each is said when it begins.
        copies = [("fs", "cp", path, f":{STAGE}/") for path in [*paths, listed]]
        prepare = ("exec", PREPARE.format(stage=STAGE, keep=keep))
        seconds = remote.seconds + sum(len(file.data) for file in to_copy) / 1000
        remote.mpremote(prepare, *copies, is_resumed=True, seconds=seconds, on_line=on_line)


def _land(remote: Remote, todo: Plan) -> None:
    wanted = {file.staged_as: file.digest for file in todo.changed} | {"list": _list_of(todo).digest}
    landing = (payload.FIRMWARE / "landing.py").read_text()
    found = remote.ask(landing + LAND.format(wanted=wanted, stage=STAGE), is_resumed=True)
    if found["bad"]:
        raise Failed(f"{found['bad']} files arrived damaged and were thrown away. Nothing has changed: deploy again.")


def deploy_rom(remote: Remote, files: list[File], is_dry: bool) -> dict:
    """Bring files into the ROMFS of a board, below /rom; returns what was done. Raises Failed where it has none."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in files:
            place = Path(scratch, "rom", file.path.lstrip("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.data)
        image = romfs_image(Path(scratch, "rom"))
        check = _ROM.format(size=len(image))
        try:
            there = remote.ask(check)
        except Failed:
            raise Failed("This firmware has no ROMFS partition: deploy without --romfs.") from None
        digest = hashlib.sha256(image).hexdigest()
        facts = {"bytes": len(image), "partition": there["there"], "written": False}
        if there["digest"] == digest or is_dry:
            return facts
        if len(image) > there["there"]:
            raise Failed(f"The ROMFS image has {len(image):,} bytes, and the partition {there['there']:,}.")
        path = Path(scratch, "image.romfs")
        path.write_bytes(image)
        remote.mpremote(("romfs", "deploy", path), seconds=remote.seconds + len(image) / 1000)
        # mpremote says nothing of a firmware that does not write what it is told to.
        if remote.ask(check)["digest"] != digest:
            raise Failed("The ROMFS partition does not hold what was written to it.")
        return facts | {"written": True}


def deploy_board(
    remote: Remote,
    board: Board,
    app: Path | None = None,
    is_rom: bool = False,
    is_dry: bool = False,
    resets: bool = True,
    report: progress.Report = progress.nothing,
) -> dict:
    """All of it; returns what was done as plain values. Raises what exits.py has."""
    refuse_other(board, remote.inventory())  # before anything is compiled, which may take a while
    # In a ROMFS code takes no heap, as in a firmware.
    library = payload.library(replace(board, form=board.form or mpy.FROZEN) if is_rom else board)
    own = payload.firmware(board)
    program = payload.program(app)
    paths = [file.path for file in [*library, *own, *program]]
    there = remote.inventory(paths, [payload.LIBRARY, STAGE], is_resumed=True)
    is_new = app is not None or there["files"].get(payload.APP) is None
    files = [*own, *(program if is_new else [])]  # a program of the user's is not replaced unasked
    rom = None
    if is_rom:
        rom = deploy_rom(remote, library, is_dry)
    elif not there["frozen"]:
        files = [*own[:2], *library, *files[2:]]
    facts = deploy_files(remote, files, there, is_dry, report)
    if resets and (facts["written"] or (rom and rom["written"])):
        remote.reset()
    is_tight = not is_rom and lacks_heap(board, there["frozen"], there["free"])
    about = {"board": board.name, "machine": there["machine"], "version": there["version"], "fits": not is_tight}
    return about | facts | {"rom": rom}


@click.command()
@click.argument("board", type=BoardName())
@click.argument("port")
@click.option("--app", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your program, as /app.py.")
@click.option("--romfs", is_flag=True, help="The library into the firmware's ROMFS, where it takes no heap.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied and removed, and do neither.")
@click.option("--no-reset", is_flag=True, help="Leave the board at its prompt.")
@click.option("--timeout", "seconds", type=float, default=60, show_default=True, help="Seconds for each step.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def deploy(
    board: Board, port: str, app: Path | None, romfs: bool, dry_run: bool, no_reset: bool, seconds: float, as_json: bool
) -> None:
    """Bring the library, the firmware's files and a program onto a board.

    PORT is a serial port, or socket://host:port. The board runs MicroPython already (`picoswarm flash`). Files that are
    there with the same content are left alone. If power or cable go meanwhile, the board has what it had; run it again,
    and it goes on where it stopped.

    Exit status: 0 done, 1 failed or refused, 2 wrong usage, 3 no device, 4 timeout.
    """
    with progress.bar(as_json) as report:
        facts = deploy_board(Remote(port, seconds), board, app, romfs, dry_run, not no_reset, report)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for path in facts["removed"]:
        click.echo(f"  - {path}")
    if not facts["fits"]:
        click.echo(f"A node with sessions will not start there. {advice(board)}", err=True)
    would = "Would copy" if dry_run else "Copied"
    click.echo(f"{would} {len(facts['changed'])} files ({facts['bytes']:,} bytes), {facts['kept']} were right already")
    if facts["rom"]:
        done = "written" if facts["rom"]["written"] else "left as it is"
        click.echo(f"ROMFS of {facts['rom']['bytes']:,} bytes {done}")
