"""The examples do what they say, on both runtimes. `first_node.py` runs in test_lan.py, where its beacon has a LAN."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from mesh import HEAP, Mesh
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.provision import save
from picoswarm_tools.swarm import Store, free_ports

EXAMPLES = runtimes.ROOT / "examples"


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_find_neighbors_tells_of_the_nodes_around(runtime, tmp_path):
    async def scenario():
        async with Mesh(tmp_path, 2) as mesh:
            save(Store(str(tmp_path / "example")), mesh.membership)
            commands = {
                "cpython": [sys.executable, "-u"],
                "micropython": [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}"],
            }
            path = {"PYTHONPATH": str(runtimes.ROOT / "lib"), "MICROPYPATH": f"{mpy.library_folder('x86')}:.frozen"}
            process = await asyncio.create_subprocess_exec(
                *commands[runtime],
                str(EXAMPLES / "find_neighbors.py"),
                str(tmp_path / "example"),
                mesh.bootstrap_at,
                str(free_ports(1)[0]),
                env={**os.environ, **path},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said = ""
            try:
                async with asyncio.timeout(60):
                    while len(mesh.live_ids()) < 3 or not all(f"+ {node_id[:8]} " in said for node_id in mesh.live_ids()):
                        line = (await process.stdout.readline()).decode()
                        assert line, said
                        said += line
            finally:
                process.kill()
                await process.wait()
            assert "neighbours" in said

    asyncio.run(scenario())


def test_the_program_in_the_readme_is_the_first_example():
    assert (EXAMPLES / "first_node.py").read_text().strip() in (runtimes.ROOT / "README.md").read_text()
