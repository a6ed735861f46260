"""The family libp2p in a running gateway, with another of our hosts as the peer that it is to be connected to, and a door
before it that does all that may go wrong: the family goes on, and the mesh does not notice."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import partial

import pytest
from picoswarm.failures import StreamError
from picoswarm_gateway import gateway as gateway_module
from picoswarm_gateway.families import dialing
from picoswarm_gateway.families.libp2p import dialing as libp2p_dialing
from picoswarm_gateway.families.libp2p.table import Libp2pTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools.libp2p.pairs import Ours
from small_mesh import HOST, until

DAY_S = 86_400.0
SET_UP = 400  # bytes of a peer after which its set-up is behind it


def test_a_peer_of_the_configuration_is_dialed_again_when_its_connection_ended(mesh):
    async def story():
        async with Ours() as peer:
            table = Libp2pTable(enabled=True, peers=peer.host.address_texts())
            async with Gateway(mesh.config(libp2p=table)) as gateway:
                family = gateway.families["libp2p"]
                await until(lambda: peer.host.connections)
                assert family.host.protected[peer.host.id]
                (first,) = peer.host.connections
                first.close()
                await until(lambda: peer.host.connections and first not in peer.host.connections)
                await until(lambda: family.state()["peers"] == [peer.host.peer_id])

    asyncio.run(story())


class Door:
    """Stands before a peer, and lets through what it says where it is to behave honestly."""

    def __init__(self, peer: Ours, behave: str) -> None:
        self.behave = behave
        self.came = 0
        self._peer = peer
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> Door:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    @property
    def address(self) -> str:
        return f"/ip4/{HOST}/tcp/{self.port}/p2p/{self._peer.host.peer_id}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.came += 1
        with suppress(OSError, asyncio.CancelledError):
            if self.behave == "silent":
                await asyncio.sleep(3600)
            elif self.behave == "garbage":
                writer.write(os.urandom(300))
                await reader.read()
            else:
                await self._let_through(reader, writer, self.behave)
        writer.transport.abort()

    async def _let_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behave: str) -> None:
        theirs, ours = await asyncio.open_connection(HOST, self._peer.host.port)
        asking = asyncio.create_task(_pipe(reader, ours))
        self._tasks.add(asking)
        sent = 0
        try:
            while data := await theirs.read(100):
                if behave == "slow":
                    await asyncio.sleep(0.05)
                elif behave == "reset_mid_frame" and sent > SET_UP:
                    return writer.write(data[:-1])
                elif behave == "garbage_after" and sent > SET_UP:
                    data = os.urandom(70_000)  # longer than any record
                writer.write(data)
                sent += len(data)
        finally:
            asking.cancel()
            ours.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)


async def is_mesh_well(mesh, gateway, name: str) -> None:
    """A node of the mesh joins and is answered within its usual time."""
    async with mesh.node(name, gateway) as node:
        await until(lambda: node.sessions())
        assert await node.request(gateway.id, "gateway", b"", 10_000)


async def _is_spoken_with(family, peer: Ours) -> bool:
    connection = family.host.connection(peer.host.id)
    with suppress(StreamError):
        return bool(connection and (await connection.identify()).agent)
    return False


@pytest.fixture
def quick(monkeypatch):
    """What waits before a peer is dialed again is short."""
    monkeypatch.setattr(dialing, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(libp2p_dialing, "FIRST_S", 0.05)
    monkeypatch.setattr(libp2p_dialing, "MOST_S", 0.05)
    monkeypatch.setattr(libp2p_dialing, "PRIVATE_MS", 1500)


@pytest.mark.parametrize("behave", ["silent", "garbage", "reset_mid_frame", "garbage_after", "wrong_peer"])
def test_a_peer_that_does_wrong_is_left_and_there_is_a_connection_once_it_does_right(mesh, quick, behave):
    async def story():
        async with Ours() as peer, Ours() as other, Door(other if behave == "wrong_peer" else peer, behave) as door:
            wanted = door.address.replace(other.host.peer_id, peer.host.peer_id)
            table = Libp2pTable(enabled=True, peers=[wanted], dht="")
            async with Gateway(mesh.config(libp2p=table)) as gateway:
                family = gateway.families["libp2p"]
                await until(lambda: door.came >= 3)
                await is_mesh_well(mesh, gateway, "board")
                assert not gateway.loops.state()
                door.behave, door._peer = "honest", peer
                while not await _is_spoken_with(family, peer):  # one that was spoiled before may still be dying
                    await asyncio.sleep(0.05)
                await until(lambda: family.state()["state"] == "up")
                assert not gateway.loops.state()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_a_peer_that_is_slow_is_waited_for(mesh):
    async def story():
        async with Ours() as peer, Door(peer, "slow") as door:
            table = Libp2pTable(enabled=True, peers=[door.address], dht="")
            async with Gateway(mesh.config(libp2p=table)) as gateway:
                await until(lambda: gateway.families["libp2p"].state()["state"] == "up")
                assert door.came == 1 and not gateway.loops.state()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_a_day_without_its_peer_costs_few_dials_with_waits_that_differ_and_no_queue(mesh, monkeypatch):
    async def story():
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await asyncio.sleep(0 if sum(waits) < DAY_S else 0.05)

        monkeypatch.setattr(gateway_module, "Dialing", partial(dialing.Dialing, sleep=sleep))
        monkeypatch.setattr(libp2p_dialing, "FIRST_S", 0.0)  # its own waits are of real time
        monkeypatch.setattr(libp2p_dialing, "MOST_S", 0.0)
        async with Ours() as peer, Door(peer, "honest") as door:
            address = door.address
            door._server.close()
            table = Libp2pTable(enabled=True, peers=[address], dht="")
            async with Gateway(mesh.config(libp2p=table)) as gateway:
                family = gateway.families["libp2p"]
                await until(lambda: sum(waits) >= DAY_S)
                assert family.state()["state"] == "starting" and not family.host.connections
                assert max(waits) <= 1.25 * dialing.LONGEST_WAIT_S and DAY_S / 75 < len(waits) < DAY_S / 45
                assert len({round(each, 3) for each in waits[-100:]}) > 50
                assert not gateway.loops.state() and len(asyncio.all_tasks()) < 60
                await is_mesh_well(mesh, gateway, "board")
                door._server = await asyncio.start_server(door._serve, HOST, door.port)
                await until(lambda: family.state()["state"] == "up")

    asyncio.run(asyncio.wait_for(story(), 120))
