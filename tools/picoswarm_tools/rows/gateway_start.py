"""How soon a gateway serves: from the start of its process to the first answer that says it is ready.

The process is `picoswarm gateway run` with HTTP on 127.0.0.1, its folder on the disk of the build folder. The first start of
a folder makes the node's key; all others find it, and the state of the run before, which was killed.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from picoswarm.membership import Membership
from picoswarm.store import Store

from .. import runtimes
from ..keyfolder import new_network_key, save
from ..report import Row
from ..swarm import HOST, free_ports

STARTS = 7
GOAL_S = 2
PATIENCE_S = 30


class NotReady(RuntimeError):
    """The gateway ended, or did not become ready."""


def start(folder: Path, more: str = "") -> tuple[subprocess.Popen[bytes], float]:
    """Start a gateway on a folder that is provisioned, with `more` tables; returns the process and the seconds until it was
    ready. Raises NotReady."""
    mesh_port, port = free_ports(2)
    config = folder / "gateway.toml"
    mesh = f'[mesh]\nfolder = "{folder}"\nhost = "{HOST}"\nport = {mesh_port}\n'
    config.write_text(f"{mesh}[http]\nport = {port}\n{more}")
    command = [Path(sys.executable).with_name("picoswarm"), "gateway", "run", "--config", config]
    began = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert process.stderr
        said = b""
        while b'"started"' not in said:  # nobody knocks before
            line = process.stderr.readline()
            said += line
            if not line:
                raise NotReady(f"the gateway does not start: {said.decode()[-500:]}")
        urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=PATIENCE_S).close()
        return process, time.monotonic() - began
    except BaseException:
        process.kill()
        raise


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(starts: int = STARTS) -> Iterator[Row]:
    runtimes.build_folder().mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runtimes.build_folder()) as name:
        folder = Path(name)
        save(Store(name), Membership(new_network_key()))
        times, spent = [], []
        for i in range(1 + starts):
            process, seconds = start(folder)
            times.append(seconds)
            spent.append(cpu_s(process.pid))
            process.send_signal(signal.SIGKILL if i < starts else signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    first, *others = times
    how = f"process start to /readyz; median of {starts} starts after kill -9, slowest {max(others):.2f} s; wall clock"
    what = "a gateway that was killed is back in service"
    cpu = "processor time of that, which other work on the machine adds little to"
    yield Row("gateway.start_cpu_seconds", cpu, statistics.median(spent[1:]), "s", GOAL_S, gate=False, method=how)
    yield Row("gateway.start_seconds", what, statistics.median(others), "s", GOAL_S, gate=False, method=how)
    yield Row(
        "gateway.start_seconds.first", "the first start, which makes the node's key", first, "s", gate=False, method=how
    )
