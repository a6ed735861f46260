"""`make demo EMULATOR=1`: two emulated Picos in one mesh with the gateway and a node of the unix port."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from picoswarm.membership import Membership
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.emulator.demo import EmulatedProcess
from picoswarm_tools.emulator.files import find
from picoswarm_tools.keyfolder import new_network_key

RUN = "from picoswarm_tools.cli import main; main()"
PATIENCE_S = 900  # the Picos live by the clock on the wall, and take a processor each
LONG = pytest.mark.skipif(os.environ.get("PICOSWARM_LONG") != "1", reason="takes minutes: in `make test-long`")


def read_until(process: subprocess.Popen, *patterns: str) -> None:
    """Read what the demo says until each pattern was seen in some line."""
    end, missing, said = time.monotonic() + PATIENCE_S, set(patterns), []
    for line in process.stdout:
        said = [*said[-20:], line]
        assert " ended: " not in line, line
        missing -= {pattern for pattern in missing if re.search(pattern, line)}
        if not missing:
            return
        assert time.monotonic() < end, "".join(said)
    raise AssertionError("".join(said))


def test_the_program_of_the_demo_runs_on_an_emulated_pico(tmp_path):
    async def first_id() -> str:
        pico = EmulatedProcess("pico1", tmp_path, Membership(new_network_key()), 0)
        await pico.start("127.0.0.1:1", {"name": "pico1", "what": "temperature"})
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not pico.id and not pico.trouble:
                    await asyncio.sleep(0.2)
            assert not pico.trouble
            return pico.id
        finally:
            await pico.stop()

    find("pico-frozen.bin")
    assert len(bytes.fromhex(asyncio.run(first_id()))) == 32


@LONG
def test_what_two_emulated_picos_and_a_node_measure_comes_out_of_the_broker():
    find("pico-frozen.bin")
    runtimes.find("micropython")
    mpy.compile_library("x86", mpy.BOARD_LEVEL)
    command = [sys.executable, "-c", RUN, "demo", "--nodes", "1", "--picos", "2", "--seconds", str(PATIENCE_S)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        try:
            names = ("pico1", "pico2", "kitchen")
            read_until(process, "joined 4 of 4", *(rf"in MQTT \d+ readings, {name} " for name in names))
            process.send_signal(signal.SIGTERM)
            summary = json.loads(process.communicate(timeout=PATIENCE_S)[0].strip().splitlines()[-1])
            assert summary["emulated_picos"] == 2 and summary["micropython_nodes"] == 3
        finally:
            process.kill()
