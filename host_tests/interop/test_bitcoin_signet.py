"""Signet with a real full node: what Bitcoin Knots takes for signed, the gateway takes, and what it refuses is refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from bitcoin_nodes import Knots
from made_signet import FORMS
from picoswarm_gateway.families.bitcoin.blocks import block_transactions
from picoswarm_gateway.families.bitcoin.family import BitcoinFamily
from picoswarm_gateway.families.bitcoin.networks import NETWORKS
from picoswarm_gateway.families.bitcoin.signet import is_signed
from picoswarm_gateway.families.bitcoin.table import BitcoinTable
from picoswarm_gateway.gateway import Gateway
from small_mesh import until
from support import LONG

SIGNET = NETWORKS["signet"]
BLOCKS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "signet-blocks.json").read_text())["blocks"]
# Of the first block behind the genesis; to find one takes five million hashes.
NONCES = {
    "anybody": 7953089,
    "a key": 7031242,
    "a key's hash": 6200352,
    "two of three keys": 9859720,
    "their hash": 629885,
    "a key's hash, by witness": 1711931,
    "two of three keys, by witness": 4880164,
    "two of three keys, by witness behind a hash": 3828369,
}
SHORT = ("a key's hash, by witness", "two of three keys")


def knots(folder: Path, *more: str) -> Knots:
    return Knots(folder, "minimumchainwork=0", *more, network="signet")


def test_a_board_follows_the_first_blocks_of_the_public_signet(mesh, tmp_path):
    """Real ones, of real difficulty, from a real node; the gateway checks their signatures, the board their work."""

    async def story():
        async with knots(tmp_path / "node") as node:
            for text in BLOCKS:
                assert await node.call("submitblock", text) is None
            table = BitcoinTable(network="signet", peers=[node.address], only_peers=True)
            family = BitcoinFamily(table, replace(SIGNET, least_work=0))
            async with Gateway(mesh.config(), [family]) as gateway, mesh.node("board", gateway) as board:
                await until(lambda: family.chain.tip.height == 3)
                btc = await board.gateway("bitcoin", 30_000)
                async with asyncio.timeout(60):
                    async for event in btc.follow("signet", 0, SIGNET.genesis):
                        assert event[0] == "block"
                        if event[1] == 3:
                            break
                assert btc.chain.hash(3) == family.chain.tip.hash

    asyncio.run(story())


@pytest.mark.parametrize("form", FORMS if LONG else SHORT)
def test_the_gateway_and_the_full_node_agree_on_a_signet_of_ones_own(form, mesh, tmp_path):
    async def story():
        signer = FORMS[form]
        _, raw = signer.block(SIGNET.genesis, 1, bits=SIGNET.limit_bits, nonce=NONCES[form])
        async with knots(tmp_path / "node", f"signetchallenge={signer.challenge.hex()}") as node:
            other = bytes.fromhex(BLOCKS[0])  # that somebody else signed
            ours = is_signed(other[:80], block_transactions(other), signer.challenge)
            theirs = await node.call("submitblock", other.hex()) if form != "anybody" else None
            assert (ours, theirs) == ((True, None) if form == "anybody" else (False, "bad-signet-blksig"))
            assert await node.call("submitblock", raw.hex()) is None
            table = BitcoinTable(
                network="signet", peers=[node.address], only_peers=True, signet_challenge=signer.challenge.hex()
            )
            async with Gateway(mesh.config(bitcoin=table)) as gateway:
                await until(lambda: gateway.families["bitcoin"].chain.tip.height == 1)

    asyncio.run(story())
