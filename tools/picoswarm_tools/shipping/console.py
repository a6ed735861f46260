"""What a board prints on its serial line, and `picoswarm monitor`, which shows it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import rich_click as click
import serial

from .exits import NoDevice, TimedOut

BAUD = 115200
_LOOK_S = 0.2
_AGAIN_S = 0.5
# Interrupts what runs, leaves the raw REPL where mpremote may have left the board, and resets it as its button would.
_RESTART = b"\r\x03\x02import machine; machine.reset()\r"


def _open(port: str) -> serial.SerialBase | None:
    try:
        return serial.serial_for_url(port, BAUD, timeout=_LOOK_S)
    except (OSError, ValueError):
        return None


def lines(port: str, until: float | None = None, first: bytes = b"") -> Iterator[str]:
    """The lines that a board prints, for ever or until that time; `first` is sent before. A board that restarts takes its
    port away and brings it back: it is opened again. Raises NoDevice where there is none to begin with."""
    line = _open(port)
    if line is None:
        raise NoDevice(f"There is no port {port}, or another program has it. `picoswarm doctor` lists the ports.")
    line.write(first)
    rest = b""
    while until is None or time.monotonic() < until:
        if line is None:
            time.sleep(_AGAIN_S)
            line = _open(port)
            continue
        try:
            rest += line.read(line.in_waiting or 1)
        except OSError:
            line.close()
            line = None
            continue
        *whole, rest = rest.split(b"\n")
        for each in whole:
            yield each.rstrip(b"\r").decode(errors="replace")
    if line is not None:
        line.close()


def start(port: str, text: str, seconds: float) -> list[str]:
    """Start the board anew; returns the lines that it prints up to one that holds `text`. Raises TimedOut with the last of
    them, NoDevice. Its line is open before it starts, so that nothing is missed."""
    seen = []
    for line in lines(port, time.monotonic() + seconds, _RESTART):
        seen.append(line)
        if text in line:
            return seen
    last = f"Its last words: {' / '.join(seen[-3:])}" if seen else "It said nothing."
    raise TimedOut(f"The board did not say '{text}' within {seconds:g} s. {last}")


@click.command()
@click.argument("port")
@click.option("--seconds", type=float, help="End after so long.  [default: never]")
@click.option("--until", "text", help="End at a line that holds this; with --seconds, exit status 4 if none came.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, with the time.")
def monitor(port: str, seconds: float | None, text: str | None, as_json: bool) -> None:
    """Show what a board prints, across its restarts.

    Exit status: 0 ended as asked, 2 wrong usage, 3 no device, 4 the text did not come in time.
    """
    started = time.monotonic()
    for line in lines(port, None if seconds is None else started + seconds):
        at_s = round(time.monotonic() - started, 3)
        click.echo(json.dumps({"at_s": at_s, "line": line}) if as_json else f"{at_s:9.3f}  {line}")
        if text and text in line:
            return
    if text:
        raise TimedOut(f"No line with '{text}' came within {seconds:g} s.")
