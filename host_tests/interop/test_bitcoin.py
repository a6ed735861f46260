"""The whole way, with a real full node at one end and a 32-bit MicroPython node at the other: it follows the chain through a
gateway, over a reorganisation, and hands over a transaction that it sees mined by its own proof."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from bitcoin_nodes import Bcoin, Btcd, FullNode, Knots, RpcError
from bitcoin_signing import Key
from mesh import HEAP, needs_micropython
from mining import mine
from picoswarm.store import Store
from picoswarm_gateway.families.bitcoin.chain import Chain, target
from picoswarm_gateway.families.bitcoin.networks import NETWORKS, SPAN, Network, double_sha256
from picoswarm_gateway.families.bitcoin.table import BitcoinTable
from picoswarm_gateway.families.bitcoin.wire import text
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.keyfolder import save
from small_mesh import HOST, SmallMesh, free_port, until
from support import LONG
from talking import Process
from test_examples import Program

HERE = Path(__file__).resolve().parent
REGTEST = NETWORKS["regtest"]
COIN = 100_000_000
NOW = 2_000_000_000
KINDS = (Knots, Btcd, Bcoin) if LONG else (Knots,)
PERIODS = 3 if LONG else 1  # up, and as many down
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
    return Process([*command, "start_ms=0"], {"MICROPYPATH": mpy.unix_path()})


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


def a_node(kind: type[FullNode], folder: Path) -> FullNode:
    """One of this kind in regtest, that mines to KEY, and has the second transport where there is one."""
    return Btcd(folder, "regtest", "--v2transport", f"--miningaddr={KEY.address('bcrt')}") if kind is Btcd else kind(folder)


async def fork(node: FullNode, gateway: Gateway, lost: int, count: int) -> None:
    """Make the node's newest blocks lost: it gets `count` empty ones behind the one before them."""
    chain = gateway.families["bitcoin"].chain
    before = chain.at(chain.tip.height - lost)
    header, moment, height = before.header, before.time, before.height
    for _ in range(count):
        height, moment = height + 1, moment + 1
        reward = coinbase(height, 0)
        header = mine(header, moment, root=double_sha256(reward))
        said = await refused(node, header + b"\1" + reward)
        assert said in ("None", "inconclusive"), said  # it is no better than its own yet


async def waits(node: FullNode, txid: str) -> None:
    """Until a transaction is among those that the node will mine."""
    async with asyncio.timeout(60):
        while txid not in await node.call("getrawmempool"):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_follows_500_blocks_a_reorganisation_of_20_and_its_own_transaction(kind, mesh, tmp_path, record_property):
    async def story():
        async with AsyncExitStack() as stack:
            node = await stack.enter_async_context(a_node(kind, tmp_path / "node"))
            gateway = await stack.enter_async_context(Gateway(mesh.config(bitcoin=table(node))))
            await until(gateway.families["bitcoin"].peers.up)
            await mine_at(node, 500)
            best = await mined(node, 500, gateway)
            (peer,) = gateway.families["bitcoin"].state()["peers"]
            assert kind.__name__.lower() in peer["agent"].lower() and peer["is_encrypted"] == (kind is not Bcoin)
            small = await stack.enter_async_context(board(mesh, gateway))
            heap = (await small.fact("following"))["following"]
            await at(small, 500, best)

            # 20 blocks are replaced by 21
            await fork(node, gateway, 20, 21)
            best = await mined(node, 501, gateway)
            await at(small, 501, best)
            assert (await small.fact("reorganised"))["reorganised"][:2] == [20, 501]

            # a transaction of the board, with a witness
            (coin,) = (await node.call("getblock", await node.call("getblockhash", 1)))["tx"]
            amount = 50 * COIN
            raw = KEY.spend(bytes.fromhex(coin)[::-1], 0, amount, OTHER.script, amount - 1000)
            await small.ask("watching", "watch", OTHER.script.hex())
            submitted = await small.ask("submitted", "submit", raw.hex())
            txid = bytes.fromhex(submitted["submitted"])[::-1].hex()
            assert (await small.fact("sent"))["sent"][0] in ("taken", "seen")
            await waits(node, txid)
            async with asyncio.timeout(60):
                while (fact := (await small.fact("sent"))["sent"]) != ["seen", 1]:
                    assert fact == ["taken"]
            await mine_at(node, 1)
            await mined(node, 502, gateway)
            assert (await small.fact("sent"))["sent"] == ["mined", 502]
            assert (await small.fact("paid"))["paid"] == [submitted["submitted"], amount - 1000, 502]

            # and its block goes: it waits again, and is mined anew
            await fork(node, gateway, 1, 2)
            await mined(node, 503, gateway)
            assert (await small.fact("sent"))["sent"] == ["unmined"]
            await waits(node, txid)
            await mine_at(node, 1)
            while (fact := (await small.fact("sent"))["sent"])[0] != "mined":
                assert fact[0] in ("taken", "seen")
            assert fact == ["mined", 504]
            state = await small.ask("height", "state")
            assert state["fault"] == "None"
            record_property("measured", f"the ring and its module take {heap} bytes of heap, all of it {state['heap']}")

    asyncio.run(story())


@pytest.mark.parametrize("kind", [Knots, Btcd, Bcoin])
@pytest.mark.parametrize("transport", ["v1", "v2"])
def test_the_gateway_shakes_hands_follows_and_is_told_of_blocks_by(kind, transport, mesh, tmp_path):
    """v2 falls back where the node has no second transport."""

    async def story():
        node = a_node(kind, tmp_path / "node")
        async with node, Gateway(mesh.config(bitcoin=table(node, transport=transport))) as gateway:
            bitcoin = gateway.families["bitcoin"]
            await until(bitcoin.peers.up)
            for height in (3, 5):
                await mine_at(node, height - bitcoin.chain.tip.height)
                await mined(node, height, gateway)
            (peer,) = bitcoin.peers.up()
            assert peer.transport.is_encrypted == (transport == "v2" and kind is not Bcoin)
            bitcoin.follower.fetching.want(bitcoin.chain.tip.hash)
            await until(lambda: bitcoin.follower.fetching.count == 1)
            await until(lambda: peer.session.rtt_s is not None)

    asyncio.run(story())


async def mine_at(node: FullNode, count: int) -> None:
    """So many blocks, by the node itself."""
    if isinstance(node, Btcd):
        await node.call("generate", count)
    elif isinstance(node, Bcoin):
        await node.call("generatetoaddress", count, KEY.address("rb"))
    else:
        await node.call("generatetoaddress", count, KEY.address("bcrt"))


SIMNET = Network(
    "simnet",
    bytes.fromhex("161c1412"),
    18555,
    REGTEST.genesis[:68] + (1401292357).to_bytes(4, "little") + REGTEST.genesis[72:],
    reduces=True,
)


def coinbase(height: int, reward: int = 50 * COIN) -> bytes:
    """The one transaction of a block: its height (BIP34), and the reward to nobody."""
    number = height.to_bytes((height.bit_length() + 8) // 8, "little")
    script = (bytes((0x50 + height,)) if height <= 16 else text(number)) + b"\0\0"
    head = b"\1\0\0\0\1" + bytes(32) + b"\xff" * 4 + text(script) + b"\xff" * 4
    return head + b"\1" + reward.to_bytes(8, "little") + b"\1\x51" + bytes(4)


def test_the_difficulty_is_the_one_that_btcd_computes_up_and_down(tmp_path, record_property):
    """btcd's simnet retargets, from a limit that every second hash meets. The blocks are ours, with times as they must be;
    btcd takes one only if its own rules give the same bits, and refuses the first of a period with the bits before."""

    async def story():
        chain = Chain(SIMNET)
        seen = [chain.tip.bits]
        moment = chain.tip.time
        async with Btcd(tmp_path / "node", "simnet") as node:
            for height in range(1, 2 * PERIODS * SPAN + 2):
                moment += 200 if height < PERIODS * SPAN else 1190
                bits = chain.next_bits(chain.tip, moment)
                reward = coinbase(height, 50 * COIN >> height // 210_000)
                root = double_sha256(reward)
                if height % SPAN == 0:
                    if bits != seen[-1]:
                        wrong = mine(chain.tip.header, moment, seen[-1], root)
                        said = await refused(node, wrong + b"\1" + reward)
                        assert "difficulty" in said, said
                    seen.append(bits)
                block = mine(chain.tip.header, moment, bits, root)
                assert chain.add([block], NOW).trouble is None
                assert await refused(node, block + b"\1" + reward) == "None"
            assert await node.tip() == (2 * PERIODS * SPAN + 1, chain.tip.hash[::-1].hex())
        targets = [target(bits) for bits in seen]
        steps = [after - before for before, after in pairwise(targets)]
        assert len(steps) == 2 * PERIODS and max(steps[:PERIODS]) < 0 < min(steps[PERIODS:])
        record_property("measured", f"bits of the periods: {', '.join(f'{bits:x}' for bits in seen)}")

    asyncio.run(story())


async def refused(node: FullNode, block: bytes) -> str:
    """What the node says of a block that it does not take."""
    try:
        return str(await node.call("submitblock", block.hex()))
    except RpcError as error:
        return str(error)


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_the_clock_and_the_gate_of_the_examples_do_what_they_say(runtime, mesh, tmp_path):
    async def story():
        needs_micropython()
        async with (
            Knots(tmp_path / "knots") as node,
            Gateway(mesh.config(bitcoin=table(node))) as gateway,
            AsyncExitStack() as stack,
        ):
            await node.call("generatetoaddress", 3, KEY.address("bcrt"))
            await mined(node, 3, gateway)
            at = f"{HOST}:{gateway.config.mesh.port}"
            programs = []
            first = ("regtest", "0", REGTEST.genesis.hex(), str(free_port()))
            for name, more in (
                ("block_clock.py", (str(free_port()),)),
                ("payment_watcher.py", (OTHER.script.hex(), *first)),
            ):
                save(Store(str(tmp_path / name)), mesh.membership)
                program = Program(name, runtime, tmp_path / name, at, *more)
                programs.append(await stack.enter_async_context(program))
            clock, gate = programs
            async with asyncio.timeout(90):
                await clock.until_it_says("block 3, ")
                await gate.until_it_says("following, block 3")
                await until(lambda: gateway.families["bitcoin"].state()["leases"] >= 3)
                await node.call("generatetoaddress", 1, OTHER.address("bcrt"))
                await clock.until_it_says("block 4, ")
                await gate.until_it_says("satoshi in block 4", "open the gate")

    asyncio.run(story())


def test_filters_of_an_own_node_spare_the_gateway_the_blocks_without_a_payment(mesh, tmp_path):
    """BIP157 and 158: what Knots computes of its blocks is understood, and its blocks are fetched only where it says so."""

    async def story():
        indexes = ("blockfilterindex=1", "peerblockfilters=1")
        async with Knots(tmp_path / "knots", *indexes) as node, Gateway(mesh.config(bitcoin=table(node))) as gateway:
            bitcoin = gateway.families["bitcoin"]
            await until(bitcoin.peers.up)
            await bitcoin.follow(bytes(32), b"\1pay/" + OTHER.script.hex().encode())
            await node.call("generatetoaddress", 20, KEY.address("bcrt"))
            await mined(node, 20, gateway)
            await until(lambda: bitcoin.follower.fetching.spared == 20)
            assert bitcoin.follower.fetching.count == 0 and not bitcoin.payments.found
            await node.call("generatetoaddress", 1, OTHER.address("bcrt"))
            await until(lambda: bitcoin.payments.found)
            assert (bitcoin.follower.fetching.spared, bitcoin.follower.fetching.count) == (20, 1)

    asyncio.run(story())
