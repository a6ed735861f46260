"""The examples do what they say, on both runtimes. `first_node.py` runs in test_lan.py, where its beacon has a LAN. Those
with sessions run twice against each other, once on each runtime."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from mesh import HEAP, Mesh, needs_micropython
from picoswarm_gateway.families.mqtt.table import MqttTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.keyfolder import save
from picoswarm_tools.swarm import Store, free_ports

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from brokers import Ear, Mosquitto  # noqa: E402
from small_mesh import HOST, SmallMesh, until  # noqa: E402

EXAMPLES = runtimes.ROOT / "examples"
WALL_S = 240  # seconds on a machine at rest take minutes on one that is not


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_find_neighbors_tells_of_the_nodes_around(runtime, tmp_path):
    async def scenario():
        async with Mesh(tmp_path, 2) as mesh:
            save(Store(str(tmp_path / "example")), mesh.membership)
            commands = {
                "cpython": [sys.executable, "-u"],
                "micropython": [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}"],
            }
            path = {"PYTHONPATH": str(runtimes.ROOT / "lib"), "MICROPYPATH": mpy.unix_path()}
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
                async with asyncio.timeout(WALL_S):
                    while len(mesh.live_ids()) < 3 or not all(f"+ {node_id[:8]} " in said for node_id in mesh.live_ids()):
                        line = (await process.stdout.readline()).decode()
                        assert line, said
                        said += line
            finally:
                process.kill()
                await process.wait()
            assert "neighbours" in said

    asyncio.run(scenario())


class Program:
    """An example as a process of its own; `said` is what it printed."""

    def __init__(self, name: str, runtime: str, folder: Path, *arguments: str) -> None:
        commands = {
            "cpython": [sys.executable, "-u"],
            "micropython": [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}"],
        }
        self.said = ""
        self._command = [*commands[runtime], str(EXAMPLES / name), str(folder), *arguments]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Program:
        path = {"PYTHONPATH": str(runtimes.ROOT / "lib"), "MICROPYPATH": mpy.unix_path()}
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env={**os.environ, **path},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def until_it_says(self, *words: str) -> None:
        """Wait until each of the words was printed."""
        assert self._process is not None and self._process.stdout is not None
        while not all(word in self.said for word in words):
            line = (await self._process.stdout.readline()).decode()
            assert line, self.said
            self.said += line


WORDS = {
    "sensor_topic.py": ("published to", "sensors/kitchen/temperature 21.5 from", "proven"),
    "echo_stream.py": ("connected", "back: hello"),
    "ask_a_node.py": ("says 42", "cannot: NoMethod"),
    "counter_reactor.py": ("said hello 1", "said hello 3"),
}


@pytest.mark.parametrize("name", sorted(WORDS))
def test_an_example_with_sessions_does_what_it_says_on_both_runtimes(name, tmp_path):
    async def scenario():
        # With one more node, each of the two might have its two outbound sessions with the others.
        async with Mesh(tmp_path, 0) as mesh, AsyncExitStack() as stack:
            programs = []
            for runtime in ("cpython", "micropython"):
                save(Store(str(tmp_path / runtime)), mesh.membership)
                port = str(free_ports(1)[0])
                program = Program(name, runtime, tmp_path / runtime, mesh.bootstrap_at, port)
                programs.append(await stack.enter_async_context(program))
            async with asyncio.timeout(WALL_S):
                await asyncio.gather(*(program.until_it_says(*WORDS[name]) for program in programs))

    asyncio.run(scenario())


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_a_board_speaks_with_an_mqtt_broker_through_a_gateway(runtime, tmp_path):
    async def scenario():
        needs_micropython()
        mesh = SmallMesh(tmp_path)
        save(Store(str(tmp_path / "board")), mesh.membership)
        with Mosquitto(tmp_path) as broker:
            config = mesh.config(mqtt=MqttTable(url=broker.url))
            port = str(free_ports(1)[0])
            program = Program("mqtt_sensor.py", runtime, tmp_path / "board", f"{HOST}:{config.mesh.port}", port)
            async with (
                asyncio.timeout(WALL_S),
                Gateway(config) as gateway,
                Ear(broker, "picoswarm/kitchen/#") as ear,
                program,
            ):
                await program.until_it_says("the broker has 21.0")
                await until(lambda: ear.heard("picoswarm/kitchen/temperature")[:1] == [b"21.0"])
                await until(lambda: gateway.families["mqtt"].state()["leases"])
                await ear.say("picoswarm/kitchen/set", b"faster", retain=True)  # the broker may not have heard of the lease
                await program.until_it_says("order: faster")

    asyncio.run(scenario())


def test_every_example_is_short():
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name


def test_the_program_in_the_readme_is_the_first_example():
    assert (EXAMPLES / "first_node.py").read_text().strip() in (runtimes.ROOT / "README.md").read_text()
