"""From a blank emulated Pico to a reading that a gateway hears, by the commands that docs/emulator.md names; deployments one
after another."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from picoswarm.store import Store
from picoswarm_tools.emulator import clock
from picoswarm_tools.emulator.clock import PicoTime
from picoswarm_tools.emulator.hub import Link, free_address
from picoswarm_tools.emulator.observe import gateway
from picoswarm_tools.emulator.pico import HOST, Pico
from picoswarm_tools.keyfolder import load

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


@pytest.mark.parametrize("form", ["frozen", pytest.param("mpy", marks=LONG), pytest.param("romfs", marks=LONG)])
def test_up_takes_a_blank_board_to_a_reading_that_the_gateway_hears(tmp_path: Path, form: str):
    house = tmp_path / "house"

    async def live(time: PicoTime) -> None:
        await told("provision", "--folder", house, "--json")
        async with (
            gateway(load(Store(str(house))), tmp_path) as hub,
            Pico(frozen=form == "frozen", clock=time) as pico,
            Link(pico.uart_ports[1], free_address()),
        ):
            heard = hub.node.subscribe("sensors/#")
            port = f"socket://{HOST}:{pico.serial_port}"
            known = ("--name", "desk", "--bootstrap", f"{HOST}:{hub.config.mesh.port}")
            way = ["--romfs"] if form == "romfs" else []
            more = ("--folder", house, *known, *way, "--timeout", PATIENCE_S, "--json")
            done = await told("up", "RPI_PICO_EMU", port, *more)
            assert "network: this board is 127." in done["said"]
            assert "/main.py" in done["deploy"]["changed"] and done["deploy"]["kept"] == 0
            async with asyncio.timeout(PATIENCE_S):
                message = await anext(aiter(heard))
            assert message.topic == "sensors/desk/temperature" and -40 < float(bytes(message.payload)) < 85
            assert await hub.node.request(message.origin, "identify", b"", 60_000) == b""  # its LED shows that it is meant

    clock.run(live)  # in the Pico's time: a busy machine makes it slow, and the gateway would give its handshakes up


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
