"""Peers of Bitcoin that a test makes up, right, or wrong in one way, on 127.0.0.1; and a family's peers for them to meet."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress

import structlog
from mining import mine, mine_more
from picoswarm_gateway.families.bitcoin import messages as m
from picoswarm_gateway.families.bitcoin.blocks import merkle_root, transaction
from picoswarm_gateway.families.bitcoin.chain import Chain
from picoswarm_gateway.families.bitcoin.filters import LOW_BITS, RANGE, filtered, siphash
from picoswarm_gateway.families.bitcoin.follower import Follower
from picoswarm_gateway.families.bitcoin.networks import NETWORKS, Network, double_sha256
from picoswarm_gateway.families.bitcoin.peers import Peers
from picoswarm_gateway.families.bitcoin.sends import Sends
from picoswarm_gateway.families.bitcoin.session import Own
from picoswarm_gateway.families.bitcoin.table import BitcoinTable
from picoswarm_gateway.families.bitcoin.wire import MOST_HEADERS, Frames, size
from small_mesh import HOST, until

REGTEST = NETWORKS["regtest"]
VERSION = m.Version(70016, 9, 1_700_000_000, 12345, "/stranger/", 0, True).encode(m.Address(bytes(4), 0))


class NoStore:
    async def save(self, change) -> None:
        pass


class Ours:
    """The peers and the chain of a family, without its boards. `told`: what they told of peers."""

    def __init__(self, table: BitcoinTable, chain: Chain, store) -> None:
        self.chain = chain
        self.told: list[tuple] = []
        own = Own(lambda: chain.tip.height, time.time)
        self.peers = Peers(table, chain.network, own, self._on_peer, structlog.get_logger("test"))
        self.follower = Follower(chain, store, self.peers)
        self.sends = Sends(self.peers, lambda sent: None)

    def _on_peer(self, peer, kind, value) -> None:
        self.told.append((kind, value))
        self.follower.on_peer(peer, kind, value)
        self.sends.on_peer(peer, kind, value)

    async def keep_time(self) -> None:
        while True:
            self.follower.tick()
            self.sends.tick()
            await asyncio.sleep(0.1)


@asynccontextmanager
async def ours(chain: Chain | None = None, store=None, nodes=(), **more):
    """A family's side. It listens on a free port; it knows `nodes`, and dials them where `only_peers` is false."""
    if chain is None:
        chain = Chain(REGTEST)
        chain.add(mine_more([REGTEST.genesis], 10)[1:], int(time.time()))
    row = {"network": "regtest", "only_peers": not nodes, "dns_seeds": False, "listen": -1, "inbound": 8, **more}
    found = Ours(BitcoinTable(**row), chain, store or NoStore())
    for node in nodes:
        found.peers.book.add(node.address, node.address)
    await found.peers.listen()
    jobs = found.peers.run(), found.follower.run(), found.keep_time()
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield found
        assert not any(task.done() for task in tasks), "they run for ever"
    finally:
        for task in tasks:
            task.cancel()
        await found.peers.close()


class Stranger:
    """A connection to our listener, by hand."""

    def __init__(self, peers: Peers, transport=None, network: Network = REGTEST) -> None:
        self.peers = peers
        self.transport = transport or Frames(network.magic)
        self.heard: list[tuple[str, bytes]] = []

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(HOST, self.peers.listening_on)
        self.writer.write(self.transport.opening)
        return self

    async def __aexit__(self, *exception):
        self.writer.transport.abort()

    def say(self, command: str, payload: bytes = b"") -> None:
        self.writer.write(self.transport.pack(command, payload))

    async def hear(self, command: str) -> bytes:
        """The next message of this name."""
        async with asyncio.timeout(30):
            while True:
                for each in self.heard:
                    if each[0] == command:
                        self.heard.remove(each)
                        return each[1]
                await self._read()

    async def _read(self) -> None:
        data = await self.reader.read(65_536)
        if not data:
            raise ConnectionResetError
        self.transport.feed(data)
        self.writer.write(self.transport.answer())
        while message := self.transport.next():
            self.heard.append(message)

    async def agree(self) -> None:
        """The keys of the second transport."""
        async with asyncio.timeout(30):
            while not self.transport.is_ready:
                await self._read()

    async def greet(self) -> None:
        """The whole handshake."""
        before = len(self.peers.up())
        self.say("version", VERSION)
        await self.hear("version")
        for command in ("wtxidrelay", "sendaddrv2", "verack"):
            self.say(command)
        await self.hear("verack")
        await until(lambda: len(self.peers.up()) > before)

    async def is_closed(self) -> bool:
        """Whether the other side ends it."""
        with suppress(ConnectionResetError, BrokenPipeError):
            async with asyncio.timeout(30):
                while await self.reader.read(65_536):
                    pass
        return True

    async def tell_headers(self, headers: list[bytes]) -> None:
        """Answer questions for headers from this chain, whose first is the genesis, until the connection is closed."""
        places = {double_sha256(header): at for at, header in enumerate(headers)}
        with suppress(ConnectionResetError, BrokenPipeError):
            while True:
                known, _ = m.decode_locator(await self.hear("getheaders"))
                at = next((places[each] for each in known if each in places), 0) + 1
                self.say("headers", m.encode_headers(headers[at : at + MOST_HEADERS]))
                await self.writer.drain()


class MadeNode:
    """A full node that can be dialed, by the first transport. `blocks` and `filters` are by the hash of the block; what it
    does not have it says that it has not. `asked`: commands that came."""

    services = m.NETWORK | m.WITNESS | m.FILTERS

    def __init__(self, headers: list[bytes], network: Network = REGTEST) -> None:
        self.headers = headers
        self.blocks: dict[bytes, bytes] = {}
        self.filters: dict[bytes, bytes] = {}
        self.asked: Counter[str] = Counter()
        self._network = network
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._on_socket, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    @property
    def address(self) -> m.Address:
        return m.Address(socket.inet_aton(HOST), self.port)

    @property
    def is_connected(self) -> bool:
        return bool(self._writers)

    def announce(self) -> None:
        """Tell of the newest block."""
        for writer in self._writers:
            self._say(writer, "headers", m.encode_headers(self.headers[-1:]))

    def _say(self, writer, command: str, payload: bytes = b"") -> None:
        writer.write(Frames(self._network.magic).pack(command, payload))

    async def _on_socket(self, reader, writer) -> None:
        frames = Frames(self._network.magic)
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(65_536):
                frames.feed(data)
                while message := frames.next():
                    self.asked[message[0]] += 1
                    self._answer(writer, *message)
        self._writers.discard(writer)
        writer.transport.abort()

    def _answer(self, writer, command: str, payload: bytes) -> None:
        if command == "version":
            height = len(self.headers) - 1
            nonce = self.port
            told = m.Version(70016, self.services, int(time.time()), nonce, "/made up/", height, True)
            self._say(writer, "version", told.encode(m.Address(bytes(4), 0)))
            self._say(writer, "verack")
        elif command == "ping":
            self._say(writer, "pong", payload)
        elif command == "getheaders":
            places = {double_sha256(header): at for at, header in enumerate(self.headers)}
            known, _ = m.decode_locator(payload)
            at = next((places[each] for each in known if each in places), 0) + 1
            self._say(writer, "headers", m.encode_headers(self.headers[at : at + MOST_HEADERS]))
        elif command == "getdata":
            for kind, hash32 in m.decode_inventory(payload):
                if hash32 in self.blocks:
                    self._say(writer, "block", self.blocks[hash32])
                else:
                    self._say(writer, "notfound", m.encode_inventory([(kind, hash32)]))
        elif command == "getcfilters" and payload[5:] in self.filters:
            data = self.filters[payload[5:]]
            self._say(writer, "cfilter", b"\0" + payload[5:] + size(len(data)) + data)


def coinbase(*outputs: tuple[int, bytes], salt: int = 0) -> bytes:
    """The first transaction of a block, without a witness."""
    head = b"\1\0\0\0\1" + bytes(32) + b"\xff" * 4 + b"\4" + salt.to_bytes(4, "little") + b"\xff" * 4
    body = b"".join(amount.to_bytes(8, "little") + size(len(script)) + script for amount, script in outputs)
    return head + size(len(outputs)) + body + bytes(4)


def a_block(before: bytes, *transactions: bytes) -> tuple[bytes, bytes]:
    """(header, block) that follows a header, with these transactions."""
    root, _ = merkle_root([transaction(each).txid for each in transactions])
    header = mine(before, int.from_bytes(before[68:72], "little") + 600, root=root)
    return header, header + size(len(transactions)) + b"".join(transactions)


def encode_filter(hash32: bytes, transactions: list[bytes], without: bytes = b"") -> bytes:
    """The filter of a block's outputs (BIP158), perhaps without a script that it should have."""
    scripts = filtered(transaction(each) for each in transactions) - {without}
    count = len(scripts)
    values = sorted(siphash(hash32[:16], script) * (count * RANGE) >> 64 for script in scripts)
    bits, last = "", 0
    for value in values:
        step, last = value - last, value
        bits += "1" * (step >> LOW_BITS) + "0" + f"{step & (1 << LOW_BITS) - 1:0{LOW_BITS}b}"
    bits += "0" * (-len(bits) % 8)
    return size(count) + (int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b"")
