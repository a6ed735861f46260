"""A new application reaches real boards over the mesh, and stays or goes (docs/updates.md)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mesh import needs_micropython
from picoswarm.appslots import APP, UPDATE_KEY, AppState
from picoswarm.store import Store
from picoswarm_gateway.families.update import bundle
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy, runtimes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from small_mesh import HOST, SmallMesh, free_port, until  # noqa: E402

HEAP = 205_312  # of a Raspberry Pi Pico W
PROGRAM = Path(__file__).with_name("update_board.py")
GOOD = "import asyncio\nNAME = %r\nasync def main():\n    while True:\n        await asyncio.sleep(1)\n"
BAD = "import asyncio\nNAME = %r\nasync def main():\n    await asyncio.sleep_ms(200)\n    raise ValueError('a bad one')\n"
PATIENCE_S = 120


class Board:
    """A MicroPython board that is started again whenever its process ends, as a board is. `said`: the objects that it told,
    over all boots; `apps`: names of the applications that it started."""

    def __init__(
        self, mesh: SmallMesh, key: Ed25519PrivateKey, name: str, bootstrap: str, boards: str, **numbers: int
    ) -> None:
        self.folder = mesh.folder / name
        self.folder.mkdir()
        (self.folder / "app.py").write_text(GOOD % "own")
        mesh.store(f"{name}/swarm").write(UPDATE_KEY, key.public_key().public_bytes_raw())
        self.port = free_port()
        self.said: list[dict] = []
        self.errors: list[str] = []
        self._arguments = [str(self.folder), HOST, str(self.port), bootstrap, boards]
        self._arguments += [f"{key}={value}" for key, value in {"bootstrap": 1, "start_ms": 0, **numbers}.items()]
        self._task: asyncio.Task | None = None

    async def __aenter__(self) -> Board:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if exception[0] is not None:
            print(self.folder.name, *self.said[-8:], *self.errors[-20:], sep="\n  ")

    async def _live(self) -> None:
        path = f"{runtimes.ROOT / 'firmware'}:{mpy.library_folder('x86', 3)}:.frozen"
        command = [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}", str(PROGRAM), *self._arguments]
        while True:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, "MICROPYPATH": path},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                umask=0o077,  # of what nodes keep; the unix port sets no modes
            )
            try:
                async for line in process.stdout:
                    try:
                        self.said.append(json.loads(line))
                    except ValueError:
                        self.errors.append(line.decode(errors="replace").rstrip())
                await process.wait()
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    @property
    def apps(self) -> list[str]:
        return [each["app"] for each in self.said if "app" in each]

    @property
    def heap(self) -> int:
        return max(each["heap"] for each in self.said if "heap" in each)

    def state(self) -> AppState:
        return AppState(Store(str(self.folder / "swarm")).read(APP))

    def has_confirmed(self, version: int) -> bool:
        return any(each.get("confirmed") == version for each in self.said)


def application(name: str, text: str = GOOD) -> dict[str, bytes]:
    """An application of a few files, some of them longer than a chunk."""
    return {"app.py": (text % name).encode(), "lib/data.bin": os.urandom(3000), "lib/empty.txt": b""}


def test_two_boards_get_a_new_application_one_of_them_through_the_other(tmp_path, record_property):
    """The far board has sessions with the near one only, and gets what that one runs and has confirmed."""

    async def scenario():
        needs_micropython()
        mpy.compile_library("x86", 3)
        mesh, key = SmallMesh(tmp_path), Ed25519PrivateKey.generate()
        config = mesh.config()
        async with Gateway(config) as gateway:
            gates = f"{HOST}:{config.mesh.port}"
            near = Board(mesh, key, "near", gates, "sensor")
            far = Board(mesh, key, "far", f"{HOST}:{near.port}", "sensor", beacon=0)
            # A gate at the gateway keeps the far board out, as a wall between the two would.
            async with near:
                await until(lambda: near.apps, PATIENCE_S)
                ids = [near.said[-1].get("id")]
                near_id = next(each["id"] for each in near.said if "id" in each)
                gateway.node.swarm.manager.allow = lambda stage, id32, ip: id32 is None or id32.hex() == near_id
                async with far:
                    await until(lambda: far.apps == ["own"], PATIENCE_S)
                    family = gateway.families["update"]
                    family.put(bundle.make(application("first"), 1, ["sensor"], key).raw)
                    await until(lambda: near.has_confirmed(1) and far.has_confirmed(1), PATIENCE_S)
                    assert near.apps == ["own", "first"] and far.apps == ["own", "first"], ids
                    pieces = family.pieces
                    assert pieces <= 2 * 16, "the gateway served one board only"
                    family.put(bundle.make(application("bad", BAD), 2, ["sensor"], key).raw)
                    await until(lambda: near.state().floor == 2 and near.state().version == 1, PATIENCE_S)
                    await until(lambda: near.apps[-1] == "first", PATIENCE_S)
                    assert near.apps == ["own", "first", "bad", "bad", "bad", "first"]
                    assert far.apps == ["own", "first"], "a bad application goes no further"
                    print(f"heap: near {near.heap}, far {far.heap}")
                    for board in (near, far):
                        assert "MemoryError" not in "".join(board.errors)

    asyncio.run(scenario())
