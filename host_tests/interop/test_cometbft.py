"""The gateway and a board among real CometBFT nodes."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import pytest
from picoswarm_tools import runtimes

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "gateway")]
from comet_chain import CometNode  # noqa: E402
from picoswarm.cometbft import Chain  # noqa: E402
from picoswarm_gateway.families.cometbft.rpc import validators_of  # noqa: E402
from picoswarm_gateway.families.cometbft.table import CometTable  # noqa: E402
from picoswarm_gateway.gateway import Gateway  # noqa: E402
from small_mesh import SmallMesh, until  # noqa: E402


@pytest.fixture
def mesh(tmp_path):
    return SmallMesh(tmp_path)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    with CometNode(tmp_path_factory.mktemp("comet")) as node:
        yield node


def table(node: CometNode, **more: object) -> CometTable:
    return CometTable(**{"chain": node.chain, "peers": [node.address], "rpc": node.rpc, "genesis": str(node.genesis), **more})


def test_a_transaction_of_a_node_is_committed_and_headers_are_verified_by_it(mesh, chain):
    async def story():
        async with Gateway(mesh.config(cometbft=table(chain))) as gateway, mesh.node("meter", gateway) as node:
            family = gateway.families["cometbft"]
            await until(lambda: family.chain.height)
            own = Chain(await node.gateway("cometbft", 30000), chain.chain, validators_of(genesis(chain)))
            first = await own.header()
            assert first.hash.hex().upper() == chain.ask(f"commit?height={first.height}")["signed_header"]["commit"]["block_id"]["hash"]
            tx = b"meter=%d" % first.height
            height, code = await own.submit(tx)
            assert code == 0
            told = chain.ask(f"tx?hash=0x{hashlib.sha256(tx).hexdigest()}")
            assert int(told["height"]) == height
            value = await own.query("/key", b"meter")
            assert value[1:3] == (0, b"%d" % first.height)
            headers = own.follow()
            assert (await anext(headers)).height > first.height
            headers.close()

    asyncio.run(story())


def genesis(node: CometNode) -> list:
    import json

    return json.loads(node.genesis.read_text())["validators"]
