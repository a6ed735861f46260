"""Free ports: programs that ask at the same time, as those of a test run, are given different ones."""

from __future__ import annotations

import subprocess
import sys

import pytest
from picoswarm_tools import swarm

OTHER = """
import sys
from picoswarm_tools import swarm
swarm._PORTS = range({first}, {last})
print(*swarm.free_ports(20), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has such names")
def test_a_port_that_another_program_was_given_is_not_given_again_before_it_is_used(monkeypatch):
    first = swarm.free_ports(1)[0]
    monkeypatch.setattr(swarm, "_PORTS", range(first, first + 60))
    command = [sys.executable, "-c", OTHER.format(first=first, last=first + 60)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        others = set(map(int, other.stdout.readline().split()))
        ours = swarm.free_ports(60)
        other.stdin.close()
    assert len(others) == 20 and len(ours) <= 40 and not others & set(ours)
