"""The gateway as a node of its mesh, and as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from picoswarm.errors import LocalError
from picoswarm.failures import RequestError
from picoswarm_gateway.config import load
from picoswarm_gateway.families import Family, Refused
from picoswarm_gateway.gateway import Gateway
from picoswarm_gateway.state import StateError
from small_mesh import until


class Echo(Family):
    """Gives back what it gets, but for nothing."""

    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.verbs = {"say": self.submit}

    async def submit(self, board: bytes, what: bytes) -> bytes:
        if not what:
            raise Refused("nothing said")
        return board[:4] + what


def test_a_node_joins_the_gateway_and_knows_it_for_one(mesh):
    async def story():
        async with Gateway(mesh.config()) as gateway, mesh.node("board", gateway) as node:
            await until(node.sessions)
            (session,) = node._services.swarm.peers.values()
            assert session.id == gateway.id and session.hello.capabilities & 2
            book = node._services.swarm.book
            await until(lambda: any(book.pool[at + 3] & 2 for at in range(0, len(book.pool), book.step)))

    asyncio.run(story())


def test_a_board_calls_the_verbs_of_a_family(mesh):
    async def story():
        async with Gateway(mesh.config(), [Echo()]) as gateway, mesh.node("board", gateway) as node:
            await until(node.sessions)
            assert await node.request(gateway.id, "gateway") == b"time mailbox update echo"
            assert await node.request(gateway.id, "echo/say", b"hello") == node.id[:4] + b"hello"
            with pytest.raises(RequestError, match="nothing said"):
                await node.request(gateway.id, "echo/say", b"")

    asyncio.run(story())


def test_listeners_hear_of_sessions_and_one_that_fails_harms_nobody(mesh):
    async def story():
        heard = []
        gateway = Gateway(mesh.config())
        gateway.listen(lambda event: 1 / 0)
        gateway.listen(heard.append)
        async with gateway, mesh.node("board", gateway) as node:
            await until(lambda: ("connected", node.id) in heard)

    asyncio.run(story())


def test_the_command_runs_until_it_is_told_to_end(mesh, tmp_path):
    config = mesh.config()
    path = tmp_path / "gateway.toml"
    table = config.mesh
    path.write_text(
        f'[mesh]\nfolder = "{table.folder}"\nhost = "{table.host}"\nport = {table.port}\n[http]\nenabled = false\n'
    )
    command = [Path(sys.executable).with_name("picoswarm"), "gateway", "run", "--config", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stderr.readline())
        assert first["event"] == "started" and len(first["id"]) == 64
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_second_gateway_with_the_folder_of_a_running_one_does_not_start_and_harms_it_not(mesh):
    async def story():
        config = mesh.config()
        other = mesh.config()  # the same folder, another port
        async with Gateway(config) as gateway, mesh.node("board", gateway) as node:
            await until(node.sessions)
            with pytest.raises(StateError, match="another gateway"):
                await Gateway(other).start()
            assert await node.gateway("time", 60_000)
        async with Gateway(other):
            pass  # once the first one has ended

    asyncio.run(asyncio.wait_for(story(), 90))


def test_a_gateway_without_a_network_key_says_which_command_makes_one(tmp_path: Path):
    folder = tmp_path / "its node"
    path = tmp_path / "gateway.toml"
    path.write_text(f'[mesh]\nfolder = "{folder}"\n')

    async def story():
        with pytest.raises(LocalError) as refusal:
            await Gateway(load(path)).start()
        assert f"picoswarm provision --folder '{folder}'" in str(refusal.value)

    asyncio.run(story())
