"""A running mesh gets another network key: real MicroPython nodes, and the commands that the operator types."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from mesh import Mesh, needs_micropython
from picoswarm.slots import OPERATOR
from picoswarm.store import Store
from picoswarm_gateway.keychange import create_operator
from picoswarm_tools.keyfolder import load, save


@pytest.fixture(autouse=True)
def _files_for_their_owner():
    """The unix port sets no modes."""
    before = os.umask(0o077)
    yield
    os.umask(before)


# Of two that dialed each other at once one stays; and a way down takes the place of another link, or makes room for one that
# is wanted, whatever the key.
REARRANGED = (1, 6, 17)
FAST = {"start_ms": 0, "revalidate_s": 2, "records": 64}  # the files of this library are not those of a board


class Operated(Mesh):
    """A mesh whose nodes know an operator; `operator` is the operator's folder."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder, count, FAST)
        self.operator = folder / "operator"
        store = Store(str(self.operator))
        self.stores = [Store(str(folder / name)) for name in ("bootstrap", *(node.name for node in self.nodes))]
        create_operator(store, *self.stores)
        save(store, self.membership)

    async def command(self, *arguments: str) -> tuple[int, dict]:
        """The exit status of a `picoswarm` command, and the object that it printed."""
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).parent / "picoswarm"), arguments[0], "--folder", str(self.operator), "--json"),
            *("--bootstrap", self.bootstrap_at, "--host", "127.0.0.1", *arguments[1:]),
            stdout=asyncio.subprocess.PIPE,
        )
        said = (await process.communicate())[0]
        return process.returncode or 0, json.loads(said)

    def epochs(self) -> list[tuple[int, int | None]]:
        """The epochs of the keys in each folder."""
        held = [load(store) for store in self.stores]
        return [(keys.highest.epoch, keys.lower.epoch if keys.lower else None) for keys in held if keys]


def test_four_boards_get_a_new_key_while_they_publish_and_lose_no_session(tmp_path):
    async def scenario():
        async with Operated(tmp_path, 4) as mesh:
            await mesh.until_all_knew_their_nearest(60)
            await mesh.until(lambda: all(node.state.get("sessions", 0) >= 2 for node in mesh.nodes), 60)
            sessions = {session[0] for session in mesh.bootstrap.sessions()}
            ended = []

            async def watch():
                async for event in mesh.bootstrap.events:
                    if event[0] == "disconnected" and event[1] in sessions and event[2] not in REARRANGED:
                        ended.append(event)

            watching = asyncio.create_task(watch())
            for node in mesh.nodes:
                node.talk(200)
            status, report = await mesh.command("rekey")
            assert status == 0, report
            assert (report["serial"], report["epoch"], report["missing"]) == (1, 1, [])
            assert set(report["confirmed"]) == mesh.live_ids()
            await mesh.until(lambda: mesh.epochs() == [(1, 0)] * 5, 30)
            heard = [node.total("heard") for node in mesh.nodes]
            await mesh.until(
                lambda: all(node.total("heard") > n + 20 for node, n in zip(mesh.nodes, heard, strict=True)), 60
            )
            assert not ended
            for node in mesh.nodes:
                node.talk(0)
            watching.cancel()

            lost = mesh.nodes[3]
            status, report = await mesh.command("revoke", lost.id[:8])
            assert status == 0, report
            assert set(report["confirmed"]) == mesh.live_ids() - {lost.id} and report["revoked"] == [lost.id[:32]]
            assert lost.id not in {session[0].hex() for session in mesh.bootstrap.sessions()}
            await mesh.until(lambda: all(lost.id[:8] not in node.peers for node in mesh.nodes[:3]), 120)
            gateway, *boards = mesh.epochs()
            assert boards == [(2, None)] * 3 + [(1, 0)]
            assert gateway == (2, 1)  # for those that were away
            assert all(node.stat("unsaved") == 0 for node in mesh.nodes)
            mesh.assert_nodes_are_sound()

    asyncio.run(scenario())


def test_a_command_that_reaches_nobody_changes_nothing(tmp_path):
    needs_micropython()
    mesh = Operated(tmp_path, 1)
    before = [store.read(OPERATOR) for store in (*mesh.stores, Store(str(mesh.operator)))]

    async def scenario():
        return await mesh.command("rekey", "--seconds", "2")

    status, said = asyncio.run(scenario())
    assert status == 3 and "No member" in said["error"]
    assert [store.read(OPERATOR) for store in (*mesh.stores, Store(str(mesh.operator)))] == before
