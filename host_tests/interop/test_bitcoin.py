"""The whole way, with a real full node at one end and a 32-bit MicroPython node at the other: it follows the chain through a
gateway, over a reorganisation, and hands over a transaction that it sees mined by its own proof."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from bitcoin_nodes import FullNode, Knots
from bitcoin_signing import Key
from mesh import HEAP, needs_micropython
from picoswarm.store import Store
from picoswarm_gateway.families.bitcoin.networks import NETWORKS
from picoswarm_gateway.families.bitcoin.table import BitcoinTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.provision import save
from small_mesh import HOST, SmallMesh, free_port, until
from talking import Process

HERE = Path(__file__).resolve().parent
REGTEST = NETWORKS["regtest"]
COIN = 100_000_000
KEY, OTHER = Key(b"\1" * 32), Key(b"\2" * 32)


def table(*nodes: FullNode, **more) -> BitcoinTable:
    """The gateway dials these nodes, and nobody else."""
    return BitcoinTable(**{"network": "regtest", "peers": [each.address for each in nodes], "only_peers": True, **more})


def board(mesh: SmallMesh, *gateways, poll_ms: int = 2000) -> Process:
    """A board as a process: 32-bit MicroPython with the heap of a Pico W, which trusts the first block of regtest."""
    needs_micropython()
    folder = mesh.folder / "board"
    save(Store(str(folder)), mesh.membership)
    known = ",".join(f"{HOST}:{each.config.mesh.port}" for each in gateways)
    command = [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}", str(HERE / "bitcoin_board.py")]
    command += [str(folder), HOST, str(free_port()), known, "regtest", "0", REGTEST.genesis.hex(), str(poll_ms)]
    return Process([*command, "start_ms=0"], {"MICROPYPATH": f"{mpy.library_folder('x86')}:.frozen"})


async def at(process: Process, height: int, tip: str) -> dict:
    """Wait until the board has this best block."""
    async with asyncio.timeout(120):
        while True:
            state = await process.ask("height", "state")
            if state["height"] == height and state["tip"] == bytes.fromhex(tip)[::-1].hex():
                return state
            await asyncio.sleep(0.2)


async def mined(node: FullNode, height: int, gateway: Gateway) -> str:
    """Wait until the gateway has the node's best block of this height; its hash."""
    tip, best = await node.tip()
    assert tip == height
    await until(lambda: gateway.families["bitcoin"].chain.tip.hash[::-1].hex() == best, 60)
    return best


def test_a_board_follows_500_blocks_a_reorganisation_of_20_and_its_own_transaction(mesh, tmp_path, record_property):
    async def story():
        async with AsyncExitStack() as stack:
            node = await stack.enter_async_context(Knots(tmp_path / "knots"))
            gateway = await stack.enter_async_context(Gateway(mesh.config(bitcoin=table(node))))
            await node.call("generatetoaddress", 500, KEY.address("bcrt"))
            best = await mined(node, 500, gateway)
            (peer,) = gateway.families["bitcoin"].state()["peers"]
            assert "Knots" in peer["agent"] and peer["is_encrypted"]
            small = await stack.enter_async_context(board(mesh, gateway))
            heap = (await small.fact("following"))["following"]
            await at(small, 500, best)

            # 20 blocks are replaced by 21
            fork = await node.call("getblockhash", 481)
            await node.call("invalidateblock", fork)
            await node.call("generatetoaddress", 21, OTHER.address("bcrt"))
            best = await mined(node, 501, gateway)
            state = await at(small, 501, best)
            assert (await small.fact("reorganised"))["reorganised"][:2] == [20, 501]

            # a transaction of the board, with a witness
            spent = await node.call("getblock", await node.call("getblockhash", 1), 2)
            coin = spent["tx"][0]
            amount = 50 * COIN
            raw = KEY.spend(bytes.fromhex(coin["txid"])[::-1], 0, amount, OTHER.script, amount - 1000)
            await small.ask("watching", "watch", OTHER.script.hex())
            submitted = await small.ask("submitted", "submit", raw.hex())
            txid = bytes.fromhex(submitted["submitted"])[::-1].hex()
            assert (await small.fact("sent"))["sent"][0] in ("taken", "seen")
            async with asyncio.timeout(60):
                while txid not in await node.call("getrawmempool"):
                    await asyncio.sleep(0.1)
                while (fact := (await small.fact("sent"))["sent"]) != ["seen", 1]:
                    assert fact == ["taken"]
            await node.call("generatetoaddress", 1, OTHER.address("bcrt"))
            best = await mined(node, 502, gateway)
            assert (await small.fact("sent"))["sent"] == ["mined", 502]
            paid = {tuple((await small.fact("paid"))["paid"]) for _ in range(2)}  # the coinbase pays there too
            assert (submitted["submitted"], amount - 1000, 502) in paid

            # and its block goes: it waits again, and is mined anew
            await node.call("invalidateblock", best)
            await node.call("generateblock", OTHER.address("bcrt"), [])
            await node.call("generateblock", OTHER.address("bcrt"), [])
            await mined(node, 503, gateway)
            assert (await small.fact("sent"))["sent"] == ["unmined"]
            await node.call("generatetoaddress", 1, OTHER.address("bcrt"))
            while (fact := (await small.fact("sent"))["sent"])[0] != "mined":
                assert fact[0] in ("taken", "seen")
            assert fact == ["mined", 504]
            state = await small.ask("height", "state")
            assert state["fault"] == "None"
            record_property("measured", f"the ring and its module take {heap} bytes of heap, all of it {state['heap']}")

    asyncio.run(story())
