"""From a blank emulated Pico to a reading that a gateway hears, by the commands that docs/emulator.md names; the demo with
emulated Picos in it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from picoswarm.store import Store
from picoswarm_tools.emulator import clock
from picoswarm_tools.emulator.clock import PicoTime
from picoswarm_tools.emulator.files import find
from picoswarm_tools.emulator.hub import Link, free_address
from picoswarm_tools.emulator.observe import gateway
from picoswarm_tools.emulator.pico import HOST, Pico
from picoswarm_tools.provision import load
from picoswarm_tools.swarm import free_ports

RUN = "from picoswarm_tools.cli import main; main()"
LONG = pytest.mark.skipif(os.environ.get("PICOSWARM_LONG") != "1", reason="takes minutes: in `make test-long`")
TIMES = 20
PATIENCE_S = 900.0  # of a host that is busy


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", RUN, *map(str, arguments)]


async def told(*arguments: object) -> dict[str, Any]:
    """The JSON that a command prints, once it has ended well."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complained = await process.communicate()
    assert process.returncode == 0, (said + complained).decode()
    return json.loads(said)


def test_up_takes_a_blank_board_to_a_reading_that_the_gateway_hears(tmp_path: Path):
    house = tmp_path / "house"

    async def live(time: PicoTime) -> None:
        await told("provision", "--folder", house, "--json")
        async with (
            gateway(load(Store(str(house))), tmp_path) as hub,
            Pico(clock=time) as pico,
            Link(pico.uart_ports[1], free_address()),
        ):
            heard = hub.node.subscribe("sensors/#")
            port = f"socket://{HOST}:{pico.serial_port}"
            known = ("--name", "desk", "--bootstrap", f"{HOST}:{hub.config.mesh.port}")
            done = await told("up", "RPI_PICO_EMU", port, "--folder", house, *known, "--timeout", PATIENCE_S, "--json")
            assert "network: this board is 127." in done["said"]
            assert "/main.py" in done["deploy"]["changed"] and done["deploy"]["kept"] == 0
            async with asyncio.timeout(PATIENCE_S):
                message = await anext(aiter(heard))
            assert message.topic == "sensors/desk/temperature" and -40 < float(bytes(message.payload)) < 85
            assert await hub.node.request(message.origin, "identify", b"", 60_000) == b""  # its LED shows that it is meant

    clock.run(live)  # in the Pico's time: a busy machine makes it slow, and the gateway would give its handshakes up


class Said:
    """A command that runs, and what it has said."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []

    def until(self, pattern: str) -> re.Match[str]:
        """Read on, as far as a line that has this."""
        assert self.process.stdout is not None
        end = time.monotonic() + PATIENCE_S
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
            assert time.monotonic() < end, "".join(self.lines)
        raise AssertionError("".join(self.lines))


@contextmanager
def running(*arguments: object) -> Iterator[Said]:
    said = Said(*arguments)
    try:
        yield said
    finally:
        said.process.terminate()
        try:
            said.process.wait(30)
        except subprocess.TimeoutExpired:
            said.process.kill()
            said.process.wait()
        assert said.process.stdout is not None
        said.process.stdout.close()


@LONG
@pytest.mark.parametrize("form", ["romfs", "frozen"])
def test_each_documented_command_is_one_of_its_own_and_the_mesh_message_comes(tmp_path: Path, form: str):
    find("runner")
    house, settings = tmp_path / "house", tmp_path / "gateway.toml"
    mesh_port, http_port = free_ports(2)
    subprocess.run(command("provision", "--folder", house), check=True, capture_output=True)
    settings.write_text(f'[mesh]\nfolder = "{house}"\nhost = "{HOST}"\nport = {mesh_port}\n[http]\nport = {http_port}\n')
    with ExitStack() as stack:
        stack.enter_context(running("gateway", "run", "--config", settings)).until("started")
        port = stack.enter_context(running("emulator", *(["--frozen"] if form == "frozen" else []))).until(
            r"socket://[0-9.:]+"
        )[0]
        known = ("--name", "desk", "--bootstrap", f"{HOST}:{mesh_port}")
        up = command("up", "RPI_PICO_EMU", port, "--folder", house, *known, "--timeout", PATIENCE_S)
        if form == "romfs":
            refused = subprocess.run(up, capture_output=True, text=True)
            assert refused.returncode == 1 and "--romfs" in refused.stderr, refused.stdout + refused.stderr
            up.append("--romfs")
        done = subprocess.run(up, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        end, seen = time.monotonic() + PATIENCE_S, {}
        while not seen.get("messages"):
            assert time.monotonic() < end, seen
            time.sleep(1)
            with urllib.request.urlopen(f"http://{HOST}:{http_port}/api/state", timeout=60) as answer:
                seen = json.load(answer)
        with urllib.request.urlopen(f"http://{HOST}:{http_port}/api/nodes", timeout=60) as answer:
            assert "desk" in [node.get("name") for node in json.load(answer)]


@LONG
def test_twenty_deployments_and_as_many_resets_each_leave_the_newest_program(tmp_path: Path):
    app = tmp_path / "app.py"

    async def live() -> None:
        async with Pico(tmp_path / "flash") as pico:
            for release in range(TIMES):
                app.write_text(f"RELEASE = {release}\n\n\nasync def main(board):\n    pass\n")
                port = f"socket://{HOST}:{pico.serial_port}"
                done = await told("deploy", "RPI_PICO_EMU", port, "--app", app, "--timeout", PATIENCE_S, "--json")
                assert done["changed"] == ["/app.py"] or (release == 0 and "/app.py" in done["changed"])
                async with pico.repl() as repl:
                    await repl.begin("import machine\nmachine.reset()")
                    await repl.enter()
                    assert await repl.run("from app import RELEASE\nprint(RELEASE)") == f"{release}\n"

    asyncio.run(live())


@LONG
def test_the_demo_has_emulated_picos_whose_readings_come_out_of_the_broker():
    find("runner")
    with running("demo", "--nodes", 2, "--picos", 2, "--seconds", PATIENCE_S) as demo:
        demo.until(r"joined 5 of 5  in MQTT \d+ readings")
        demo.until(r"readings, pico1 ")
        demo.until(r"readings, pico2 ")
        demo.process.send_signal(signal.SIGINT)
        demo.until(r'^\{"nodes"')
        summary = json.loads(demo.lines[-1])
        assert demo.process.wait(60) == 0, "".join(demo.lines)
    assert summary["ok"] and summary["emulated_picos"] == 2 and summary["joined"] == summary["nodes"] == 5
    assert summary["loss"] <= 0.01 and summary["heap_max"] > 0
