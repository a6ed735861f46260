"""A board with its real firmware takes a new program from the mesh, by its own name, and goes back from a bad one."""

from __future__ import annotations

import asyncio

from board_process import BoardProcess
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm.appslots import UPDATE_KEY
from picoswarm.store import Store
from picoswarm_gateway.families.update import bundle
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy
from small_mesh import HOST, SmallMesh, free_port, until

PROGRAM = """
import asyncio

async def main(board):
    print("program %s runs")
    while True:
        await asyncio.sleep(60)
"""
BAD = """
async def main(board):
    print("program bad runs")
    raise ValueError("no sensor on pin 4")
"""


def test_a_board_restarts_with_a_new_program_and_goes_back_from_a_bad_one(tmp_path):
    async def scenario():
        mpy.compile_library("x86", 3)
        mesh, key = SmallMesh(tmp_path), Ed25519PrivateKey.generate()
        config = mesh.config()
        (tmp_path / "board").mkdir()
        board = BoardProcess(tmp_path / "board")
        supervisor = {"good_s": 2, "bad_boots": 6, "watchdog_ms": 0, "low_bytes": 0}
        known = {"bootstrap": [f"{HOST}:{config.mesh.port}"], "wifi": {"ssid": "home", "password": "a secret"}}
        own = {"name": "kitchen", "host": HOST, "port": free_port(), "supervisor": supervisor}
        board.write("picoswarm.json", {**known, **own})
        board.write("air.json", {"home": "a secret"})
        board.write("app.py", PROGRAM % "own")
        board.provision(mesh.membership)
        Store(str(tmp_path / "board" / "swarm")).write(UPDATE_KEY, key.public_key().public_bytes_raw())
        async with Gateway(config) as gateway, board:
            await board.until_it_says("program own runs")
            family = gateway.families["update"]
            family.put(bundle.make({"app.py": (PROGRAM % "new").encode()}, 1, ["kitchen"], key).raw)
            await board.until_it_says("a new program is here", "program new runs")
            await until(lambda: any(told.version == 1 and told.state() == "runs" for told in family.told.values()), 60)
            board.said = ""
            family.put(bundle.make({"app.py": BAD.encode()}, 2, ["kitchen"], key).raw)
            await board.until_it_says("a new program is here", "no sensor on pin 4")
            await board.until(lambda: "program new runs" in board.said, 90)
            assert board.said.count("program bad runs") == 3, "three tries"
            assert "safe mode" not in board.said
            assert (tmp_path / "board" / "app.py").read_text() == PROGRAM % "own"

    asyncio.run(scenario())
