"""`make demo` as its user sees it: a table in a terminal of 80 columns, lines elsewhere, and the JSON line of both. Gateway,
broker, MQTT client and nodes are real; where mosquitto is missing, the broker is the embedded one."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from mesh import needs_micropython
from picoswarm_tools import peers, runtimes
from picoswarm_tools.demo.mesh import Demo
from picoswarm_tools.swarm import HOST, Trouble, free_ports

RUN = "from picoswarm_tools.cli import main; main()"
# As on a machine that has no mosquitto.
RUN_WITHOUT_MOSQUITTO = f"""
from picoswarm_tools import peers, runtimes
def mosquitto():
    raise runtimes.Missing("mosquitto is not there")
peers.mosquitto = mosquitto
{RUN}"""
COLUMNS = 80
WALL_S = 120
FIELDS = ["nodes", "micropython_nodes", "joined", "lookups_ok", "readings_sent", "mqtt_received", "loss"]
FIELDS += [
    "messages_sent",
    "messages_delivered",
    "mesh_loss",
    "echoes_ok",
    "heap_max",
    "emulated_picos",
    "broker",
    "dashboard",
    "seconds",
    "ok",
]


def command(seconds: int, *more: str, run: str = RUN, nodes: int = 4) -> list[str]:
    return [sys.executable, "-c", run, "demo", "--nodes", str(nodes), "--seconds", str(seconds), *more]


def kind_of_broker() -> str:
    try:
        peers.mosquitto()
    except runtimes.Missing:
        return "embedded"
    return "mosquitto"


def summary_of(output: str) -> dict:
    """The JSON line, which is the last one."""
    summary = json.loads(output.strip().splitlines()[-1])
    assert list(summary) == FIELDS
    return summary


def test_demo_says_a_line_a_second_where_there_is_no_terminal_and_readings_come_out_of_the_broker():
    needs_micropython()
    done = subprocess.run(command(15), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WALL_S)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " joined " in line]
    assert 5 <= len(lines) <= 16 and "\x1b" not in done.stdout and not done.stderr
    assert re.search(r"in MQTT \d+ readings, (kitchen|cellar|office|meter) \d+\.\d (°C|%|ppm|W)  ", lines[-1])
    summary = summary_of(done.stdout)
    assert summary["ok"] and summary["joined"] == summary["nodes"] == 5 and summary["micropython_nodes"] == 4
    assert 0 < summary["heap_max"] < 205_312 and summary["lookups_ok"] > 0
    assert summary["readings_sent"] > 4 and summary["mqtt_received"] >= 0.99 * summary["readings_sent"]
    assert summary["loss"] <= 0.01 and summary["broker"] == kind_of_broker()
    assert summary["messages_sent"] == 4 * summary["readings_sent"] and summary["mesh_loss"] < 0.2
    assert summary["echoes_ok"] > 0
    assert f"dashboard  {summary['dashboard']}" in done.stdout


@contextmanager
def running(*arguments: str, run: str = RUN) -> Iterator[subprocess.Popen]:
    """A demo with two nodes and much time."""
    needs_micropython()
    with subprocess.Popen(
        command(300, *arguments, run=run, nodes=2),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen, pattern: str) -> re.Match[str]:
    """Read what a demo says, as far as a line that has this."""
    end, said = time.monotonic() + WALL_S, ""
    for line in process.stdout:
        said += line
        if found := re.search(pattern, line):
            return found
        assert time.monotonic() < end, said
    raise AssertionError(said)


def children(process: subprocess.Popen, word: str) -> list[psutil.Process]:
    """The processes that a demo started, whose command lines have a word."""
    return [child for child in psutil.Process(process.pid).children() if word in " ".join(child.cmdline())]


def test_without_mosquitto_the_embedded_broker_takes_its_place_and_a_killed_broker_is_told():
    with running(run=RUN_WITHOUT_MOSQUITTO) as process:
        read_until(process, r"MQTT +embedded")
        read_until(process, r"in MQTT ([3-9]|\d\d+) readings")
        (broker,) = children(process, "picoswarm_tools.broker")
        broker.kill()
        read_until(process, r"the broker \(embedded\) ended: killed by SIGKILL")
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=WALL_S)[0]
        summary = summary_of(output)
        assert process.returncode == 1 and not summary["ok"] and summary["mqtt_received"] >= 3
        assert summary["broker"] == "embedded"


def test_the_dashboard_is_there_and_its_token_may_send_and_nothing_outlives_a_demo_that_is_killed():
    with running() as process:
        found = read_until(process, r"dashboard +(\S+)  \(token to send with: (\S+)\)")
        url, token = found[1], found[2]
        read_until(process, r"in MQTT [1-9]")
        end, nodes = time.monotonic() + WALL_S, {}
        while nodes != {"kitchen": "session", "cellar": "session"}:
            assert time.monotonic() < end, nodes
            with urllib.request.urlopen(url + "api/nodes") as answer:
                nodes = {node["name"]: node["state"] for node in json.load(answer)}
            time.sleep(0.2)
        message = json.dumps({"topic": "sensors/you", "payload": "hello", "encoding": "text"}).encode()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url + "api/publish", message, headers)) as answer:
            assert json.load(answer)["peers"] == 2
        started = children(process, "")
        assert len(started) == 3  # two nodes and the broker
        process.kill()
        assert not psutil.wait_procs(started, timeout=WALL_S)[1]


@pytest.mark.parametrize("option", ["--http", "--port"])
def test_a_port_that_another_program_has_is_named_before_anything_starts(option):
    needs_micropython()
    with socket.create_server((HOST, 0)) as server:
        port = str(server.getsockname()[1])
        arguments = command(5, option, port)
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WALL_S)
    assert done.returncode == 1 and done.stdout == ""
    assert f"Port {port} of 127.0.0.1" in done.stderr and option in done.stderr and "Traceback" not in done.stderr


def _control() -> None:
    """In the demo's process: its terminal is the controlling one, so that Ctrl-C means what it does."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """The demo in a terminal of its own; `screen` is all that it wrote, without the colours."""

    def __init__(self, seconds: int) -> None:
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        size = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        env = {**size, "TERM": "xterm"}
        self.process = subprocess.Popen(
            command(seconds), stdin=its, stdout=its, stderr=its, env=env, start_new_session=True, preexec_fn=_control
        )
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
        self.press(line.encode() + b"\n")

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

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
    with Terminal(300) as terminal:
        terminal.read_until(lambda: any(line.startswith("5 of 5") for line in terminal.frame))
        rows = [line.split() for line in terminal.frame if line[:2] in ("1 ", "2 ", "3 ", "4 ")]
        assert [row[:2] for row in rows] == [["1", "kitchen"], ["2", "cellar"], ["3", "office"], ["4", "meter"]]
        assert all(row[3] == "up" for row in rows)
        # Neighbours, how full the table is, the round trip to one of them, sessions.
        known = re.compile(r"^\d \w+ +[0-9a-f]{8} +up +4 +4/128 +\d+ ms +[1-4] ")
        terminal.read_until(lambda: sum(known.match(line) is not None for line in terminal.frame) == 4)
        terminal.read_until(lambda: all(any(unit in line for line in terminal.frame) for unit in ("°C", "%", "ppm", "W")))
        first_id = rows[1][2]
        terminal.type("k 2")
        terminal.read_until(lambda: any(line.split()[:4] == ["2", "cellar", first_id, "down"] for line in terminal.frame))
        terminal.type(f"r {first_id}")
        terminal.read_until(lambda: any(line.split()[:4] == ["2", "cellar", first_id, "up"] for line in terminal.frame))
        terminal.read_until(lambda: any(line.startswith("5 of 5") for line in terminal.frame))
        assert "…" not in terminal.screen and max(map(len, terminal.frame)) <= COLUMNS
        terminal.press(b"\x03")  # Ctrl-C
        terminal.read_until(lambda: '"ok"' in terminal.screen)
        summary = summary_of(terminal.screen)
        assert summary["ok"] and summary["loss"] <= 0.01 and summary["mqtt_received"] <= summary["readings_sent"]
        assert terminal.process.wait(WALL_S) == 0


class Speaking:
    """A node of the demo, as far as figures of it count. It has said more than its last report tells."""

    is_up, id, first_id, boots, trouble, heap_max, finds, echoes = True, "ab" * 32, "ab" * 32, 1, "", 0, (), ()

    def __init__(self, name: str, reported: int, sent: int, has_last_word: bool = True) -> None:
        self.name = name
        self.state = {"sent": reported}
        self.peers: set[str] = set()
        self.was_cut_off = True
        self._last = sent, has_last_word

    def total(self, name: str) -> int:
        return self.state.get(name, 0)

    async def stop(self) -> None:
        self.is_up = False
        sent, has_last_word = self._last
        if has_last_word:
            self.was_cut_off = False
            self.state = {"sent": sent}


def test_the_figures_of_a_demo_that_is_ended_at_once_are_of_one_moment(tmp_path, monkeypatch):
    monkeypatch.setattr(Demo, "joined", lambda _demo: 4)
    monkeypatch.setattr(Demo, "troubles", lambda _demo: [])

    async def scenario():
        demo = Demo(0, "RPI_PICO_W", None, None, tmp_path)
        demo.nodes = [Speaking("kitchen", 5, 7), Speaking("cellar", 4, 9), Speaking("pulled", 1, 3, False)]
        demo.ear.counts.update(kitchen=7, cellar=6, pulled=3)
        asyncio.get_running_loop().call_later(0.1, demo.ear.counts.update, {"cellar": 2})  # on their way
        return await demo.finish()

    summary = asyncio.run(scenario())
    assert summary["readings_sent"] == 7 + 9 + 3 and summary["mqtt_received"] == 7 + 8 + 3
    assert summary["loss"] == round(1 / 19, 4) and summary["messages_sent"] == 3 * (7 + 9 + 1)


def test_a_port_whose_number_a_connection_has_is_not_free():
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as connection:
        taken = connection.getsockname()[1]
        with pytest.raises(Trouble, match="choose others"):
            free_ports(1, taken)
    assert len(set(free_ports(20))) == 20
