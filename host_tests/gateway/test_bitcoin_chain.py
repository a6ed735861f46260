"""The gateway's chain of headers: all rules, retargeting, reorganisations, the disk. The board's engine follows the
same chains, by code of its own: they must agree."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from mining import mine, mine_more
from picoswarm import headers as device
from picoswarm_gateway.families.bitcoin import chain as chain_module
from picoswarm_gateway.families.bitcoin.chain import Chain, Unconnected, compact, target, work
from picoswarm_gateway.families.bitcoin.chainstore import SCHEMA, ChainStore
from picoswarm_gateway.families.bitcoin.networks import NETWORKS, SPAN, Network
from picoswarm_gateway.state import State

REGTEST = NETWORKS["regtest"]
NOW = 2_000_000_000
EASY = 0x207FFFFF


def a_network(**rules: bool) -> Network:
    """A network that retargets, with the easiest of all limits."""
    return Network("easy", b"easy", 1, REGTEST.genesis, **{"retargets": True, **rules})


def made(count: int, salt: int = 0) -> list[bytes]:
    return mine_more([REGTEST.genesis], count, salt=salt)


def test_the_genesis_of_each_network_is_the_one_that_everybody_knows():
    begins = {"main": "000000000019d668", "testnet4": "00000000da84f2ba", "signet": "00000008819873e9"}
    for name, begin in {**begins, "regtest": "0f9188f1"}.items():
        genesis = NETWORKS[name].genesis_hash[::-1].hex()
        assert genesis.startswith(begin), name
        assert int(genesis, 16) <= target(NETWORKS[name].limit_bits)


def test_targets_and_work_are_as_the_network_counts_them():
    assert target(0x1B0404CB) == 0x404CB << 192
    assert compact(0x404CB << 192) == 0x1B0404CB
    assert work(0x1D00FFFF) == 0x100010001
    for bits in (0x1D00FFFF, 0x1B0404CB, EASY, 0x1E0377AE, 0x05009234):
        assert compact(target(bits)) == bits == device.compact(device.target(bits))
        assert target(bits) == device.target(bits)


def grow(network: Network, blocks: int, step, on_period=None) -> list[bytes]:
    """Mine a chain by the gateway's rules: `step(height)` seconds between blocks."""
    chain, headers = Chain(network), [network.genesis]
    moment = chain.tip.time
    for height in range(1, blocks + 1):
        moment += step(height)
        bits = chain.next_bits(chain.tip, moment)
        headers.append(mine(headers[-1], moment, bits))
        assert chain.add([headers[-1]], NOW).trouble is None
        if height % SPAN == 0 and on_period:
            on_period(bits)
    return headers


@pytest.mark.parametrize("rules", [1, 7])
def test_board_and_gateway_agree_on_the_difficulty_over_three_periods_up_and_three_down(rules, monkeypatch):
    """Rule 7 is that of testnet4. Targets move by up to a quarter and four: 600 s is the pace that changes
    nothing."""
    network = a_network(reduces=rules == 7, is_bip94=rules == 7)
    seen = []
    headers = grow(network, 6 * SPAN + 2, lambda height: 290 if height < 3 * SPAN else 1190, seen.append)
    assert len(seen) == 6 and target(seen[0]) > target(seen[1]) > target(seen[2]) < target(seen[4]) < target(seen[5])
    monkeypatch.setitem(device.NETWORKS, "easy", (EASY, rules))
    board = device.Headers("easy", 0, network.genesis)
    for at in range(0, len(headers) - 1, 8):
        part = headers[at + 1 : at + 9]
        answer = at.to_bytes(4, "big") + (len(headers) - 1).to_bytes(4, "big")
        assert board.take(answer + b"".join(each[:4] + each[36:] for each in part)) is None
    assert board.height == len(headers) - 1
    wrong = mine(headers[-1], headers[-1][68] and int.from_bytes(headers[-1][68:72], "little") + 600, EASY)
    chain = Chain(network)
    chain.add(headers[1:], NOW)
    assert "difficulty" in str(chain.add([wrong], NOW).trouble)


def test_a_network_that_reduces_takes_an_easy_block_after_twenty_minutes_and_returns():
    for is_bip94 in (False, True):
        network = a_network(reduces=True, is_bip94=is_bip94)
        headers = grow(network, SPAN + 1, lambda height: 290)
        chain = Chain(network)
        chain.add(headers[1:], NOW)
        hard, moment = chain.tip.bits, chain.tip.time
        assert hard != EASY
        assert chain.next_bits(chain.tip, moment + 1200) == hard
        assert chain.next_bits(chain.tip, moment + 1201) == EASY
        assert chain.add([mine(chain.tip.header, moment + 1201, EASY)], NOW).trouble is None
        assert chain.next_bits(chain.tip, chain.tip.time + 1) == hard


def test_times_lie_between_the_median_of_eleven_and_two_hours_from_now():
    chain = Chain(REGTEST)
    chain.add(made(12)[1:], NOW)
    median = chain.tip.median()
    assert "too old" in str(chain.add([mine(chain.tip.header, median)], NOW).trouble)
    assert "future" in str(chain.add([mine(chain.tip.header, NOW + 7201)], NOW).trouble)
    assert chain.tip.height == 12
    assert chain.add([mine(chain.tip.header, NOW + 7200)], NOW).trouble is None


def test_the_first_block_of_a_period_may_not_jump_back_on_testnet4():
    network = a_network(is_bip94=True)
    headers = grow(network, SPAN - 1, lambda height: 290)
    chain = Chain(network)
    chain.add(headers[1:], NOW)
    moment = chain.tip.time - 601
    bits = chain.next_bits(chain.tip, moment)
    assert "before the last one" in str(chain.add([mine(chain.tip.header, moment, bits)], NOW).trouble)
    assert chain.add([mine(chain.tip.header, moment + 1, bits)], NOW).trouble is None


def test_old_versions_are_refused_from_their_heights_on():
    chain = Chain(REGTEST)
    assert "version" in str(chain.add([mine(REGTEST.genesis, 1296688700, version=3)], NOW).trouble)


def test_headers_that_hang_in_the_air_are_not_kept():
    chain = Chain(REGTEST)
    with pytest.raises(Unconnected):
        chain.add(made(3)[2:], NOW)


def test_the_branch_with_more_work_becomes_the_chain_and_a_tie_changes_nothing():
    chain = Chain(REGTEST)
    one, two = made(20), mine_more(made(5), 15, salt=1)
    assert len(chain.add(one[1:], NOW).connected) == 20
    assert chain.add(two[6:], NOW).connected == []
    mine_more(two, 1, salt=1)
    change = chain.add(two[-1:], NOW)
    assert (len(change.connected), len(change.lost)) == (16, 15)
    assert [block.height for block in change.connected] == list(range(6, 22))
    assert chain.at(10).header == two[10] and not chain.is_best(change.lost[0].hash)


def test_what_stands_before_a_wrong_header_is_taken():
    chain = Chain(REGTEST)
    headers = made(5)
    headers[4] = headers[4][:72] + (0x2100FFFF).to_bytes(4, "little") + headers[4][76:]
    change = chain.add(headers[1:], NOW)
    assert chain.tip.height == 3 and len(change.connected) == 3 and change.trouble.score == 100


def test_old_blocks_leave_memory_with_the_branches_that_hang_on_them(monkeypatch):
    monkeypatch.setattr(chain_module, "KEPT", 600)
    chain = Chain(REGTEST)
    headers = made(1300)
    chain.add(headers[1:20], NOW)
    chain.add(mine_more(headers[:11], 5, salt=1)[11:], NOW)
    for at in range(20, 1301, 100):
        chain.add(headers[at : at + 100], NOW)
    assert len(chain._blocks) < 1200 and chain.at(0) is None and chain.tip.height == 1300
    assert len(chain.locator()) < 40 and chain.locator()[-1] == REGTEST.genesis_hash


def on_disk(folder: Path, story) -> None:
    async def whole():
        db = State(folder / "state.sqlite")
        await db.open()
        await db.adopt("bitcoin", SCHEMA)
        try:
            await story(ChainStore(db, REGTEST))
        finally:
            await db.close()

    asyncio.run(whole())


def test_the_chain_outlives_a_restart_with_its_reorganisations(tmp_path):
    one, two = made(30), mine_more(made(10), 25, salt=1)

    async def first(store):
        chain = await store.load()
        await store.save(chain.add(one[1:], NOW))
        await store.save(chain.add(two[11:], NOW))

    async def second(store):
        chain = await store.load()
        assert chain.tip.header == two[35] and chain.tip.height == 35
        assert chain.tip.work == sum(work(EASY) for _ in two)
        assert await store.headers(9, 3) == two[9:12]
        assert chain.add(mine_more(list(two), 3)[36:], NOW).trouble is None

    on_disk(tmp_path, first)
    on_disk(tmp_path, second)


def test_a_gateway_checks_thousands_of_headers_in_a_second(record_property):
    """The goal of 20,000 is that of the row `bitcoin.headers_per_second`, on a machine at rest."""
    headers = made(4000)
    chain = Chain(REGTEST)
    began = time.process_time()
    for at in range(1, 4001, 2000):
        chain.add(headers[at : at + 2000], NOW)
    rate = 4000 / (time.process_time() - began)
    record_property("measured", f"{rate:,.0f} headers a second")
    assert rate > 5000
