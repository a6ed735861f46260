"""Transactions of boards on their way into the network: who hears of them and when, and what he gets who asks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from made_bitcoin import Stranger, ours
from picoswarm_gateway.families.bitcoin import messages as m
from picoswarm_gateway.families.bitcoin import sends as sends_module
from picoswarm_gateway.families.bitcoin.blocks import transaction, without_witness
from picoswarm_gateway.families.bitcoin.messages import WTX
from picoswarm_gateway.families.bitcoin.sends import NAMES, SCHEMA, Sends, Sent
from picoswarm_gateway.families.bitcoin.wire import Malformed
from picoswarm_gateway.state import State
from small_mesh import until

OUTPUT = b"\1" + (1000).to_bytes(8, "little") + b"\3\x51\x52\x53"
BODY = b"\1" + b"\7" * 32 + bytes(4) + b"\0" + b"\xff" * 4 + OUTPUT
PLAIN = b"\2\0\0\0" + BODY + bytes(4)
WHOLE = b"\2\0\0\0\0\1" + BODY + b"\1\5hello" + bytes(4)


def test_a_transaction_without_its_witness_is_the_one_that_its_id_is_of():
    assert without_witness(WHOLE) == PLAIN == without_witness(PLAIN)
    assert transaction(WHOLE).txid == transaction(PLAIN).txid != transaction(WHOLE).wtxid


@asynccontextmanager
async def with_one():
    """(our side with one transaction that waits, a stranger)."""
    async with ours() as we, Stranger(we.peers) as stranger:
        sent = Sent(transaction(WHOLE), 0)
        we.sends._keep(sent)
        await stranger.greet()
        yield we, stranger, sent


@pytest.mark.parametrize(
    ("kind", "hash32", "bytes_of"),
    [
        (m.TX, transaction(WHOLE).txid, PLAIN),
        (m.TX | m.WITNESS_FLAG, transaction(WHOLE).txid, WHOLE),
        (m.WTX, transaction(WHOLE).wtxid, WHOLE),
    ],
)
def test_who_asks_for_a_witness_gets_it_and_who_knows_none_does_not(kind, hash32, bytes_of):
    async def story():
        async with with_one() as (_, stranger, sent):
            stranger.say("getdata", m.encode_inventory([(kind, hash32)]))
            assert await stranger.hear("tx") == bytes_of
            await until(lambda: sent.state == sends_module.TAKEN)

    asyncio.run(story())


def test_we_say_that_we_know_witnesses():
    async def story():
        async with ours() as we, Stranger(we.peers) as stranger:
            stranger.say("version", m.Version(70016, 9, 0, 7, "", 0, True).encode(m.Address(bytes(4), 0)))
            assert m.Version.decode(await stranger.hear("version")).services == m.WITNESS

    asyncio.run(story())


def test_a_new_peer_hears_of_it_a_moment_after_the_handshake_and_again_when_it_comes_again():
    async def story():
        async with with_one() as (we, stranger, sent):
            stranger.say("ping", bytes(8))
            await stranger.hear("pong")
            assert not any(command == "inv" for command, _ in stranger.heard)
            wanted = m.encode_inventory([(m.WTX, sent.transaction.wtxid)])
            assert await stranger.hear("inv") == wanted
            async with Stranger(we.peers) as again:
                await again.greet()
                assert await again.hear("inv") == wanted
            await until(lambda: len(sent.announced) == 1)

    asyncio.run(story())


def test_it_is_told_of_again_as_long_as_no_block_has_it(monkeypatch):
    monkeypatch.setattr(sends_module, "AGAIN_S", 0.3)

    async def story():
        async with with_one() as (_, stranger, _sent):
            for _ in range(3):
                await stranger.hear("inv")

    asyncio.run(story())


def test_it_is_seen_where_a_peer_gives_it_back_or_tells_of_it(monkeypatch):
    monkeypatch.setattr(sends_module, "PROBE_S", 0.1)

    async def story():
        async with with_one() as (_, stranger, sent):
            stranger.say("getdata", m.encode_inventory([(m.WTX, sent.transaction.wtxid)]))
            asked = m.decode_inventory(await stranger.hear("getdata"))
            assert asked == [(m.WTX, sent.transaction.wtxid)] and sent.state == sends_module.TAKEN
            stranger.say("tx", WHOLE)
            await until(lambda: sent.state == sends_module.SEEN)
        async with with_one() as (_, stranger, sent):
            stranger.say("inv", m.encode_inventory([(m.TX, sent.transaction.txid)]))
            await until(lambda: sent.state == sends_module.SEEN)

    asyncio.run(story())


def test_transactions_that_are_none_or_that_no_proof_can_name_are_refused(tmp_path):
    short = b"\2\0\0\0\1" + b"\7" * 32 + bytes(4) + b"\0" + b"\xff" * 4 + b"\1" + bytes(8) + b"\4" + bytes(4) + bytes(4)
    assert len(short) == 64

    async def story():
        async with ours() as we:
            sends = Sends(we.peers, lambda sent: None)
            db = State(tmp_path / "state.sqlite")
            await db.open()
            await db.adopt("bitcoin", SCHEMA)
            await sends.load(db, "regtest")
            for wrong in (b"", PLAIN + b"\0", PLAIN[:-1], short, bytes(400_001)):
                with pytest.raises(Malformed):
                    await sends.add(wrong, 0)
            await sends.add(WHOLE, 7)
            later = Sends(we.peers, lambda sent: None)
            await later.load(db, "regtest")
            assert list(later.all) == [transaction(WHOLE).txid], "it outlives a restart"
            await db.close()

    asyncio.run(story())


def test_peers_that_come_and_go_leave_little_behind_and_a_transaction_that_comes_twice_is_one(tmp_path):
    async def story():
        news = []
        sends = Sends(SimpleNamespace(up=list), news.append)
        db = State(tmp_path / "state.sqlite")
        await db.open()
        await db.adopt("bitcoin", SCHEMA)
        await sends.load(db, "regtest")
        sent, same = await asyncio.gather(sends.add(WHOLE, 7), sends.add(WHOLE, 7))
        assert sent is same is sends.all[sent.transaction.txid]
        for port in range(2 * NAMES):  # an inbound peer has another port each time
            session = SimpleNamespace(send=lambda command, payload: True, is_outbound=False)
            peer = SimpleNamespace(name=f"127.0.0.1:{port}", session=session, kept={})
            sends.on_peer(peer, "wanted", [(WTX, sent.transaction.wtxid)])
            sends.on_peer(peer, "inventory", [(WTX, sent.transaction.wtxid)])
            sends.on_peer(peer, "down", "")
        assert len(sent.taken) == len(sent.seen) == NAMES and not sent.probes
        assert len(news) == 2 * NAMES and sent.encode()[1] == 255
        await db.close()

    asyncio.run(story())
