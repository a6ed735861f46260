"""Filters of blocks (BIP158) that strangers serve: they spare us a block only if two of them agree, and a filter that hides
a payment costs its peer the connection, not us the payment."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from made_bitcoin import REGTEST, MadeNode, a_block, coinbase, encode_filter, ours
from mining import twice
from picoswarm_gateway.families.bitcoin import fetching as fetching_module
from picoswarm_gateway.families.bitcoin import peers as peers_module
from picoswarm_gateway.families.bitcoin.chain import Chain
from picoswarm_gateway.families.bitcoin.filters import may_have
from small_mesh import until

SCRIPT, OTHER = b"\0\x14" + b"\7" * 20, b"\0\x14" + b"\x08" * 20


class Blocks:
    """A short chain: its third block pays to SCRIPT."""

    def __init__(self) -> None:
        self.headers, self.raw, self.filters, self.lies = [REGTEST.genesis], {}, {}, {}
        for height in range(1, 5):
            outputs = [(1, OTHER), (0, b"\x6a\1x"), (0, b"")] + [(5, SCRIPT)] * (height == 3)
            transactions = [coinbase((50, OTHER), salt=height), coinbase(*outputs, salt=100 + height)]
            header, block = a_block(self.headers[-1], *transactions)
            hash32 = twice(header)
            self.headers.append(header)
            self.raw[hash32] = block
            self.filters[hash32] = encode_filter(hash32, transactions)
            self.lies[hash32] = encode_filter(hash32, transactions, SCRIPT)

    def node(self, filters: dict[bytes, bytes] | None) -> MadeNode:
        node = MadeNode(list(self.headers))
        node.blocks = dict(self.raw)
        node.filters = filters or {}
        if filters is None:
            node.services &= ~64
        return node


@asynccontextmanager
async def watching(*filters, **more):
    """(the family's side, which follows the chain of made nodes with these filters, the nodes, heights that paid us)."""
    chain = Blocks()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(chain.node(each)) for each in filters]
        we = await stack.enter_async_context(ours(Chain(REGTEST), nodes=nodes, transport="v1", outbound=len(nodes), **more))
        paid = []

        def look(block, transactions) -> None:
            if any(script == SCRIPT for each in transactions for _, script in each.outputs):
                paid.append(block.height)

        we.follower.fetching.scripts = lambda: {SCRIPT}
        we.follower.fetching.on_block = look
        await until(lambda: we.chain.tip.height == 4 and len(we.peers.up()) == len(nodes))
        for height in range(1, 5):
            we.follower.fetching.want(we.chain.at(height).hash)
        yield we, nodes, paid


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(peers_module, "TICK_S", 0.05)


TRUE, LIES = Blocks().filters, Blocks().lies


def test_filters_are_those_that_the_chain_has():
    chain = Blocks()
    for height, header in enumerate(chain.headers[1:], 1):
        assert may_have(twice(header), chain.filters[twice(header)], [SCRIPT]) == (height == 3)
        assert may_have(twice(header), chain.filters[twice(header)], [OTHER])


def test_two_strangers_that_agree_spare_us_the_blocks_without_a_payment():
    async def story():
        async with watching(TRUE, TRUE) as (we, nodes, paid):
            fetching = we.follower.fetching
            await until(lambda: fetching.spared == 3 and paid == [3])
            assert fetching.count == 1 and not fetching.lies
            assert sum(node.asked["getdata"] for node in nodes) == 1

    asyncio.run(story())


def test_the_filter_of_one_stranger_is_not_believed():
    async def story():
        async with watching(LIES, None) as (we, nodes, paid):
            await until(lambda: we.follower.fetching.count == 4)
            assert paid == [3] and not nodes[0].asked["getcfilters"]

    asyncio.run(story())


def test_a_filter_that_hides_a_payment_is_found_out_by_the_block_and_its_peer_is_left():
    async def story():
        async with watching(TRUE, LIES) as (we, nodes, paid):
            await until(lambda: paid == [3])
            await until(lambda: ("down", "a filter without what is in its block") in we.told)
            assert we.follower.fetching.lies == 1 and we.peers.counts["banned"] == 1
            assert nodes[0].is_connected

    asyncio.run(story())


def test_strangers_who_do_not_answer_or_answer_nonsense_cost_us_the_whole_block(monkeypatch):
    from picoswarm_gateway.families.bitcoin import session

    monkeypatch.setattr(session, "SLOW_S", 0.5)
    nonsense = dict.fromkeys(TRUE, b"\xfd\xff\xff")

    async def story():
        for wrong in ({twice(REGTEST.genesis): b""}, nonsense):
            async with watching(TRUE, wrong) as (we, _, paid):
                await until(lambda: paid == [3])
                await until(lambda: any(kind == "down" for kind, _ in we.told))

    asyncio.run(story())


def test_strangers_of_one_network_count_as_one(monkeypatch):
    from picoswarm_gateway.families.bitcoin import fetching

    monkeypatch.setattr(fetching, "group_of", lambda address: b"one")

    async def story():
        async with watching(LIES, LIES) as (we, _, paid):
            await until(lambda: paid == [3])
            assert we.follower.fetching.spared == 0

    asyncio.run(story())


def test_a_block_that_comes_upon_too_many_others_is_given_up_and_counted(monkeypatch):
    async def story():
        async with watching(TRUE, None) as (we, _nodes, _paid):  # which wants four blocks
            fetching = we.follower.fetching
            assert fetching.given_up == 1 and len(fetching._wanted) <= 3

    monkeypatch.setattr(fetching_module, "WAITING", 3)
    asyncio.run(story())
