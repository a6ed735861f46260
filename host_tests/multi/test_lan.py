"""Nodes on a LAN that nobody configured, and what an interface does to them: network namespaces of the kernel.

A (CPython)  10.77.0.1/24 ---veth--- 10.77.0.2/24  B (MicroPython)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lan import Lan
from mesh import needs_micropython
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.demo.mesh import FAST
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import NODE_PROGRAM

FIRST_PROGRAM = runtimes.ROOT / "examples" / "first_node.py"
WALL_S = 90


@contextmanager
def two_nodes(lan: Lan, folder: Path, program: Path, *arguments: str) -> Iterator[list[Path]]:
    """`program` on CPython in namespace 0 and on MicroPython in namespace 1, each in a home whose folder `swarm` has the
    same network key. Gives the files that their output goes to; prints them when the test fails."""
    needs_micropython()
    membership = Membership(new_network_key())
    commands = [[sys.executable, "-u"], [str(runtimes.find("micropython")), "-X", "heapsize=205312"]]
    path = {"PYTHONPATH": str(runtimes.ROOT / "lib"), "MICROPYPATH": mpy.unix_path()}
    logs, processes = [], []
    try:
        for namespace, command in zip(lan.namespaces, commands, strict=True):
            home = folder / namespace
            home.mkdir()
            save(Store(str(home / "swarm")), membership)
            logs.append(folder / f"{namespace}.log")
            processes.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", namespace, *command, str(program), *arguments],
                    cwd=home,
                    env={**os.environ, **path},
                    stdin=subprocess.PIPE,
                    stdout=logs[-1].open("w"),
                    stderr=subprocess.STDOUT,
                )
            )
        yield logs
    except AssertionError:
        for log in logs:
            print(log.read_text()[-3000:])
        raise
    finally:
        for process in processes:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WALL_S
    while not condition():
        assert time.monotonic() < end, f"not within {WALL_S} s"
        time.sleep(0.1)


def test_first_program_of_the_readme_finds_its_neighbour_with_no_configuration(lan, tmp_path):
    with two_nodes(lan, tmp_path, FIRST_PROGRAM) as logs:
        until(lambda: all("I am" in log.read_text() for log in logs))
        ids = [log.read_text().split()[2][:8] for log in logs]
        until(lambda: f"{ids[1]} at 10.77.0.2" in logs[0].read_text())
        until(lambda: f"{ids[0]} at 10.77.0.1" in logs[1].read_text())


def last_state(log: Path) -> dict:
    """The last report of a demo node."""
    lines = [line for line in log.read_text().splitlines() if line.startswith('{"state"') and line.endswith("}")]
    return json.loads(lines[-1])["state"] if lines else {"peers": [], "stats": {}}


def test_node_survives_the_loss_of_its_interface_and_a_new_address(lan, tmp_path):
    numbers = [f"{name}={value}" for name, value in FAST.items()]
    with two_nodes(lan, tmp_path, NODE_PROGRAM, "swarm", "0.0.0.0", "20742", "-", *numbers) as logs:
        until(lambda: all(last_state(log)["peers"] for log in logs))
        lan.take_down(1)
        until(lambda: not last_state(logs[0])["peers"] and not last_state(logs[1])["peers"])
        assert last_state(logs[1])["stats"]["unsent"] > 0
        lan.bring_up(1, "10.77.0.9")
        until(lambda: all(last_state(log)["peers"] for log in logs))
        until(lambda: last_state(logs[1])["stats"]["reopened"] >= 1)
        assert last_state(logs[1])["stats"]["faults"] == 0
