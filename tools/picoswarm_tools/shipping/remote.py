"""A board with MicroPython at a port, as mpremote reaches it: by serial line, by `socket://host:port`, or at a pty.

mpremote is run as a program, since its maintainers promise no library. What it says is turned into this package's ways to
end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ..runtimes import ROOT
from .exits import Failed, NoDevice, TimedOut

MARK = "picoswarm:"
INVENTORY = ROOT / "tools" / "picoswarm_tools" / "device" / "inventory.py"
_NO_PORT = ("failed to access", "no device found", "could not open port", "Could not open")
_NO_REPL = ("could not enter raw repl", "could not exec command", "timeout waiting", "unexpected read during raw paste")
_CUT = (
    "Errno 5]",
    "device disconnected",
    "device reports readiness",
    "SerialException",
    "ConnectionResetError",
    "BrokenPipe",
)
_NO_SPACE = ("ENOSPC", "Errno 28]")


class Remote:
    """One board at `port`. Every method raises Failed, NoDevice or TimedOut."""

    def __init__(self, port: str, seconds: float = 60) -> None:
        self.port = port
        self.seconds = seconds

    def mpremote(
        self,
        *commands: Sequence[str | Path],
        is_resumed: bool = False,
        seconds: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        """Run mpremote commands one after another in one connection; returns what they print. `is_resumed`: without the soft
        reset that otherwise gives them a fresh heap. `on_line` is told each line as it comes."""
        arguments: list[str] = ["connect", self.port]
        if is_resumed:
            arguments.append("resume")
        for i, command in enumerate(commands):
            arguments += ["+"] * (i > 0) + [str(word) for word in command]
        code, output = _run(arguments, seconds or self.seconds, on_line)
        if code:
            raise self._trouble(output)
        return output

    def _trouble(self, output: str) -> Failed | NoDevice | TimedOut:
        last = output.strip().splitlines()[-1] if output.strip() else "mpremote gives no reason"
        if any(text in output for text in _NO_PORT):
            return NoDevice(f"There is no port {self.port}, or another program has it. `picoswarm doctor` lists the ports.")
        if any(text in output for text in _CUT):
            return Failed(f"The link to {self.port} was cut: {last}")
        if any(text in output for text in _NO_REPL):
            return NoDevice(
                f"No MicroPython answers at {self.port}. Has the board its firmware (`picoswarm flash`)? Then press RESET, "
                "and try again."
            )
        if any(text in output for text in _NO_SPACE):
            return Failed(f"The file system of the board is full: {last}")
        return Failed(f"The board at {self.port} says: {last}")

    def execute(self, program: str, is_resumed: bool = False, seconds: float | None = None) -> str:
        """Run a program on the board; returns what it prints."""
        return self.mpremote(("exec", program), is_resumed=is_resumed, seconds=seconds)

    def ask(self, program: str, is_resumed: bool = False) -> dict:
        """Run a program that prints one marked line of JSON; returns that. Raises Failed where it does not."""
        return answers(self.execute(program, is_resumed))[0]

    def inventory(self, paths: Sequence[str] = (), folders: Sequence[str] = (), is_resumed: bool = False) -> dict:
        """What the board is (device/inventory.py), with the SHA-256 of files: of `paths` (None: not there), and of all in
        `folders`."""
        program = f"PATHS = {list(paths)!r}\nFOLDERS = {list(folders)!r}\n{INVENTORY.read_text()}"
        about, *files = answers(self.execute(program, is_resumed))
        about |= {"files": {}, "folders": {folder: {} for folder in folders}}
        for folder, name, digest in files:
            (about["folders"][folder] if folder else about["files"])[name] = digest
        return about

    def get(self, paths: Sequence[str], folder: Path) -> None:
        """Copy files of the board into a folder of this computer."""
        if paths:
            self.mpremote(("fs", "cp", *(":" + path for path in paths), f"{folder}/"), is_resumed=True)

    def reset(self) -> None:
        """Start the board anew."""
        self.mpremote(("reset",), is_resumed=True)

    def bootloader(self) -> None:
        """Ask a board to go to its boot loader: BOOTSEL of a Pico."""
        self.mpremote(("bootloader",))


def answers(output: str) -> list:
    """The marked lines of JSON in what a program printed. Raises Failed where there is none."""
    try:
        found = [json.loads(line[len(MARK) :]) for line in output.splitlines() if line.startswith(MARK)]
    except ValueError:
        found = []
    if not found:
        raise Failed(f"The board did not answer as it should: {output.strip()[-200:]!r}")
    return found


def romfs_image(folder: Path) -> bytes:
    """A ROMFS image of a folder, as mpremote builds it."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch, "image.romfs")
        code, output = _run(["romfs", "--output", str(image), "build", str(folder)], 60, None)
        if code:
            raise Failed(f"mpremote cannot build the ROMFS image: {output.strip()[-200:]}")
        return image.read_bytes()


def _run(arguments: list[str], seconds: float, on_line: Callable[[str], None] | None) -> tuple[int, str]:
    """(exit status, all that it prints) of mpremote. Raises TimedOut."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "mpremote", *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: list[str] = []
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        with process:
            for line in process.stdout or ():
                lines.append(line)
                if on_line is not None:
                    on_line(line.rstrip())
    finally:
        timer.cancel()
    output = "".join(lines)
    if late.is_set():
        raise TimedOut(f"The board was not done after {seconds:g} s. Its last words: {output.strip()[-200:]!r}")
    return process.returncode, output
