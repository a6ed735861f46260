"""The life of a board, with its real files: from the box to the mesh, through a program that crashes, and back."""

from __future__ import annotations

import asyncio

from board_process import FIRMWARE, SLEEP, WATCHDOG, BoardProcess
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy
from small_mesh import HOST, SmallMesh, free_port, until
from swarmboard import improv

GOOD = """
import asyncio

async def main(board):
    while True:
        await board.node.publish("sensors/%s/temperature" % board.name, b"21.5")
        await asyncio.sleep_ms(200)
"""
BAD = """
async def main(board):
    raise ValueError("no sensor on pin 4")
"""
HANGS = """
import time

async def main(board):
    time.sleep(9)
"""


def settings(mesh_port: int, **more: object) -> dict:
    """A configuration without Wi-Fi, of a board that is quick to find itself good or bad."""
    supervisor = {"good_s": 4, "bad_boots": 2, "watchdog_ms": 0, "low_bytes": 0}
    known = [f"{HOST}:{mesh_port}"]
    return {"name": "kitchen", "host": HOST, "port": free_port(), "bootstrap": known, "supervisor": supervisor, **more}


def test_from_the_box_to_the_mesh_through_a_crash_loop_and_back(tmp_path):
    """First boot without Wi-Fi, Improv over the serial line, the network key, a gateway, a program, safe mode, repair."""

    async def scenario():
        mpy.compile_library("x86", 3)
        mesh = SmallMesh(tmp_path)
        config = mesh.config()
        (tmp_path / "board").mkdir()
        board = BoardProcess(tmp_path / "board")
        board.write("picoswarm.json", settings(config.mesh.port))
        board.write("air.json", {"home": "a secret", "next door": "another"})
        board.write("app.py", GOOD)
        async with Gateway(config) as gateway, board:
            # A browser asks what this is, and which networks there are.
            await board.until_it_says("boot: power on")
            board.send(improv.command(improv.GET_STATE))
            assert await board.answer(improv.STATE) == bytes((improv.READY,))
            board.send(improv.command(improv.GET_INFO))
            info = improv.parse_strings((await board.answer(improv.RESULT, improv.GET_INFO))[2:])
            assert info[0] == "picoswarm" and info[3] == "kitchen"
            board.send(improv.command(improv.SCAN))
            await board.until(lambda: (improv.RESULT, bytes((improv.SCAN, 0))) in board.packets)
            found = [improv.parse_strings(data[2:]) for kind, data in board.packets if kind == improv.RESULT]
            assert found == [["home", "-40", "YES"], ["next door", "-50", "YES"], []]
            board.packets.clear()
            # It sends the right password. There is no network key yet; that comes by `picoswarm provision`.
            board.send(improv.command(improv.SET_WIFI, improv.strings(["home", "a secret"])))
            assert await board.answer(improv.RESULT, improv.SET_WIFI) == bytes((improv.SET_WIFI, 0))
            await board.until_it_says("there is no network key")
            board.provision(mesh.membership)
            messages = gateway.node.subscribe("sensors/#")
            message = await asyncio.wait_for(anext(messages), 60)
            assert (message.topic, message.payload) == ("sensors/kitchen/temperature", b"21.5")
            # It was up for long enough to be good; now somebody puts a bad program on it.
            await board.until(lambda: not (tmp_path / "board" / "boots.dat").read_bytes()[2])
            await board.switch_off()
            board.write("app.py", BAD)
            board.said = ""
            board.switch_on()
            await board.until_it_says("ValueError: no sensor on pin 4", "safe mode: too many boots")
            assert board.ends == [90, 90], "two bad boots, each ended by a reset"
            # In safe mode the node is in the mesh, and tells why.
            await until(lambda: any(name == "kitchen" for _, _, _, name in gateway.node.sessions()))
            (board_id,) = [node_id for node_id, _, _, name in gateway.node.sessions() if name == "kitchen"]
            text, _ = await gateway.node.read_log(board_id)
            assert "safe mode" in text
            # The program is repaired, over the serial line: Ctrl-C gives the REPL, and that is no bad boot.
            board.is_held = True
            board.send(b"\x03")
            await board.until_it_says("the node is closed")
            await board.switch_off()
            board.write("app.py", GOOD)
            board.said = ""
            board.switch_on()
            message = await asyncio.wait_for(anext(messages), 60)
            assert message.payload == b"21.5"
            assert "safe mode" not in board.said

    asyncio.run(scenario())


def test_a_wrong_password_is_said_to_be_one_and_ctrl_c_gets_the_repl(tmp_path):
    """What a person at the serial line meets: a mistake in the configuration, a wrong password, and Ctrl-C."""

    async def scenario():
        board = BoardProcess(tmp_path)
        board.write("picoswarm.json", '{"name": "kitchen", "wfi": {}}')
        board.write("air.json", {"home": "a secret"})
        async with board:
            await board.until_it_says("picoswarm.json: wfi: there is no such setting; there are: name, wifi")
            board.write("picoswarm.json", {"name": "kitchen"})
            board.send(improv.command(improv.SET_WIFI, improv.strings(["home", "short"])))
            assert await board.answer(improv.ERROR, improv.CANNOT_CONNECT)
            board.send(improv.command(improv.GET_STATE))
            assert await board.answer(improv.STATE) == bytes((improv.READY,))
            board.send(b"half a packet: IMPROV\x01")
            board.send(b"\n" * 20)
            board.is_held = True
            board.send(b"\r\x03\x03")  # as mpremote does
            await board.until_it_says("the node is closed; Ctrl-D starts the board anew")

    asyncio.run(scenario())


def test_a_board_on_a_battery_says_its_word_and_sleeps(tmp_path):
    """firmware/app_sleep.py, three times: each sleep is the end of a good boot."""

    async def scenario():
        mpy.compile_library("x86", 3)
        mesh = SmallMesh(tmp_path)
        config = mesh.config()
        (tmp_path / "board").mkdir()
        board = BoardProcess(tmp_path / "board")
        board.write("picoswarm.json", settings(config.mesh.port, wifi={"ssid": "home", "password": "a secret"}))
        board.write("air.json", {"home": "a secret"})
        board.write("app.py", (FIRMWARE / "app_sleep.py").read_text())
        board.provision(mesh.membership)
        async with Gateway(config) as gateway, board:
            messages = gateway.node.subscribe("sensors/#")
            for _ in range(3):
                message = await asyncio.wait_for(anext(messages), 60)
                assert (message.topic, message.payload) == ("sensors/kitchen/temperature", b"21.5")
            await board.until(lambda: len(board.ends) >= 3)
            assert set(board.ends) == {SLEEP} and "deep sleep, ms: 600000" in board.said
            assert "safe mode" not in board.said

    asyncio.run(scenario())


def test_a_program_that_hangs_is_ended_by_the_watchdog_and_then_left_out(tmp_path):
    """Its bites count as bad boots, as a crash does."""

    async def scenario():
        mpy.compile_library("x86", 3)
        mesh = SmallMesh(tmp_path)
        (tmp_path / "board").mkdir()
        board = BoardProcess(tmp_path / "board")
        given = settings(free_port(), wifi={"ssid": "home", "password": "a secret"})
        # Long enough for a busy machine to feed it, and shorter than the program hangs.
        given["supervisor"] |= {"watchdog_ms": 8000, "bad_boots": 1}
        board.write("picoswarm.json", given)
        board.write("air.json", {"home": "a secret"})
        board.write("app.py", HANGS)
        board.provision(mesh.membership)
        async with board:
            await board.until_it_says("the watchdog bites", "safe mode: too many boots")
            assert board.ends == [WATCHDOG]

    asyncio.run(scenario())
