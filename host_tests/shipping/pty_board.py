"""A board at a pty: a 32-bit MicroPython with a littlefs of its own, which restarts when it is reset, keeps its flash in a
file, and loses its power when a test says so."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
import tty
from pathlib import Path

from picoswarm_tools.runtimes import find

SHIM = Path(__file__).resolve().parent / "board_shim.py"
BLOCK = 4096
RAW = 10  # the exit code of a soft reset from the raw REPL
INTERRUPT = b"\r\x03"  # as mpremote asks for it


class PtyBoard:
    """`port` is what a tool opens. `cut`: lose power at that erase or program operation after each start; the port is then
    gone until `power_on`, which opens another. `said`: everything it printed."""

    def __init__(self, flash: Path, blocks: int = 256, rom_bytes: int = 192 << 10, heap_kb: int = 800, cut: int = 0):
        self.flash, self.blocks, self.heap_kb, self.cut = flash, blocks, heap_kb, cut
        if not flash.exists():
            flash.write_bytes(b"\xff" * blocks * BLOCK)
        self.rom = flash.with_name(flash.name + ".rom")
        if not self.rom.exists():
            self.rom.write_bytes(b"\xff" * rom_bytes)
        self.said = bytearray()
        self.starts = 0
        self._gone = threading.Event()
        self._is_over = False
        self._process: subprocess.Popen | None = None
        self._plug_in()
        self._start("hard")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.power_off()
        self._is_over = True
        self._thread.join(10)

    @property
    def is_dead(self) -> bool:
        """Whether its power is gone."""
        return self._gone.is_set()

    def power_on(self, cut: int = 0):
        """Start again after a cut."""
        self.cut = cut
        self._plug_in()
        self._start("hard")

    def power_off(self):
        """Pull the plug at whatever it does."""
        process = self._process
        if process is not None:
            process.kill()
            self._gone.wait(10)

    def _plug_in(self):
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        # One pipe for all starts at this power: as in a port's own buffer, what comes during a restart waits to be read.
        self._stdin, self._typed = os.pipe()
        self._gone.clear()

    def _unplug(self):
        for end in (self._slave, self._master, self._stdin, self._typed):
            os.close(end)
        self._gone.set()

    def _start(self, mode):
        self.starts += 1
        command = [find("micropython"), "-X", f"heapsize={self.heap_kb}k", SHIM, self.flash, self.blocks, mode, self.cut]
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=self._stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            # Until MicroPython has a handler of its own, Ctrl-C shall not end it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )

    def _stop(self):
        process, self._process = self._process, None
        if process is None:
            return None
        process.stdout.close()
        return process.wait()

    def _serve(self):
        while not self._is_over:
            process = self._process
            if process is None:
                time.sleep(0.02)
                continue
            ready = select.select([self._master, process.stdout], [], [], 0.05)[0]
            if process.stdout in ready:
                self._from_board()
            # What is typed to a board that ends or begins is for its next start, or for when it listens.
            if self._master in ready and self._process is process and _is_up(process):
                self._from_tool()

    def _from_tool(self):
        data = os.read(self._master, 4096)
        if data.startswith(INTERRUPT):  # else a 3 is data: of a file that is served by `mount`
            self._process.send_signal(signal.SIGINT)
            data = data[len(INTERRUPT) :]
        os.write(self._typed, data)

    def _from_board(self):
        data = os.read(self._process.stdout.fileno(), 4096)
        self.said += data
        if data:
            os.write(self._master, data)
            return
        code = self._stop()
        if code == -signal.SIGKILL:
            self._unplug()
        else:
            self._start("raw" if code == RAW else "hard")


def _is_up(process: subprocess.Popen) -> bool:
    """Whether MicroPython is up: before, and after, an interrupt would be lost."""
    if process.poll() is not None:
        return False
    ignored = re.search(r"^SigIgn:\s*(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return ignored is not None and not int(ignored[1], 16) >> (signal.SIGINT - 1) & 1
