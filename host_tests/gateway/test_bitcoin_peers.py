"""How the Bitcoin family keeps its peers: whom it dials and leaves, and what it believes of clocks and addresses."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from made_bitcoin import REGTEST, VERSION, MadeNode, Stranger, ours
from picoswarm_gateway.families.bitcoin import book as book_module
from picoswarm_gateway.families.bitcoin import messages as m
from picoswarm_gateway.families.bitcoin import peers as peers_module
from picoswarm_gateway.families.bitcoin.book import BAN_S, Book
from picoswarm_gateway.families.bitcoin.chain import Chain
from picoswarm_gateway.families.bitcoin.session import BAN, Left, Own, Session
from small_mesh import HOST, free_port, until

WALL = 1_700_000_000
HASH = b"\7" * 32
PEER = m.Address(bytes((8, 8, 4, 4)), 8333)


def a_session(is_outbound: bool = True, told: list | None = None, ahead_s: int = 0) -> Session:
    """A session after its handshake, which was at second 0."""
    own = Own(lambda: 0, lambda: float(WALL))
    heard = told if told is not None else []
    session = Session(own, 1, PEER, is_outbound, lambda kind, value: heard.append((kind, value)), 0.0)
    version = m.Version(70016, m.NETWORK | m.WITNESS, WALL + ahead_s, 99, "/peer/", 0, True)
    session.receive("version", version.encode(PEER), 0.0)
    session.receive("verack", b"", 0.0)
    session.out.clear()
    return session


def still_there(session: Session, *seconds: float) -> None:
    for now in seconds:
        session.tick(now)


def test_a_handshake_that_takes_more_than_half_a_minute_is_ended():
    session = Session(Own(lambda: 0, lambda: float(WALL)), 1, PEER, True, lambda kind, value: None, 0.0)
    still_there(session, 29)
    with pytest.raises(Left, match="handshake"):
        session.tick(31)


@pytest.mark.parametrize(
    ("ask", "seconds"),
    [
        (lambda session: session.ask_headers([HASH], 0), 90),
        (lambda session: session.ask([(m.BLOCK, HASH)], 0), 30),
        (lambda session: session.ask_filter(1, HASH, 0), 30),
    ],
)
def test_a_peer_that_owes_an_answer_is_left(ask, seconds):
    session = a_session()
    ask(session)
    session.receive("ping", bytes(8), seconds - 1)  # it talks, but not of that
    still_there(session, seconds - 1)
    with pytest.raises(Left, match="no answer"):
        session.tick(seconds + 1)


def test_no_peer_is_blamed_for_time_in_which_we_did_nothing_ourselves():
    session = a_session()
    session.ask([(m.BLOCK, HASH)], 0)
    session.excuse(600)
    still_there(session, 629)
    with pytest.raises(Left, match="no answer"):
        session.tick(631)


def test_pings_measure_the_way_and_only_the_right_number_answers_one():
    session = a_session()
    still_there(session, 1)
    ((command, number),) = session.out
    assert command == "ping"
    session.receive("pong", bytes(8), 2.0)
    assert session.rtt_s is None
    session.receive("pong", number, 3.0)
    assert session.rtt_s == 2.0
    for now in range(10, 180, 10):
        session.receive("inv", b"\0", now)
    session.tick(125)
    with pytest.raises(Left, match="pong"):
        session.tick(190)


def test_a_silent_peer_is_left_after_five_minutes():
    session = a_session()
    still_there(session, 1)
    session.receive("pong", session.out[0][1], 2)
    session._pinged = 1e9  # nothing is asked of it
    still_there(session, 300)
    with pytest.raises(Left, match="silent"):
        session.tick(303)


def test_offences_add_up_and_halve_each_minute():
    session = a_session()
    session.blame(60, "one", 0)
    session.blame(60, "two", 60)
    assert session.score == 90
    session.blame(1, "three", 120)
    assert session.score == 46
    with pytest.raises(Left) as left:
        session.blame(BAN, "four", 120)
    assert left.value.is_ban


def test_a_banned_address_is_turned_away_for_a_day(monkeypatch):
    clock = [1000.0]
    book = Book(lambda: clock[0], "regtest")
    book.ban(PEER.ip)
    clock[0] += BAN_S - 1
    assert book.is_banned(PEER.ip)
    clock[0] += 2
    assert not book.is_banned(PEER.ip)

    async def story():
        async with ours() as we:
            we.peers.book.ban(socket.inet_aton(HOST))
            async with Stranger(we.peers) as stranger:
                assert await stranger.is_closed()
            assert we.peers.counts["turned_away"] == 1

    asyncio.run(story())


def test_who_was_banned_is_dialed_no_more():
    book = Book(lambda: 0.0, "regtest")
    book.add(PEER, PEER)
    assert book.pick(set(), set()).ip == PEER.ip
    book.ban(PEER.ip)
    assert book.pick(set(), set()) is None


def test_the_clock_is_set_by_the_middle_of_five_peers_and_by_no_more_than_seventy_minutes():
    async def story():
        async with ours() as we:
            for offset in (10, -3, 7, 4000):
                we.peers._offsets.append(offset)
            assert we.peers.offset_s == 0.0  # four are too few
            we.peers._offsets.append(8)
            assert we.peers.offset_s == 8
            we.peers._offsets[:] = [5000] * 9
            assert we.peers.offset_s == 0.0

    asyncio.run(story())
    assert a_session(ahead_s=42).offset_s == 42


def test_samples_of_clocks_come_from_peers_that_shook_hands():
    async def story():
        async with ours() as we, Stranger(we.peers) as stranger:
            await stranger.greet()
            assert len(we.peers._offsets) == 1 and we.peers._offsets[0] < -1000  # a stranger of 2023

    asyncio.run(story())


def test_addresses_are_understood_in_both_forms_and_those_of_tor_are_not_kept():
    four, six = m.Address(bytes((1, 2, 3, 4)), 8333, 9, WALL), m.Address(b"\x2a" + bytes(15), 1, 2**40, WALL)
    for is_v2 in (False, True):
        assert m.decode_addresses(m.encode_addresses([four, six], is_v2), is_v2) == [four, six]
    tor = WALL.to_bytes(4, "little") + b"\1" + b"\4" + b"\x20" + bytes(32) + b"\x20\x8d"
    assert m.decode_addresses(b"\1" + tor, True) == []


def test_addresses_that_peers_tell_of_go_into_the_book_and_are_told_on_once():
    async def story():
        async with ours() as we, Stranger(we.peers) as stranger:
            await stranger.greet()
            told = [m.Address(bytes((each, 20, 30, 40)), 8333, 9, WALL) for each in range(40, 90)]
            stranger.say("addrv2", m.encode_addresses(told, True))
            await until(lambda: len(we.peers.book) > 5)
            stranger.say("getaddr")
            heard = m.decode_addresses(await stranger.hear("addrv2"), True)
            assert set(heard) <= set(told) and 0 < len(heard) <= max(1, len(told) * 23 // 100)
            stranger.say("getaddr")
            stranger.say("ping", bytes(8))
            await stranger.hear("pong")
            assert not any(command == "addrv2" for command, _ in stranger.heard)

    asyncio.run(story())


def test_peers_that_we_dialed_are_not_told_addresses():
    told: list = []
    a_session(is_outbound=True, told=told).receive("getaddr", b"", 1.0)
    assert ("getaddr", None) not in told
    a_session(is_outbound=False, told=told).receive("getaddr", b"", 1.0)
    assert ("getaddr", None) in told


def test_one_teller_reaches_few_places_of_the_book():
    book = Book(lambda: 0.0, "main")
    liar = m.Address(bytes((66, 1, 1, 1)), 8333)
    for number in range(2000):
        book.add(m.Address(bytes((1 + number % 200, number // 200, 9, 9)), 8333), liar)
    assert len(book) <= book_module.NEW // 4, len(book)


def test_the_fee_that_a_peer_asks_for_is_noted():
    session = a_session()
    session.receive("feefilter", (1000).to_bytes(8, "little"), 1.0)
    assert session.fee == 1000


@pytest.fixture
def hurried(monkeypatch):
    """A second lasts a twentieth."""
    monkeypatch.setattr(peers_module, "TICK_S", 0.05)
    monkeypatch.setattr(peers_module, "SEED_AFTER_S", 0.0)


async def nodes(stack: AsyncExitStack, count: int) -> list[MadeNode]:
    return [await stack.enter_async_context(MadeNode([REGTEST.genesis])) for _ in range(count)]


def test_eight_peers_are_kept_and_one_that_goes_is_replaced(hurried):
    async def story():
        async with AsyncExitStack() as stack:
            made = await nodes(stack, 12)
            async with ours(nodes=made, transport="v1") as we:
                await until(lambda: len(we.peers.up()) == 8)
                for _ in range(20):  # and no more
                    await asyncio.sleep(0.05)
                    assert len(we.peers.all) <= 8
                gone = next(node for node in made if node.is_connected)
                await gone.__aexit__()
                await until(lambda: len(we.peers.up()) == 8 and not gone.is_connected)

    asyncio.run(story())


def test_no_two_peers_of_our_choice_are_of_one_network(hurried, monkeypatch):
    for module in (peers_module, book_module):
        monkeypatch.setattr(module, "group_of", lambda address: bytes((address.port % 3,)))

    async def story():
        async with AsyncExitStack() as stack:
            made = await nodes(stack, 12)
            groups = {node.port % 3 for node in made}
            async with ours(nodes=made, transport="v1") as we:
                await until(lambda: len(we.peers.up()) == len(groups))
                for _ in range(20):
                    await asyncio.sleep(0.05)
                    assert len(we.peers.all) == len(groups)

    asyncio.run(story())


@pytest.mark.parametrize("knows", ["nobody", "dead ones"])
def test_seeds_are_asked_while_nobody_can_be_reached_and_only_where_they_may_be(hurried, monkeypatch, knows):
    monkeypatch.setattr(peers_module, "MANY_FAILURES", 1)

    async def story():
        async with MadeNode([REGTEST.genesis]) as node, MadeNode([REGTEST.genesis]) as dead:
            await dead.__aexit__()
            chain = Chain(replace(REGTEST, port=node.port, seeds=(HOST,)))
            more = {"nodes": [dead] if knows == "dead ones" else (), "only_peers": False, "transport": "v1"}
            async with ours(chain, **more) as we:
                for _ in range(10):
                    await asyncio.sleep(0.05)
                assert not node.is_connected
                we.peers._table.dns_seeds = True
                await until(lambda: node.is_connected, 60)

    monkeypatch.setattr(peers_module, "CALM_S", 0.1)
    asyncio.run(story())


def test_a_configured_peer_is_dialed_beside_those_of_our_choice_and_again_and_again(hurried, monkeypatch):
    monkeypatch.setattr(peers_module, "RETRY_S", 0.05)

    async def story():
        async with AsyncExitStack() as stack:
            made = await nodes(stack, 2)
            port = free_port()
            more = {"outbound": 2, "transport": "v1", "peers": [f"{HOST}:{port}"]}
            async with ours(nodes=made, **more) as we:
                await until(lambda: len(we.peers.up()) == 2)
                await until(lambda: we.peers.counts["failed"] > 3)
                named = MadeNode([REGTEST.genesis])
                named._server = await asyncio.start_server(named._on_socket, HOST, port)
                named.port = port
                await until(lambda: len(we.peers.up()) == 3)
                await named.__aexit__()

    asyncio.run(story())


def test_a_peer_that_reads_nothing_is_left(monkeypatch):
    monkeypatch.setattr(peers_module, "QUEUE", 20_000)

    async def story():
        async with ours() as we, Stranger(we.peers) as stranger:
            await stranger.greet()
            (peer,) = we.peers.up()
            stranger.reader._transport.pause_reading()
            for _ in range(200):
                we.peers.guarded(peer, lambda: peer.session.send("tx", bytes(100_000)))
                await asyncio.sleep(0)
            await until(lambda: ("down", "it does not read") in we.told)

    asyncio.run(story())


def test_an_old_version_is_told_nothing_that_it_does_not_know():
    """Feature messages stand between version and verack, and only from 70016 on."""
    own = Own(lambda: 0, lambda: float(WALL))
    for protocol, features in ((70015, []), (70016, ["wtxidrelay", "sendaddrv2"])):
        session = Session(own, 5, PEER, False, lambda kind, value: None, 0.0)
        session.receive("version", protocol.to_bytes(4, "little") + VERSION[4:], 0.0)
        assert [command for command, _ in session.out] == ["version", *features, "verack"]
