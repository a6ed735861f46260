"""A board is provisioned by the client that the browser pages of ESP Web Tools use (npm's improv-wifi-serial-sdk)."""

from __future__ import annotations

import asyncio
import json

from board_process import BoardProcess
from picoswarm_tools import mpy
from picoswarm_tools.peers import npm


def test_the_client_of_esp_web_tools_provisions_a_board(tmp_path):
    """Detection, device information, a scan, a wrong password, the right one."""

    async def scenario():
        command = npm.command("improv", "client.mjs")
        mpy.compile_library("x86", 3)
        board = BoardProcess(tmp_path)
        board.write("picoswarm.json", {"name": "kitchen", "supervisor": {"watchdog_ms": 0, "low_bytes": 0}})
        board.write("air.json", {"home": "a secret", "next door": "another"})
        async with asyncio.timeout(120), board:
            client = await asyncio.create_subprocess_exec(
                *command,
                "home",
                "a secret",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            board.listeners.append(client.stdin.write)

            async def pump() -> None:
                while data := await client.stdout.read(4096):
                    board.send(data)

            pumping = asyncio.create_task(pump())
            try:
                said = (await client.stderr.read()).decode()
                await pumping
            finally:
                board.listeners.clear()
                if client.returncode is None:
                    client.kill()
                await client.wait()
            steps = {}
            for line in said.splitlines():
                assert line.startswith("{"), said
                steps.update(json.loads(line))
            assert steps["info"]["firmware"] == "picoswarm" and steps["info"]["name"] == "kitchen"
            assert [(n["name"], n["rssi"], n["secured"]) for n in steps["networks"]] == [
                ("home", -40, True),
                ("next door", -50, True),
            ]
            assert steps["name"] == "kitchen"
            assert steps["wrong"] != "accepted"
            assert steps["done"] and steps["state"] == 4
            kept = json.loads((tmp_path / "picoswarm.json").read_text())
            assert kept["wifi"] == {"ssid": "home", "password": "a secret"} and kept["name"] == "kitchen"

    asyncio.run(scenario())
