"""A gateway under load, beside mosquitto under the same load in the same run (`make peers` brings it).

Clients in a process of their own (load.py) send 64 bytes each and wait for the echo. Processor time is the server's own, as
the system accounts for it; the servers take turns, A B A B, and the median of the ratios counts. Server and clients run
before whatever else this machine does, where that is allowed (root, or CAP_SYS_NICE): who else runs takes the caches, and
of a client that is late fewer messages wait at once. The rows say whether they did."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from picoswarm.membership import Membership
from picoswarm.store import Store

from .. import peers
from ..keyfolder import new_network_key, save
from ..report import Row
from ..swarm import HOST, free_ports

SECONDS = 2.0
ROUNDS = 7
CLIENTS = (100, 1000)
SPARE = 40  # links beyond the clients
HELD = 5000
ACTIVE = 1000  # besides
IDLE_S = 60.0
PATIENCE_S = 20.0
PAGE = os.sysconf("SC_PAGE_SIZE")
METHOD = "closed loops of 64 B echoes from another process, loopback"
# How long of a second such processes may run; -1: always, so that one that hangs would take a processor for itself.
TIME_LIMIT = Path("/proc/sys/kernel/sched_rt_runtime_us")


@dataclass
class Load:
    """What one run of clients cost the server."""

    sessions: int
    setup_cpu_s: float
    setup_s: float
    messages: int
    cpu_s: float
    p99_ms: float
    is_ahead: bool  # see `ahead`

    @property
    def us(self) -> float:
        """Microseconds of the server's processor for a message."""
        return self.cpu_s / self.messages * 1e6


class Server:
    """A process under load."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def cpu_s(self) -> float:
        """Processor time so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def rss(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE

    def load(self, *arguments: object) -> Load:
        """Let clients come, echo and go."""
        with client(*arguments) as crowd:
            is_ahead = ahead(self.process, crowd)
            before = self.cpu_s()
            came = json.loads(crowd.stdout.readline())
            settled = self.cpu_s()
            crowd.stdin.write("\n")
            crowd.stdin.flush()
            ran = json.loads(crowd.stdout.readline())
            after = self.cpu_s()
        return Load(came["up"], settled - before, came["seconds"], ran["messages"], after - settled, ran["p99_ms"], is_ahead)


@contextmanager
def ended(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """A process that is over when this is."""
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def ahead(*processes: subprocess.Popen, rank: int = 1) -> bool:
    """Let these processes, but not their children, run whenever they have something to do, whatever else this machine does
    that has no higher rank. False: we may not, or nothing would end one that hangs."""
    try:
        if int(TIME_LIMIT.read_text()) < 0:
            return False
        for process in processes:
            os.sched_setscheduler(process.pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(rank))
    except (AttributeError, OSError):
        return False
    return True


def said(method: str, is_ahead: bool) -> str:
    """The method of a row, with what came of `ahead`."""
    return f"{method}; both {'ran' if is_ahead else 'did not run'} ahead of others"


def echoes(loads: list[Load]) -> str:
    """The method of these."""
    return said(METHOD, all(load.is_ahead for load in loads))


def program(*arguments: object, loop: str = "uvloop") -> subprocess.Popen:
    command = [sys.executable, "-m", "picoswarm_tools.load", *map(str, arguments)]
    env = {**os.environ, "PICOSWARM_LOOP": loop}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


@contextmanager
def client(*arguments: object) -> Iterator[subprocess.Popen]:
    with ended(program(*arguments)) as process:
        yield process


@contextmanager
def node(folder: Path, links: int, loop: str = "uvloop") -> Iterator[tuple[Server, list[object]]]:
    """(a gateway's node that echoes, what a client has to know of it)."""
    save(Store(str(folder)), Membership(new_network_key()))
    (port,) = free_ports(1)
    with ended(program("serve", folder, port, links + SPARE, loop=loop)) as process:
        yield Server(process), ["mesh", folder, port, process.stdout.readline().strip()]


def until_listening(port: int) -> None:
    """Wait until somebody takes connections there. Raises OSError after PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@contextmanager
def broker(folder: Path) -> Iterator[tuple[Server, list[object]]]:
    """The same of a mosquitto."""
    command, env = peers.mosquitto()
    (port,) = free_ports(1)
    folder.mkdir()
    path = folder / "mosquitto.conf"
    path.write_text(f"listener {port} {HOST}\nallow_anonymous true\npersistence false\nuser root\nmax_queued_messages 0\n")
    process = subprocess.Popen([*command, "-c", str(path)], env={**os.environ, **env}, stderr=subprocess.DEVNULL)
    with ended(process):
        until_listening(port)
        yield Server(process), ["mqtt", port]


def side_by_side(folder: Path, clients: int, loop: str) -> tuple[list[Load], list[Load]]:
    """(ours, mosquitto's) of all rounds."""
    ours, theirs = [], []
    of_ours, of_theirs = node(folder / f"node{clients}{loop}", clients, loop), broker(folder / f"broker{clients}{loop}")
    with of_ours as (server, known), of_theirs as (other, address):
        for _ in range(ROUNDS):
            ours.append(server.load(*known, clients, SECONDS))
            theirs.append(other.load(*address, clients, SECONDS))
    return ours, theirs


def ratios(ours: list[Load], theirs: list[Load]) -> list[float]:
    """How much more processor time a message takes of us, round by round."""
    return [a.us / b.us for a, b in zip(ours, theirs, strict=True)]


def spread(row: str, values: list[float], method: str) -> Iterator[Row]:
    """The least and the most of the rounds."""
    yield Row(f"{row}.least", f"the least of {len(values)} rounds", min(values), "x", method=method)
    yield Row(f"{row}.most", f"the most of {len(values)} rounds", max(values), "x", method=method)


def held(folder: Path) -> Iterator[Row]:
    """Many sessions that do nothing for a minute; then others echo beside them."""
    with node(folder, HELD + ACTIVE) as (server, known):
        before = server.rss()
        with client("hold", *known[1:], HELD) as crowd:
            is_ahead = ahead(server.process, crowd)
            came = json.loads(crowd.stdout.readline())
            time.sleep(IDLE_S / 2)
            started = server.cpu_s()
            time.sleep(IDLE_S / 2)
            busy = (server.cpu_s() - started) / (IDLE_S / 2)
            each = (server.rss() - before) / came["up"] / 1024
            load = server.load(*known, ACTIVE, SECONDS)
            whole = server.rss()
            both = (whole - before) / (came["up"] + load.sessions) / 1024
            crowd.stdin.write("\n")
            crowd.stdin.flush()
            lost = json.loads(crowd.stdout.readline())["lost"]
    method = said(f"{HELD} members that list eight channels, a minute after the last came", is_ahead)
    yield Row("gateway.rss_per_peer", "memory of an idle session", each, "KB", 10, method=method)
    yield Row("gateway.cpu_idle", f"processor time of {HELD} idle sessions", busy * 100, "%", 20, method=method)
    what = f"with {HELD} idle and {ACTIVE} that echo"
    method = said("the same, then closed loops of 64 B echoes beside them", is_ahead and load.is_ahead)
    yield Row("gateway.rss_per_peer.both", f"memory of a session, {what}", both, "KB", method=method)
    yield Row("gateway.rss.both", f"memory of the process, {what}", whole / (1 << 20), "MB", method=method)
    yield Row("gateway.sessions.both", f"sessions at once, {what}", came["up"] + load.sessions, "", method=method)
    yield Row("gateway.cpu_per_echo.both", f"processor time for an echo, {what}", load.us, "us", method=method)
    yield Row("gateway.sessions_lost.both", f"idle sessions lost, {what}", lost, "", 0, gate=False, method=method)


def measure() -> Iterator[Row]:
    """The rows `gateway.*`. Raises Missing without mosquitto."""
    peers.mosquitto()
    with tempfile.TemporaryDirectory(prefix="picoswarm-load-") as name:
        folder = Path(name)
        for clients in CLIENTS:
            ours, theirs = side_by_side(folder, clients, "uvloop")
            ratio, method = median(ratios(ours, theirs)), echoes(ours + theirs)
            late = median(a.p99_ms / b.p99_ms for a, b in zip(ours, theirs, strict=True))
            who = f"{clients} clients"
            us = median(load.us for load in ours)
            yield Row(f"gateway.cpu_per_echo.{clients}", f"processor time for an echo, {who}", us, "us", method=method)
            yield Row(f"gateway.cpu_vs_mosquitto.{clients}", f"of that of mosquitto, {who}", ratio, "x", 2.0, method=method)
            yield from spread(f"gateway.cpu_vs_mosquitto.{clients}", ratios(ours, theirs), method)
            yield Row(
                f"gateway.p99_vs_mosquitto.{clients}", f"slowest hundredth, {who}", late, "x", 3.0, "lower", False, method
            )
            cpu = median(load.setup_cpu_s / load.sessions for load in ours) * 1000
            rate = max(load.sessions / load.setup_s for load in ours)
            yield Row(f"gateway.session_cpu.{clients}", "processor time for a new session", cpu, "ms", 1.0, method=method)
            yield Row(f"gateway.sessions_per_second.{clients}", "new sessions", rate, "1/s", 800, "higher", False, method)
        yield from held(folder / "held")
        ours, theirs = side_by_side(folder, CLIENTS[0], "asyncio")
        ratio = median(ratios(ours, theirs))
        yield Row(
            "gateway.cpu_vs_mosquitto.asyncio", "the same without uvloop", ratio, "x", 3.0, method=echoes(ours + theirs)
        )
        with node(folder / "batch", CLIENTS[0]) as (server, known), broker(folder / "batched") as (other, address):
            batched = server.load(*known, CLIENTS[0], SECONDS, 10)
            single = other.load(*address, CLIENTS[0], SECONDS)
        what = "ten messages in a record, beside single ones of MQTT"
        method = echoes([batched, single])
        yield Row("gateway.cpu_vs_mosquitto.batched", what, batched.us / single.us, "x", 1.0, method=method)
