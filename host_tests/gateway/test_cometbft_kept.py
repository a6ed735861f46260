"""What a gateway of a CometBFT chain has verified, after a restart."""

from __future__ import annotations

import asyncio

import pytest
from made_nodes import MadeChain, MadeComet
from picoswarm_gateway.gateway import Gateway
from small_mesh import SmallMesh, until

PATIENCE_S = 60.0
HEIGHT = 12


@pytest.fixture
def mesh(tmp_path):
    return SmallMesh(tmp_path)


@pytest.fixture
def chain():
    return MadeChain(HEIGHT)


@pytest.fixture
def table(mesh, chain, tmp_path):
    """Of a gateway that has verified the chain, ended, and has no peer any more."""
    node = MadeComet("honest", chain)
    found = node.table(chain.genesis(tmp_path / "genesis.json"))

    async def story():
        async with node, Gateway(mesh.config(cometbft=found)) as gateway:
            await until(lambda: gateway.families["cometbft"].chain.height == HEIGHT - 1)

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))
    return found


def height_after_a_restart(mesh, table, change=None) -> int:
    async def story():
        config = mesh.config(cometbft=table)
        if change:
            async with Gateway(mesh.config(cometbft=table)) as gateway:
                pass
            async with Gateway(mesh.config()) as gateway:
                await gateway.db.write(change, (table.chain,))
        async with Gateway(config) as gateway:
            return gateway.families["cometbft"].chain.height

    return asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_gateway_goes_on_from_the_block_that_it_verified_last(mesh, table, chain):
    assert height_after_a_restart(mesh, table) == HEIGHT - 1

    async def story():
        chain._make(HEIGHT + 1)
        node = MadeComet("honest", chain)
        table.peers = [node.address]
        async with node, Gateway(mesh.config(cometbft=table)) as gateway:
            await until(lambda: gateway.families["cometbft"].chain.height == HEIGHT)
        assert node.asked and min(node.asked) >= HEIGHT

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_block_older_than_the_time_of_trust_is_not_taken(mesh, table):
    table.trusted_days = 1 / 86400
    assert height_after_a_restart(mesh, table) == 0


def test_another_beginning_of_trust_forgets_what_was_verified(mesh, table, tmp_path):
    other = MadeChain(1)
    other.validators = [(bytes(31) + b"\7", 10)]
    table.genesis = other.genesis(tmp_path / "other.json")
    assert height_after_a_restart(mesh, table) == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cometbft_tip SET signed = x'0806' WHERE chain = ?",
        "UPDATE cometbft_tip SET header = x'ff' WHERE chain = ?",
        "UPDATE cometbft_tip SET validators = zeroblob(40) WHERE chain = ?",
        "UPDATE cometbft_tip SET after = x'01' WHERE chain = ?",
    ],
)
def test_what_is_damaged_is_not_taken(mesh, table, change):
    assert height_after_a_restart(mesh, table, change) == 0
