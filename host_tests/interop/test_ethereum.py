"""The gateway and boards with a real geth, and geth's own conformance test of discv4 against the gateway's listener."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from picoswarm_tools.peers import golang

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "gateway")]
from geth_node import CHAIN, RICH, Geth, address_of, payment  # noqa: E402
from picoswarm.ethereum import Ethereum  # noqa: E402
from picoswarm_gateway.families.ethereum.discovery import Discovery, own_node  # noqa: E402
from picoswarm_gateway.families.ethereum.keys import keccak256  # noqa: E402
from picoswarm_gateway.families.ethereum.record import read_enode  # noqa: E402
from picoswarm_gateway.families.ethereum.table import EthereumTable  # noqa: E402
from picoswarm_gateway.gateway import Gateway  # noqa: E402
from small_board import said_by  # noqa: E402
from small_mesh import HOST, free_port, until  # noqa: E402

PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def geth(tmp_path_factory):
    with Geth(tmp_path_factory.mktemp("geth")) as node:
        yield node


def table(geth: Geth, **more: object) -> EthereumTable:
    settings = {"network": CHAIN, "genesis": geth.genesis, "peers": [geth.enode], "port": 0, "poll_s": 0.5}
    return EthereumTable(**{**settings, **more})


def nonce(geth: Geth) -> int:
    return int(str(geth.ask("eth_getTransactionCount", "0x" + address_of(RICH).hex(), "latest")), 16)


def test_a_transaction_of_a_node_is_mined_and_the_head_is_followed(mesh, geth):
    async def story():
        async with Gateway(mesh.config(ethereum=table(geth))) as gateway, mesh.node("clock", gateway) as node:
            family = gateway.families["ethereum"]
            await until(lambda: family.follower.head)
            chain = Ethereum(await node.gateway("ethereum", 30000))
            head = await chain.head()
            told = geth.ask("eth_getBlockByNumber", hex(head.number), False)
            assert told["hash"] == "0x" + head.hash.hex() and int(told["timestamp"], 16) == head.time
            assert keccak256(await chain.header(head.number)) == head.hash
            raw = payment(nonce(geth), b"\x11" * 20, 1000)
            digest = await chain.submit(raw)
            number, index = await chain.mined(digest)
            receipt = geth.ask("eth_getTransactionReceipt", "0x" + digest.hex())
            assert (int(receipt["blockNumber"], 16), int(receipt["transactionIndex"], 16)) == (number, index)
            heads = chain.follow()
            assert (await anext(heads)).number >= head.number
            heads.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_geth_dials_the_gateway(mesh, geth):
    async def story():
        async with Gateway(mesh.config(ethereum=table(geth, peers=[], listen=True))) as gateway:
            family = gateway.families["ethereum"]
            await asyncio.to_thread(geth.ask, "admin_addPeer", family.discovery.node.enode)
            await until(lambda: any(not peer.is_outbound for peer in family.peers.values()))
            await until(lambda: family.follower.head)

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_node_of_another_chain_is_left(mesh, geth):
    async def story():
        other = table(geth, genesis="ab" * 32)
        async with Gateway(mesh.config(ethereum=other)) as gateway:
            family = gateway.families["ethereum"]
            await until(lambda: family.state()["refused_peers"])
            assert not family.peers and "another network" in family.state()["trouble"]

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_geth_is_found_by_discv4_with_its_record(geth):
    async def story():
        from coincurve import PrivateKey

        key = PrivateKey()
        ours = Discovery(key, own_node(key, HOST, 0), [read_enode(geth.enode)])
        await ours.start()
        try:
            while read_enode(geth.enode).key not in await ours.crawl(5):
                pass
            while (record := await ours.ask_record(read_enode(geth.enode))) is None:
                pass
            assert record.node.key == read_enode(geth.enode).key
        finally:
            ours.stop()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_geth_s_own_conformance_test_of_discv4_passes():
    async def story():
        from coincurve import PrivateKey

        key = PrivateKey()
        ours = Discovery(key, own_node(key, HOST, 0))
        await ours.start()
        process = await asyncio.create_subprocess_exec(
            *(str(golang.binary("geth", "devp2p")), "discv4", "test", "--tap", "--remote", ours.node.enode),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        ours.stop()
        passed = len(re.findall(r"^ok ", said, re.M))
        assert process.returncode == 0 and passed >= 10 and "not ok" not in said, said

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_board_hands_over_a_transaction_in_its_own_heap(mesh, geth):
    async def story():
        async with Gateway(mesh.config(ethereum=table(geth))) as gateway:
            await until(lambda: gateway.families["ethereum"].follower.head)
            raw = payment(nonce(geth), b"\x22" * 20, 5).hex()
            await said_by(
                mesh,
                gateway,
                "ethereum_tip.py",
                str(free_port()),
                raw,
                until=lambda said: "mined in block" in said and said.count("block ") >= 3,
            )

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))
