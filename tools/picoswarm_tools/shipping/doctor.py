"""`picoswarm doctor`: which boards are plugged in, what each lacks, and the command that brings it."""

from __future__ import annotations

import json
from typing import Any

import rich_click as click
from picoswarm.slots import IDENTITY, NETWORK
from rich import box
from rich.console import Console
from rich.table import Table
from serial.tools import list_ports

from .board import all_boards
from .deploy import OLDEST, arch_of
from .exits import Failed, NoDevice, TimedOut
from .payload import APP, LIBRARY
from .picodrive import drives
from .provisioning import CONFIG, paths_of
from .remote import Remote

# USB vendor ids of boards and of the converters on them.
VENDORS = {
    0x2E8A: "Raspberry Pi",
    0x303A: "Espressif",
    0x10C4: "CP210x",
    0x1A86: "CH340",
    0x0403: "FTDI",
    0xF055: "MicroPython",
}
NOTHING = (
    "No board is plugged in. Is the cable one for data, not only for power? On Linux your user has to be in the group that "
    "owns the port (`ls -l /dev/ttyUSB0`), mostly dialout."
)


def usb_ports() -> list[tuple[str, str]]:
    """(port, what it is) of each serial port that may be a board's."""
    return [(port.device, VENDORS[port.vid]) for port in list_ports.comports() if port.vid in VENDORS]


def fitting(there: dict[str, Any]) -> str:
    """The board of boards/ that an inventory may be of, for use in a command; BOARD where none is alike."""
    words = there["machine"].upper().replace("-", "")
    chips = sorted(all_boards(), key=lambda board: -len(board.chip.name))
    for board in chips:
        if board.chip.name.replace("-", "") in words and not board.is_emulated:
            return board.name
    return "BOARD"


def examine(port: str) -> dict[str, Any]:
    """What a port's board is and has, as plain values, with `next`: what to do."""
    wanted = [APP, CONFIG, *paths_of(NETWORK), *paths_of(IDENTITY)]
    remote = Remote(port, 20)
    try:
        there = remote.inventory(wanted, [LIBRARY])
    except NoDevice:
        return {"port": port, "answers": False, "next": f"picoswarm flash BOARD {port} FIRMWARE"}
    except (Failed, TimedOut) as trouble:
        return {"port": port, "answers": False, "next": f"press RESET ({trouble.message})"}
    has = there["files"]
    facts = {
        "port": port,
        "answers": True,
        "machine": there["machine"],
        "version": there["version"],
        "arch": arch_of(there),
        "free": there["free"],
        "disk_free": there["disk_free"],
        "library": "frozen" if there["frozen"] else len(there["folders"][LIBRARY]),
        "network_key": any(has[path] for path in paths_of(NETWORK)),
        "node_key": any(has[path] for path in paths_of(IDENTITY)),
        "wifi": there["wifi"],
        "configured": has[CONFIG] is not None,
    }
    facts["next"] = advice(facts, fitting(there))
    remote.reset()  # it goes on with what it did
    return facts


def advice(facts: dict[str, Any], board: str) -> str:
    """The next step for a board that answers."""
    port = facts["port"]
    if tuple(int(part) for part in facts["version"].split(".")[:2]) < OLDEST:
        return f"picoswarm flash {board} {port} FIRMWARE   (MicroPython {facts['version']} is too old)"
    if not facts["library"]:
        return f"picoswarm deploy {board} {port}"
    if not facts["network_key"]:
        return f"picoswarm provision --port {port} --wifi SSID"
    if not facts["configured"]:
        return f"picoswarm provision --port {port} --wifi SSID   (it has no {CONFIG.strip('/')})"
    return f"picoswarm monitor {port}"


@click.command()
@click.argument("port", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(port: str | None, as_json: bool) -> None:
    """Find boards, and say what each needs next.

    A board that answers is interrupted for a moment and then restarted. PORT looks at one alone, which may be a
    socket://host:port. Exit status: 0 a board was found, 3 none was.
    """
    waiting = [] if port else drives()
    found = [examine(each) for each in ([port] if port else [name for name, _ in usb_ports()])]
    for drive, chip in waiting:
        board = next((board.name for board in all_boards() if board.chip == chip and not board.is_emulated), "BOARD")
        facts = {"port": str(drive), "answers": False, "machine": f"{chip.name} in BOOTSEL mode"}
        found.append(facts | {"next": f"picoswarm flash {board} {drive} FIRMWARE.uf2"})
    if as_json:
        click.echo(json.dumps(found))
    elif found:
        show(found)
    if not any(facts["answers"] or facts.get("machine") for facts in found):
        raise NoDevice(NOTHING if not found else "There is a port, and no MicroPython answers there.")


def show(found: list[dict[str, Any]]) -> None:
    """A table of it."""
    table = Table(box=box.SIMPLE)
    for heading in ("port", "board", "MicroPython", "heap free", "library", "network key", "Wi-Fi", "next"):
        table.add_column(heading)
    for facts in found:
        wifi = facts.get("wifi")
        table.add_row(
            facts["port"],
            facts.get("machine", "no MicroPython answers"),
            facts.get("version", ""),
            f"{facts['free']:,}" if "free" in facts else "",
            str(facts.get("library", "")),
            {True: "yes", False: "no"}.get(facts.get("network_key"), ""),
            (wifi[1] if wifi[0] else "not connected") if wifi else "",
            facts["next"],
        )
    Console(width=max(Console().width, 120)).print(table)
