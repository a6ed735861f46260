"""An example on 32-bit MicroPython, in the heap of a board, as a node of a gateway's mesh."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy, runtimes
from small_mesh import HOST, SmallMesh

HEAP = "192k"  # a Pico W has 200 KB; of these a node from .mpy files takes 150
PATIENCE_S = 90.0


async def said_by(mesh: SmallMesh, gateway: Gateway, example: str, *arguments: str, until: Callable[[str], bool]) -> str:
    """What an example printed until then; it gets the folder, the gateway's address and `arguments`."""
    library = mpy.compile_library("x86", 3)
    mesh.store("board")
    board = await asyncio.create_subprocess_exec(
        *(str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}", str(runtimes.ROOT / "examples" / example)),
        *(str(mesh.folder / "board"), f"{HOST}:{gateway.config.mesh.port}", *arguments),
        env={**os.environ, "MICROPYPATH": f"{library}:.frozen"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = ""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not until(said):
                line = (await board.stdout.readline()).decode()
                assert line, said
                said += line
    finally:
        if board.returncode is None:
            board.kill()
            await board.wait()
    return said
