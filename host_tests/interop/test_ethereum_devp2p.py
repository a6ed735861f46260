"""Ethereum's second real peer, @ethereumjs/devp2p (eth/68), both ways; and a crawl of ours, geth's and its nodes."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from coincurve import PrivateKey
from picoswarm_tools.peers import npm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "gateway")]
from geth_node import Geth, payment  # noqa: E402
from picoswarm_gateway.families.ethereum.discovery import Discovery, own_node  # noqa: E402
from picoswarm_gateway.families.ethereum.keys import keccak256  # noqa: E402
from picoswarm_gateway.families.ethereum.record import Node, read_enode  # noqa: E402
from picoswarm_gateway.families.ethereum.table import EthereumTable  # noqa: E402
from picoswarm_gateway.gateway import Gateway  # noqa: E402
from small_mesh import HOST, SmallMesh, free_port, until  # noqa: E402

MAINNET = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
PATIENCE_S = 240.0
OURS = 50


@pytest.fixture
def mesh(tmp_path):
    return SmallMesh(tmp_path)


class Peer:
    """A running node of @ethereumjs/devp2p. `said`: what it told so far."""

    def __init__(self) -> None:
        self.port = free_port()
        self.said: list[dict] = []

    @property
    def node(self) -> Node:
        return Node(bytes.fromhex(self.told("ready")["id"]), HOST, self.port, self.port)

    def told(self, what: str) -> dict | None:
        return next((each for each in self.said if each["what"] == what), None)

    async def hear(self, process: asyncio.subprocess.Process) -> None:
        while line := await process.stdout.readline():
            self.said.append(json.loads(line))


@asynccontextmanager
async def devp2p(*dialed: str):
    peer = Peer()
    process = await asyncio.create_subprocess_exec(
        *npm.command("devp2p", "node.mjs"),
        *(str(peer.port), *dialed),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    ear = asyncio.create_task(peer.hear(process))
    try:
        await until(lambda: peer.told("ready"))
        yield peer
    finally:
        process.kill()
        await process.wait()
        await ear


def table(**more: object) -> EthereumTable:
    return EthereumTable(**{"network": 1, "genesis": MAINNET, "port": 0, "poll_s": 0.2, **more})


async def serve_each_other(family, peer: Peer) -> None:
    """Headers come both ways, and it gets a transaction."""
    await until(lambda: family.follower.head)
    assert family.follower.head.number == 2 and family.follower.head.hash.hex() == peer.told("ready")["head"]
    assert next(iter(family.peers.values())).status.version == 68
    await until(lambda: peer.told("headers"))
    raw = payment(0, b"\x11" * 20, 7)
    assert await family.submit(bytes(32), raw) == keccak256(raw)
    await until(lambda: peer.told("transactions"))
    assert peer.told("transactions")["hashes"] == [keccak256(raw).hex()]


def test_it_is_dialed_and_both_serve_each_other(mesh):
    async def story():
        async with devp2p() as peer, Gateway(mesh.config(ethereum=table(peers=[peer.node.enode]))) as gateway:
            await serve_each_other(gateway.families["ethereum"], peer)
            assert not gateway.loops.state()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_it_finds_the_gateway_by_discv4_and_dials_it(mesh):
    async def story():
        async with Gateway(mesh.config(ethereum=table(listen=True))) as gateway:
            family = gateway.families["ethereum"]
            own = family.discovery.node
            async with devp2p(own.key.hex(), str(own.udp)) as peer:
                await until(lambda: family.peers)
                await serve_each_other(family, peer)
            assert not gateway.loops.state()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_one_of_another_network_is_told_so_and_left(mesh):
    def other(peer: Peer) -> EthereumTable:
        return table(peers=[peer.node.enode], genesis="ab" * 32)

    async def story():
        async with devp2p() as peer, Gateway(mesh.config(ethereum=other(peer))) as gateway:
            family = gateway.families["ethereum"]
            await until(lambda: family.state()["refused_peers"] and peer.told("removed"))
            assert not family.peers and family.state()["state"] == "down"

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_crawl_finds_all_of_a_network_of_ours_geths_and_javascripts(tmp_path, capsys):
    async def story(geth: Node) -> None:
        nodes: list[Discovery] = []
        async with devp2p(geth.key.hex(), str(geth.udp)) as peer:
            for _ in range(OURS):
                key = PrivateKey()
                nodes.append(Discovery(key, own_node(key, HOST, 0), [geth, peer.node]))
                await nodes[-1].start()
            for i in range(0, OURS, 10):
                await asyncio.gather(*(each.lookup(each.node.key) for each in nodes[i : i + 10]))
            key = PrivateKey()
            crawler = Discovery(key, own_node(key, HOST, 0), [geth])
            await crawler.start()
            wanted = {geth.key, peer.node.key, *(each.node.key for each in nodes)}
            found: set[bytes] = set()
            while not wanted <= (found := found | set(await crawler.crawl(30))):
                # A loaded machine loses answers: whom nobody got to know says again that it is there, as each does in time.
                await asyncio.gather(*(each.lookup(each.node.key) for each in nodes if each.node.key not in found))
            counts = crawler.counts
            with capsys.disabled():
                print(
                    f"\n{len(wanted)} nodes: {counts['sent']} packets ({counts['bytes_out']} bytes) sent, "
                    f"{counts['received']} ({counts['bytes_in']} bytes) received"
                )
            assert found == wanted and not counts["flooded"]
            for each in (*nodes, crawler):
                each.stop()

    with Geth(tmp_path) as geth:
        asyncio.run(asyncio.wait_for(story(read_enode(geth.enode)), PATIENCE_S))
