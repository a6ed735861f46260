"""Peers whose chains have little work: nothing of them stays in memory or on the disk, and who goes on with one is left. A
chain with enough work is kept, after it was told twice."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from made_bitcoin import REGTEST, MadeNode, Stranger, ours
from mining import EASY, mine, mine_more
from picoswarm_gateway.families.bitcoin import chain as chain_module
from picoswarm_gateway.families.bitcoin import follower as follower_module
from picoswarm_gateway.families.bitcoin import messages as m
from picoswarm_gateway.families.bitcoin.chain import Chain, Unconnected, work
from picoswarm_gateway.families.bitcoin.chainstore import SCHEMA, ChainStore
from picoswarm_gateway.families.bitcoin.weighing import STEP, Weighing
from picoswarm_gateway.families.bitcoin.wire import Malformed
from picoswarm_gateway.state import State
from small_mesh import until

AGE = 4000  # blocks that the network's pace would have made since its first
MOST = 2 * AGE + 2016


def young(blocks: int):
    """A network that began AGE blocks ago, and whose chain has the work of so many blocks at least."""
    began = int(time.time()) - 600 * AGE
    genesis = REGTEST.genesis[:68] + began.to_bytes(4, "little") + REGTEST.genesis[72:]
    return replace(REGTEST, name="young", genesis=genesis, least_work=blocks * work(EASY))


def chain_of(network, count: int, salt: int = 0) -> list[bytes]:
    return mine_more([network.genesis], count, 100 + salt)


@asynccontextmanager
async def on_disk(folder, network):
    db = State(folder / "state.sqlite")
    await db.open()
    await db.adopt("bitcoin", SCHEMA)
    try:
        yield db, ChainStore(db, network)
    finally:
        await db.close()


async def rows(db) -> int:
    ((count,),) = await db.read("SELECT count(*) FROM bitcoin_headers", ())
    return count


def test_headers_of_little_work_without_end_cost_no_memory_and_no_disk_and_their_peer_is_left(tmp_path):
    async def story():
        network = young(100_000)
        headers = chain_of(network, MOST + 2 * STEP)
        async with on_disk(tmp_path, network) as (db, store), ours(Chain(network), store) as we:
            tracemalloc.start()
            async with Stranger(we.peers) as stranger:
                await stranger.greet()
                await stranger.tell_headers(headers)  # up to where it is closed
            await until(lambda: not we.peers.all)
            held, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert ("down", "a long chain with little work") in we.told and we.peers.counts["banned"] == 1
            assert sum(kind == "headers" for kind, _ in we.told) == MOST // STEP + 1
            we.told.clear()
            assert we.chain.tip.height == 0 and len(we.chain._blocks) == 1 and not we.follower.weighed
            assert await rows(db) == 0
            assert most < 4_000_000, most  # a message of headers as bytes and as objects, here and at the stranger's

    asyncio.run(story())


def test_of_two_thousand_headers_that_are_weighed_one_hash_is_kept():
    network = young(100_000)
    weighing = Weighing(Chain(network), Chain(network).tip, 0, int(time.time()))
    headers = chain_of(network, 3 * STEP)
    for at in range(1, 3 * STEP + 1, STEP):
        assert weighing.take(headers[at : at + STEP], int(time.time())) == []
    assert weighing.held == 3 * 32 and weighing.height == 3 * STEP


def test_a_chain_with_enough_work_is_told_twice_and_then_kept(tmp_path):
    async def story():
        network = young(4500)
        headers = chain_of(network, 5000)
        async with on_disk(tmp_path, network) as (db, store), ours(Chain(network), store) as we:
            async with Stranger(we.peers) as stranger:
                await stranger.greet()
                telling = asyncio.create_task(stranger.tell_headers(headers))
                await until(lambda: we.chain.tip.height == 5000)
                counts = [len(value[0]) for kind, value in we.told if kind == "headers"]
                assert counts == [2000, 2000, 1000, 2000, 2000, 1000]
                mine_more(headers, 1, 100)
                stranger.say("headers", m.encode_headers(headers[-1:]))
                await until(lambda: we.chain.tip.height == 5001)
                telling.cancel()
            async with asyncio.timeout(30):
                while await rows(db) < 5001:
                    await asyncio.sleep(0.02)

    asyncio.run(story())


def test_who_tells_another_chain_the_second_time_is_left():
    network = young(4500)
    now = int(time.time())
    one, two = chain_of(network, 5000), chain_of(network, 5000, salt=1)
    chain = Chain(network)
    weighing = Weighing(chain, chain.tip, 0, now)
    for at in (1, 2001, 4001):
        weighing.take(one[at : at + STEP], now)
    assert weighing.is_enough
    with pytest.raises(Unconnected):
        weighing.take(two[2001 : 2001 + STEP], now)
    with pytest.raises(Malformed, match="another chain"):
        weighing.take(two[1 : 1 + STEP], now)
    assert chain.tip.height == 0


def test_work_that_a_header_only_says_it_has_counts_for_nothing():
    """The last header of a message names the hardest target; nobody looked for its hash."""
    network = young(4500)
    headers = chain_of(network, 10)
    boast = mine(headers[-1], int.from_bytes(headers[-1][68:72], "little") + 100)
    boast = boast[:72] + (0x1A00FFFF).to_bytes(4, "little") + boast[76:]
    with pytest.raises(Malformed, match="proof of work"):
        Chain(network).is_worth([*headers[1:], boast], network.least_work)


def test_a_branch_with_a_days_work_less_than_ours_is_not_kept_and_who_insists_is_left():
    async def story():
        chain = Chain(REGTEST)
        true = mine_more([REGTEST.genesis], 300)
        chain.add(true[1:], int(time.time()))
        branch = m.encode_headers(mine_more([REGTEST.genesis], 100, salt=1)[1:])
        async with ours(chain) as we, Stranger(we.peers) as stranger:
            await stranger.greet()
            await stranger.hear("getheaders")
            stranger.say("headers", branch)  # the answer to that: it may be a young node
            (peer,) = we.peers.up()
            await until(lambda: ("headers", (m.decode_headers(branch), True)) in we.told)
            assert peer.session.score == 0
            for _ in range(20):
                with suppress(ConnectionError):
                    stranger.say("headers", branch)
            assert await stranger.is_closed()
            assert len(chain._blocks) == 301 and chain.tip.height == 300

    asyncio.run(story())


def test_branches_beside_the_newest_blocks_cannot_fill_memory_or_hold_up_the_chain(monkeypatch):
    monkeypatch.setattr(chain_module, "MOST", 150)
    chain, now = Chain(REGTEST), int(time.time())
    true = mine_more([REGTEST.genesis], 100)
    chain.add(true[1:], now)
    for salt in range(1, 40):
        chain.add(mine_more(true[:91], 9, salt=salt)[91:], now)
        assert len(chain._blocks) <= 150
    assert len(chain.add(mine_more(true, 1)[-1:], now).connected) == 1
    longer = mine_more(true[:91], 12, salt=50)
    assert len(chain.add(longer[91:], now).lost) == 11  # and a branch may still win


def test_two_chains_are_weighed_at_a_time_and_another_one_when_a_peer_goes(monkeypatch):
    monkeypatch.setattr(follower_module, "POLL_S", 0.2)

    async def story():
        network = young(100_000)
        headers = chain_of(network, 5000)
        async with (
            ours(Chain(network)) as we,
            Stranger(we.peers) as one,
            Stranger(we.peers) as two,
            Stranger(we.peers) as three,
        ):
            for each in (one, two, three):  # each answers once only
                await each.greet()
                await each.hear("getheaders")
                each.say("headers", m.encode_headers(headers[1:2001]))
            for each in (one, two):
                known, _ = m.decode_locator(await each.hear("getheaders"))
                assert known[0] != network.genesis_hash
            weighed = we.follower._weighings
            await until(lambda: sum(kind == "headers" for kind, _ in we.told) == 3)
            assert len(weighed) == 2
            one.writer.transport.abort()
            telling = asyncio.create_task(three.tell_headers(headers))
            await until(lambda: len(we.peers.up()) == 2 and len(weighed) == 2)
            monkeypatch.setattr(follower_module, "LEAD_S", 0.0)
            await until(lambda: ("down", "it tells its chain too slowly") in we.told)
            await telling

    asyncio.run(story())


def test_a_full_node_with_enough_work_is_followed_though_another_one_has_little():
    async def story():
        network = young(2500)
        true = chain_of(network, 3000)
        poor = chain_of(network, 2100, salt=1)
        async with MadeNode(poor, network) as one, MadeNode(true, network) as two:
            more = {"nodes": (one, two), "outbound": 2, "transport": "v1"}
            async with ours(Chain(network), **more) as we:
                await until(lambda: we.chain.tip.height == 3000 and len(we.peers.up()) == 2)

    asyncio.run(story())
