"""What strangers send to the listener of the Bitcoin family: each malformed message of the catalogue closes the
connection or counts against it, and memory stays flat (issue 9). And what a well-behaved peer gets there."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc
from contextlib import asynccontextmanager

import pytest
from made_bitcoin import REGTEST, VERSION, Stranger, ours
from mining import mine
from picoswarm_gateway.families.bitcoin import messages as m
from picoswarm_gateway.families.bitcoin import peers as peers_module
from picoswarm_gateway.families.bitcoin.bip324 import DialTransport
from picoswarm_gateway.families.bitcoin.networks import double_sha256
from picoswarm_gateway.families.bitcoin.wire import Frames, size
from small_mesh import HOST, until

HASH = b"\7" * 32


@asynccontextmanager
async def listener(**more):
    """The peers of a family that listens on a free port, with a chain of ten blocks."""
    async with ours(**more) as we:
        we.peers.told, we.peers.chain = we.told, we.chain
        yield we.peers


def raw(command: bytes, payload: bytes, *, count: int | None = None, check: bytes | None = None) -> bytes:
    """A message whose header may lie."""
    count = len(payload) if count is None else count
    check = double_sha256(payload)[:4] if check is None else check
    return REGTEST.magic + command.ljust(12, b"\0") + count.to_bytes(4, "little") + check + payload


def message(command: str, payload: bytes) -> bytes:
    return raw(command.encode(), payload)


def times(count: int, one: bytes) -> bytes:
    return size(count) + one * count


INVENTORY = (2).to_bytes(4, "little") + HASH
# After the handshake: what is sent at once closes the connection.
CLOSES = {
    "another network": b"\xf9\xbe\xb4\xd9" + raw(b"ping", bytes(8))[4:],
    "a wrong checksum": raw(b"ping", bytes(8), check=bytes(4)),
    "a payload longer than its command may have": raw(b"ping", b"", count=9),
    "a payload of four gigabytes": raw(b"block", b"", count=0xFFFFFFFF),
    "an unknown command that is too long": raw(b"novelty", b"", count=65_537),
    "a command without a name": raw(b"", b""),
    "a command that is no text": raw(b"pi\xffng", bytes(8)),
    "a ping that is too short": message("ping", bytes(7)),
    "50,001 items of inventory": message("inv", size(50_001) + INVENTORY * 10),
    "an inventory longer than it says": message("inv", times(1, INVENTORY) + b"\0"),
    "an inventory shorter than it says": message("inv", size(40_000) + INVENTORY),
    "a size in a form that is too long": message("inv", b"\xfd\1\0" + INVENTORY),
    "a size of eight bytes": message("inv", b"\xff" + b"\xff" * 8),
    "1,001 addresses": message("addr", size(1001) + bytes(30) * 10),
    "an address of a wrong length": message("addrv2", b"\1" + bytes(4) + b"\0\1\5" + bytes(5 + 2)),
    "2,001 headers": message("headers", size(2001) + bytes(81) * 10),
    "a header with transactions": message("headers", b"\1" + REGTEST.genesis + b"\1"),
    "a header without proof of work": message("headers", b"\1" + REGTEST.genesis[:4] + REGTEST.genesis_hash + bytes(45)),
    "102 points of a locator": message("getheaders", bytes(4) + times(102, HASH) + HASH),
    "a second version": message("version", VERSION),
    "verack after the handshake": message("verack", b""),
    "sendaddrv2 after the handshake": message("sendaddrv2", b""),
    "wtxidrelay after the handshake": message("wtxidrelay", b""),
    "verack with a payload": raw(b"verack", b"x"),
}
# What is an offence, but a forgivable one.
COUNTS = {
    "a list of no addresses": message("addr", b"\0"),
    "a block that nobody asked for": message("block", REGTEST.genesis + b"\1" + bytes(60)),
    "a transaction that nobody asked for": message(
        "tx", b"\1\0\0\0\1" + bytes(36) + b"\0" + bytes(4) + b"\1" + bytes(8) + b"\0" + bytes(4)
    ),
    "a filter that nobody asked for": message("cfilter", b"\0" + HASH + b"\1\0"),
    "a question for 50,000 blocks": message("getdata", times(50_000, INVENTORY)),
}


@pytest.mark.parametrize("what", CLOSES)
def test_the_connection_is_closed_for(what):
    async def story():
        async with listener() as peers, Stranger(peers) as stranger:
            await stranger.greet()
            stranger.writer.write(CLOSES[what])
            assert await stranger.is_closed()
            await until(lambda: not peers.all)
            assert peers.chain.tip.height == 10

    asyncio.run(story())


@pytest.mark.parametrize("what", COUNTS)
def test_it_counts_against_the_peer_to_send(what):
    async def story():
        async with listener() as peers, Stranger(peers) as stranger:
            await stranger.greet()
            stranger.writer.write(COUNTS[what])
            (peer,) = peers.up()
            await until(lambda: peer.session.score > 0)
            assert peer in peers.all
            for _ in range(150):
                stranger.writer.write(COUNTS[what])
                await asyncio.sleep(0.001)
                if not peers.all:
                    break
            assert await stranger.is_closed()

    asyncio.run(story())


@pytest.mark.parametrize(
    "said",
    [
        [("verack", b"")],
        [("ping", bytes(8))],
        [("version", VERSION), ("ping", bytes(8))],
        [("version", VERSION), ("inv", times(1, INVENTORY))],
        [("version", VERSION), ("version", VERSION)],
        [("version", VERSION[:60])],
        [("version", VERSION[:80] + size(257) + bytes(257) + bytes(5))],
        [("version", (60000).to_bytes(4, "little") + VERSION[4:])],
    ],
)
def test_a_wrong_order_or_version_ends_the_handshake(said):
    async def story():
        async with listener() as peers, Stranger(peers, DialTransport(REGTEST.magic)) as stranger:
            await stranger.agree()
            for command, payload in said:
                stranger.say(command, payload)
            assert await stranger.is_closed()
            assert not peers.up()

    asyncio.run(story())


def test_random_bytes_get_a_key_and_never_a_message():
    """What is not the first transport is taken for the second: then only its keys make sense."""

    async def story():
        async with listener() as peers, Stranger(peers) as stranger:
            stranger.writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300)
            assert await stranger.is_closed()
            assert not peers.told or peers.told == [("down", peers.told[0][1])]

    asyncio.run(story())


def test_memory_stays_flat_under_all_of_it():
    async def story():
        async with listener(inbound=64) as peers:

            async def all_of_it() -> None:
                for data in (*CLOSES.values(), *COUNTS.values()):
                    peers.book._banned.clear()
                    async with Stranger(peers) as stranger:
                        await stranger.greet()
                        stranger.writer.write(data)
                        await stranger.writer.drain()
                    await until(lambda: not peers.all)
                    peers.told.clear()

            await all_of_it()
            tracemalloc.start()
            await all_of_it()
            gc.collect()  # what lies in circles counts only where nothing fetches it
            before, _ = tracemalloc.get_traced_memory()
            await all_of_it()
            _, most = tracemalloc.get_traced_memory()
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert after - before < 100_000, (before, after)
            assert most < 32_000_000  # what is under way of one message, as the stranger and as the listener has it

    asyncio.run(story())


def test_a_slow_message_of_a_great_size_is_held_no_further_than_its_limit():
    """The header promises a block; a stranger sends a byte now and then. What is held is what came."""

    async def story():
        async with listener() as peers, Stranger(peers) as stranger:
            await stranger.greet()
            stranger.writer.write(raw(b"block", b"", count=4_000_000, check=bytes(4)) + bytes(1000))
            (peer,) = peers.up()
            await until(lambda: peer.transport._inner.held == 1000)

    asyncio.run(story())


def test_more_strangers_than_places_are_turned_away():
    async def story():
        async with listener(inbound=2) as peers, Stranger(peers) as one, Stranger(peers) as two:
            await one.greet()
            await two.greet()
            async with Stranger(peers) as three:
                assert await three.is_closed()
            assert peers.counts["turned_away"] == 1 and len(peers.up()) == 2

    asyncio.run(story())


@pytest.mark.parametrize("transport", [Frames, DialTransport])
def test_a_well_behaved_peer_gets_answers_by_either_transport(transport):
    async def story():
        async with listener() as peers, Stranger(peers, transport(REGTEST.magic)) as stranger:
            await stranger.agree()
            await stranger.greet()
            (peer,) = peers.up()
            assert peer.transport.is_encrypted == (transport is DialTransport)
            await stranger.hear("sendheaders")
            await stranger.hear("getheaders")
            stranger.say("ping", b"12345678")
            assert await stranger.hear("pong") == b"12345678"
            stranger.say("getheaders", m.encode_locator([REGTEST.genesis_hash]))
            headers = m.decode_headers(await stranger.hear("headers"))
            assert [double_sha256(each) for each in headers][-1] == peers.chain.tip.hash and len(headers) == 10
            for number in range(700):  # over three changes of the second transport's keys
                stranger.say("ping", number.to_bytes(8, "big"))
                assert await stranger.hear("pong") == number.to_bytes(8, "big")
            block = mine(peers.chain.tip.header, peers.chain.tip.time + 600)
            stranger.say("headers", m.encode_headers([block]))
            await until(lambda: peers.chain.tip.height == 11)
            stranger.say("getdata", m.encode_inventory([(m.TX, HASH)]))

    asyncio.run(story())


def test_we_know_ourselves_by_the_number_in_version():
    async def story():
        async with listener() as peers:
            with socket.socket() as free:
                free.bind((HOST, 0))
            peers._permanent.append(m.Address(socket.inet_aton(HOST), peers.listening_on))
            peers._table.transport = "v1"
            await until(lambda: peers.counts["failed"] >= 1)
            assert not peers.up()

    asyncio.run(story())


def test_one_address_of_the_internet_cannot_take_all_places(monkeypatch):
    monkeypatch.setattr(peers_module, "is_of_the_internet", lambda ip: True)

    async def story():
        async with listener() as peers:
            ends = [await asyncio.open_connection(HOST, peers.listening_on) for _ in range(6)]
            await until(lambda: peers.counts["inbound"] + peers.counts["turned_away"] == 6)
            assert peers.counts["inbound"] == peers_module.PER_IP
            for _, writer in ends:
                writer.close()

    asyncio.run(story())
