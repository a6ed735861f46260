"""Nodes of CometBFT and Ethereum that a test makes up: right, or wrong in one way. They are found on 127.0.0.1."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm.commits import Commit, read_header, validators_hash
from picoswarm_gateway.families.cometbft import messages as comet
from picoswarm_gateway.families.cometbft.peer import Peer, shake_hands
from picoswarm_gateway.families.cometbft.proto import blob, message, number
from picoswarm_gateway.families.cometbft.rpc import header_bytes
from picoswarm_gateway.families.cometbft.secret import Refused, node_id
from picoswarm_gateway.families.cometbft.table import CometTable
from picoswarm_gateway.families.ethereum import messages as eth
from picoswarm_gateway.families.ethereum import rlp
from picoswarm_gateway.families.ethereum.keys import keccak256, public_bytes
from picoswarm_gateway.families.ethereum.peer import Refused as Gone
from picoswarm_gateway.families.ethereum.peer import _Line
from picoswarm_gateway.families.ethereum.record import Node
from picoswarm_gateway.families.ethereum.rlpx import Rlpx
from picoswarm_gateway.families.ethereum.table import EthereumTable
from small_mesh import HOST, free_port

CHAIN = "made-up"
NETWORK = 4242
GENESIS = bytes(range(32))
SLOW_S = 0.2  # for each answer
ETH_STATUS, ETH_VERSION = 16, 68


class MadeChain:
    """A chain of CometBFT with one validator, whose blocks can be verified."""

    def __init__(self, heights: int, began: float | None = None) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\5")
        self.validators = [(self.key.public_key().public_bytes_raw(), 10)]
        self.began = began or time.time() - 2 * heights
        self.headers: dict[int, bytes] = {}
        self.commits: dict[int, bytes] = {}
        self.txs: dict[int, list[bytes]] = {}
        for height in range(1, heights + 1):
            self._make(height)

    @property
    def height(self) -> int:
        return len(self.headers)

    def genesis(self, path: Path) -> str:
        """A genesis file; its path."""
        value = base64.b64encode(self.validators[0][0]).decode()
        validator = {"pub_key": {"type": "tendermint/PubKeyEd25519", "value": value}, "power": "10"}
        path.write_text(json.dumps({"chain_id": CHAIN, "validators": [validator]}))
        return str(path)

    def _make(self, height: int) -> None:
        seconds = int(self.began) + height
        digest = validators_hash(self.validators).hex()
        told = {
            "version": {"block": "11"},
            "chain_id": CHAIN,
            "height": str(height),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)),
            "last_block_id": {},
            **dict.fromkeys(("last_commit_hash", "data_hash", "consensus_hash", "app_hash"), "00" * 32),
            **dict.fromkeys(("last_results_hash", "evidence_hash"), "00" * 32),
            "validators_hash": digest,
            "next_validators_hash": digest,
            "proposer_address": sha256(self.validators[0][0]).hexdigest()[:40],
        }
        raw = self.headers[height] = header_bytes(told)
        header = read_header(raw)
        block_id = blob(1, header.hash) + blob(2, number(1, 1) + blob(2, bytes(range(32))), True)

        def line(signature: bytes) -> bytes:
            address = sha256(self.validators[0][0]).digest()[:20]
            return number(1, 2) + blob(2, address) + blob(3, number(1, seconds), True) + blob(4, signature)

        counted = Commit(header, 0, block_id, self.validators, None)
        _, _, text = counted.vote(0, line(bytes(64)))
        signed = line(self.key.sign(text))
        self.commits[height] = number(1, height) + blob(3, block_id, True) + blob(4, signed, True)

    def block(self, height: int) -> bytes:
        """As a peer sends it."""
        txs = b"".join(blob(1, tx) for tx in self.txs.get(height, ()))
        last = blob(4, self.commits[height - 1], True) if height > 1 else b""
        return blob(3, blob(1, blob(1, self.headers[height], True) + blob(2, txs, True) + last, True), True)


class MadeNode:
    """A server on 127.0.0.1 that behaves in a way: `behave` is the name of a method, and may be changed at any time."""

    def __init__(self, behave: str) -> None:
        self.behave = behave
        self.port = free_port()
        self.came = 0  # connections
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with suppress(Refused, Gone, OSError, TimeoutError, rlp.Malformed):
                await getattr(self, self.behave)(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def silent(self, reader, writer) -> None:
        await asyncio.sleep(3600)

    async def hangs_up(self, reader, writer) -> None:
        return

    async def garbage(self, reader, writer) -> None:
        writer.write(os.urandom(5000))
        await asyncio.sleep(3600)


class MadeComet(MadeNode):
    """A node of a MadeChain."""

    def __init__(self, behave: str, chain: MadeChain, seed: int = 1) -> None:
        super().__init__(behave)
        self.chain = chain
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(31) + bytes((seed,)))
        self.id = node_id(self.key.public_key().public_bytes_raw()).hex()
        self.claims = 0  # a height
        self.asked: list[int] = []

    @property
    def address(self) -> str:
        return f"{self.id}@{HOST}:{self.port}"

    def table(self, genesis: str, **more: object) -> CometTable:
        return CometTable(**{"chain": CHAIN, "genesis": genesis, "peers": [self.address], "connections": 1, **more})

    async def _meet(self, reader, writer, network: str = CHAIN) -> Peer:
        return await shake_hands(reader, writer, self.key, comet.NodeInfo(self.id, network, "made", "tcp://127.0.0.1:1"))

    async def honest(self, reader, writer) -> None:
        peer = await self._meet(reader, writer)
        peer.mux.channels[comet.BLOCKSYNC].longest = 1 << 24
        peer.send(comet.BLOCKSYNC, comet.status(self.claims or self.chain.height, 1))
        await peer.run(self._answer)

    def _answer(self, peer: Peer, channel: int, text: bytes) -> None:
        if channel == comet.BLOCKSYNC and (told := comet.blocksync(text))[0] == "request":
            self.asked.append(told[1])
            if self.behave == "withholds":
                return
            if told[1] in self.chain.headers:
                wait = SLOW_S if self.behave == "slow" else 0
                asyncio.get_running_loop().call_later(wait, peer.send, comet.BLOCKSYNC, self.chain.block(told[1]))

    withholds = honest

    async def slow(self, reader, writer) -> None:
        await asyncio.sleep(1)
        await self.honest(reader, writer)

    async def wrong_chain(self, reader, writer) -> None:
        await self._meet(reader, writer, "another")

    async def garbage_after(self, reader, writer) -> None:
        peer = await self._meet(reader, writer)
        peer._secret.send(os.urandom(3000))
        writer.write(bytes(peer._secret.out))
        await peer.run(lambda *_: None)

    async def reset(self, reader, writer) -> None:
        peer = await self._meet(reader, writer)
        peer._secret.send(message(bytes(900)))
        writer.write(bytes(peer._secret.out)[:500])
        await writer.drain()


class MadeEthereum(MadeNode):
    """A node of a network with `head` + 1 blocks, of eth/68."""

    def __init__(self, behave: str, head: int = 40) -> None:
        super().__init__(behave)
        self.key = PrivateKey(bytes(31) + b"\x21")
        self.headers: list[list[bytes]] = []
        self.asked = 0
        self.line: _Line | None = None
        parent = bytes(32)
        for n in range(head + 1):
            items = [
                parent,
                bytes(32),
                bytes(20),
                bytes(32),
                bytes(32),
                bytes(32),
                random.Random(n).randbytes(256),
                b"",
                rlp.number(n),
            ]
            items += [b"\1", b"", rlp.number(1_700_000_000 + n), b"", bytes(32), bytes(8), b"\7"]
            self.headers.append(items)
            parent = keccak256(rlp.encode(items))

    @property
    def head(self) -> bytes:
        return keccak256(rlp.encode(self.headers[-1]))

    @property
    def enode(self) -> str:
        return Node(public_bytes(self.key.public_key), HOST, self.port, self.port).enode

    def table(self, **more: object) -> EthereumTable:
        settings = {"network": NETWORK, "genesis": GENESIS.hex(), "peers": [self.enode], "connections": 1}
        return EthereumTable(**{**settings, "port": 0, "poll_s": 0.1, **more})

    async def _meet(self, reader, writer, genesis: bytes = GENESIS) -> _Line:
        line = self.line = _Line(reader, writer, Rlpx(self.key))
        while not line.rlpx.is_ready:
            await line.read()
        key = public_bytes(self.key.public_key)
        line.send(eth.HELLO, eth.Hello("made", [("eth", ETH_VERSION)], self.port, key).encode())
        await line.next(5)
        line.is_compressed = True
        line.rlpx.longest = 1 << 24
        line.send(ETH_STATUS, eth.Status(ETH_VERSION, NETWORK, genesis, (bytes(4), 0), self.head).encode())
        await line.next(5)
        return line

    async def honest(self, reader, writer) -> None:
        line = await self._meet(reader, writer)
        while True:
            kind, body = await line.next(3600)
            if kind == eth.PING:
                line.send(eth.PONG, b"\xc0")
            if kind != eth.GET_HEADERS:
                continue
            self.asked += 1
            if self.behave == "withholds":
                continue
            if self.behave == "goes_when_asked":
                return
            if self.behave == "slow":
                await asyncio.sleep(SLOW_S)
            number, (start, most, *_) = eth.answer(body)
            at = (
                len(self.headers) - 1 if start == self.head else rlp.integer(start) if len(start) < 32 else len(self.headers)
            )
            line.send(eth.HEADERS, eth.request(number, self.headers[at : at + rlp.integer(most)]))

    withholds = goes_when_asked = honest

    async def slow(self, reader, writer) -> None:
        await asyncio.sleep(1)
        await self.honest(reader, writer)

    async def wrong_chain(self, reader, writer) -> None:
        await self._meet(reader, writer, bytes(32))

    async def garbage_after(self, reader, writer) -> None:
        line = await self._meet(reader, writer)
        line.rlpx.send(os.urandom(500))
        line.flush()
        await asyncio.sleep(3600)

    async def reset(self, reader, writer) -> None:
        line = await self._meet(reader, writer)
        line.rlpx.send(bytes(900))
        writer.write(bytes(line.rlpx.out)[:300])
        await writer.drain()

    async def never_reads(self, reader, writer) -> None:
        line = await self._meet(reader, writer)
        asked = 0
        while True:
            asked += 1
            line.send(eth.GET_HEADERS, eth.request(asked, [0, 64, 0, 0]))
            await writer.drain()
            await asyncio.sleep(0)
