"""A gateway that lies about Bitcoin is caught by the board: it checks what can be checked, and asks a second one
for the rest (issue 9). The gateways, the mesh and the board are real; the chain is mined here, with the easiest
target."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

from mining import mine, mine_more, twice
from picoswarm_gateway.families.bitcoin.blocks import block_transactions
from picoswarm_gateway.families.bitcoin.family import BitcoinFamily
from picoswarm_gateway.families.bitcoin.networks import NETWORKS
from picoswarm_gateway.families.bitcoin.table import BitcoinTable
from picoswarm_gateway.gateway import Gateway
from small_mesh import until

REGTEST = NETWORKS["regtest"]
TABLE = BitcoinTable(network="regtest", only_peers=True)
COINBASE = b"\1\0\0\0\1" + bytes(32) + b"\xff\xff\xff\xff" + b"\1\x51" + b"\xff\xff\xff\xff" + b"\1"
COINBASE += (50 * 10**8).to_bytes(8, "little") + b"\1\x51" + bytes(4)


def payment(number: int) -> bytes:
    """A transaction that spends nothing that exists: it is only ever looked at."""
    spent = twice(number.to_bytes(4, "little")) + bytes(4)
    output = (1000 + number).to_bytes(8, "little") + b"\3\x51\x52\x53"
    return b"\2\0\0\0\1" + spent + b"\0" + b"\xff\xff\xff\xff\1" + output + bytes(4)


class Family(BitcoinFamily):
    """A gateway's family with a chain that the test hands it, and what it makes of the truth."""

    def __init__(self, chain: list[bytes], lie=None) -> None:
        super().__init__(TABLE)
        self.mined = chain
        self._lie = lie

    async def start(self, gateway: Gateway) -> None:
        await super().start(gateway)
        self.extend(self.mined[1:])
        if self._lie:
            self.verbs[self._lie[0]] = self._lie[1](self)

    def extend(self, headers: list[bytes]) -> None:
        """The network has these."""
        change = self.chain.add(headers, int(time.time()))
        assert change.trouble is None
        self._on_change(change)

    def confirm(self, raw: bytes) -> None:
        """A block with this transaction, as a peer would bring it."""
        from picoswarm_gateway.families.bitcoin.blocks import merkle_root, transaction

        root, _ = merkle_root([transaction(each).txid for each in (COINBASE, raw)])
        before = self.chain.tip
        header = mine(before.header, before.time + 600, root=root)
        self.extend([header])
        block = self.chain.tip
        self._on_block(block, block_transactions(header + b"\2" + COINBASE + raw))


@asynccontextmanager
async def board_with(mesh, *families: Family):
    """(the board's Bitcoin, its gateways, those in the order in which the board asks them)."""
    gateways = []
    for i, family in enumerate(families):
        config = mesh.config(f"gateway{i}")
        config.mesh.bootstrap = [f"127.0.0.1:{each.config.mesh.port}" for each in gateways]
        gateway = Gateway(config, [family])
        await gateway.start()
        gateways.append(gateway)
    try:
        async with mesh.node("board", *gateways) as node:
            btc = await node.gateway("bitcoin", 30000)
            await until(lambda: len(btc.gateway.gateways()) == len(families))
            btc.poll_ms = 200
            btc.follow("regtest", 0, REGTEST.genesis)
            yield btc, gateways
    finally:
        for gateway in gateways:
            await gateway.stop()


async def told(btc, kind: str) -> tuple:
    """The next event of a kind."""
    async with asyncio.timeout(60):
        async for event in btc:
            if event[0] == kind:
                return event


def chain_of(count: int, salt: int = 0) -> list[bytes]:
    return mine_more([REGTEST.genesis], count, salt=salt)


def test_a_forged_header_is_noticed_and_its_gateway_is_asked_no_more(mesh):
    def forge(family):
        async def headers(board, what):
            answer = bytearray(await family._headers(board, bytes(4) + REGTEST.genesis_hash[:8]))
            answer[8 + 47] ^= 0x55  # the nonce of the first, whatever the board asked for
            return bytes(answer)

        return headers

    async def story():
        chain = chain_of(9)
        liar, honest = Family(chain, ("headers", forge)), Family(chain)
        async with board_with(mesh, liar, honest) as (btc, gateways):
            event = await told(btc, "lied")
            assert event[1] == gateways[0].id and event[2] in ("no proof of work", "wrong difficulty")
            await until_height(btc, 9)
            assert gateways[0].id in btc.shunned and gateways[1].id not in btc.shunned

    asyncio.run(story())


async def until_height(btc, height: int) -> None:
    async with asyncio.timeout(60):
        while btc.chain.height < height:
            await btc.look()
            await asyncio.sleep(0.05)


def test_a_fork_with_less_work_is_not_followed_and_told(mesh):
    async def story():
        true = chain_of(20)
        fork = mine_more(true[:11], 6, salt=1)
        liar, honest = Family(fork), Family(true)
        async with board_with(mesh, liar, honest) as (btc, gateways):
            await until_height(btc, 20)
            assert (await told(btc, "lighter"))[1] == gateways[0].id
            assert btc.chain.hash(20) == twice(true[20])

    asyncio.run(story())


def test_headers_that_a_gateway_keeps_back_are_got_from_a_second_one_and_it_is_named(mesh):
    async def story():
        true = chain_of(24)
        liar, honest = Family(true[:16]), Family(true)
        async with board_with(mesh, liar, honest) as (btc, gateways):
            assert (await told(btc, "behind"))[1:] == (gateways[0].id, 24 - 15)
            assert btc.chain.height == 24 and btc.chain.hash(24) == twice(true[24])

    asyncio.run(story())


def test_a_wrong_merkle_branch_is_noticed(mesh):
    def wrong(family):
        async def proof(board, what):
            answer = bytearray(await family._proof(board, what))
            answer[-1] ^= 1
            return bytes(answer)

        return proof

    async def story():
        liar = Family(chain_of(3), ("proof", wrong))
        async with board_with(mesh, liar) as (btc, gateways):
            await until_height(btc, 3)
            sent = await btc.submit(payment(1))
            liar.confirm(payment(1))
            await until_height(btc, 4)
            assert await btc.prove(sent.txid) is None
            assert (await told(btc, "lied"))[1:] == (gateways[0].id, "wrong branch")

    asyncio.run(story())


def test_a_transaction_is_mined_only_with_a_proof(mesh):
    async def story():
        family = Family(chain_of(3))
        async with board_with(mesh, family) as (btc, _):
            await until_height(btc, 3)
            sent = await btc.submit(payment(2))
            watched = btc.watch(b"\x51\x52\x53")
            following = asyncio.create_task(told(btc, "never"))
            await until(lambda: len(family.leases) >= 2)
            family.confirm(payment(2))
            async with asyncio.timeout(60):
                assert await anext(sent) == ("mined", 4)
                paid = await anext(watched)
            assert paid == (sent.txid, 1002, 4)
            following.cancel()

    asyncio.run(story())


def test_a_gateway_on_another_chain_has_nothing_in_common_and_is_told(mesh):
    async def story():
        family = Family(chain_of(60))
        async with board_with(mesh, family) as (btc, gateways):
            btc.follow("regtest", 0, mine(REGTEST.genesis, 1296688700))
            assert await told(btc, "beyond") == ("beyond", gateways[0].id)

    asyncio.run(story())


def test_a_reorganisation_deeper_than_the_ring_is_told_and_not_followed(mesh):
    async def story():
        true = chain_of(90)
        family = Family(true)
        async with board_with(mesh, family) as (btc, gateways):
            await until_height(btc, 90)
            family.extend(mine_more(true[:11], 81, salt=1)[11:])
            assert family.chain.tip.height == 91 and family.chain.at(11).header != true[11]
            assert await told(btc, "beyond") == ("beyond", gateways[0].id)
            assert btc.chain.height == 90 and btc.chain.hash(90) == twice(true[90])

    asyncio.run(story())


def test_a_long_transaction_is_handed_over_in_parts_and_fetched_back(mesh):
    async def story():
        family = Family(chain_of(1))
        async with board_with(mesh, family) as (btc, _):
            await until_height(btc, 1)
            spent = b"".join(twice(bytes([i])) + bytes(4) + b"\0\xff\xff\xff\xff" for i in range(100))
            raw = b"\2\0\0\0" + b"\x64" + spent + b"\1" + (5).to_bytes(8, "little") + b"\1\x51" + bytes(4)
            sent = await btc.submit(raw)
            assert await btc.fetch(sent.txid) == raw and len(raw) > 4000
            assert (await btc.gateway.request("status", sent.txid))[0] == 1

    asyncio.run(story())
