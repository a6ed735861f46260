"""`make demo` as its user sees it: a table in a terminal of 80 columns, lines elsewhere, and the JSON line of both."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest
from mesh import needs_micropython
from picoswarm_tools.swarm import HOST, Trouble, free_ports

COMMAND = [sys.executable, "-c", "from picoswarm_tools.cli import main; main()", "demo", "--nodes", "4", "--seconds"]
COLUMNS = 80
WALL_S = 120
FIELDS = ["nodes", "micropython_nodes", "joined", "lookups_ok", "messages_sent", "messages_delivered", "loss"]
FIELDS += ["echoes_ok", "heap_max", "seconds", "ok"]


def summary_of(output: str) -> dict:
    """The JSON line, which is the last one."""
    summary = json.loads(output.strip().splitlines()[-1])
    assert list(summary) == FIELDS
    return summary


def test_demo_says_a_line_a_second_where_there_is_no_terminal():
    needs_micropython()
    done = subprocess.run([*COMMAND, "15"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WALL_S)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " joined " in line]
    assert 10 <= len(lines) <= 16 and "\x1b" not in done.stdout
    summary = summary_of(done.stdout)
    assert summary["ok"] and summary["joined"] == summary["nodes"] == 5 and summary["micropython_nodes"] == 4
    assert 0 < summary["heap_max"] < 205_312 and summary["lookups_ok"] > 0
    assert summary["messages_sent"] > 0 and summary["messages_delivered"] > summary["messages_sent"]
    assert summary["loss"] < 0.2 and summary["echoes_ok"] > 0


class Terminal:
    """The demo in a terminal of its own; `screen` is all that it wrote, without the colours."""

    def __init__(self, seconds: int) -> None:
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        size = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        env = {**size, "TERM": "xterm"}
        self.process = subprocess.Popen([*COMMAND, str(seconds)], stdin=its, stdout=its, stderr=its, env=env)
        os.close(its)
        self._fd = ours
        self._written = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)

    @property
    def screen(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._written.decode(errors="replace")).replace("\r", "")

    @property
    def frame(self) -> list[str]:
        """The lines of the newest whole table."""
        return self.screen.rpartition("picoswarm: ")[0].rpartition("picoswarm: ")[2].splitlines()

    def type(self, line: str) -> None:
        os.write(self._fd, line.encode() + b"\n")

    def read_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + WALL_S
        while not condition():
            assert time.monotonic() < end, self.screen[-3000:]
            try:
                self._written += os.read(self._fd, 65536)
            except OSError:  # its end
                assert condition(), self.screen[-3000:]


def test_demo_fits_a_terminal_of_80_columns_and_obeys_its_keys():
    needs_micropython()
    with Terminal(40) as terminal:
        terminal.read_until(lambda: any(line.startswith("5 of 5") for line in terminal.frame))
        rows = [line.split() for line in terminal.frame if line[:2] in ("1 ", "2 ", "3 ", "4 ")]
        assert [row[0] for row in rows] == ["1", "2", "3", "4"] and all(row[2] == "up" for row in rows)
        first_id = rows[1][1]
        terminal.type("k 2")
        terminal.read_until(lambda: any(line.split()[:3] == ["2", first_id, "down"] for line in terminal.frame))
        terminal.type(f"r {first_id}")
        terminal.read_until(lambda: any(line.split()[:3] == ["2", first_id, "up"] for line in terminal.frame))
        terminal.read_until(lambda: '"ok"' in terminal.screen)
        assert "…" not in terminal.screen and max(map(len, terminal.frame)) <= COLUMNS
        assert summary_of(terminal.screen)["ok"]
        assert terminal.process.wait(WALL_S) == 0


def test_a_port_whose_number_a_connection_has_is_not_free():
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as connection:
        taken = connection.getsockname()[1]
        with pytest.raises(Trouble, match="choose others"):
            free_ports(1, taken)
    assert len(set(free_ports(20))) == 20
