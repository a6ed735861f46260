"""The family `cometbft`: a light peer of a CometBFT network (docs/cometbft.md).

verbs      submit: a transaction, until it is in a block; result: of one that was submitted; query: the application's
           state; light: a verified header with its proof, in pieces; subscribe: heights as they are verified
follow     two blocks from a peer by blocksync give a header and its commit, which chain.py verifies
discover   nodes of the configuration, and those that peers tell of (peer exchange)
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter, OrderedDict
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm.commits import merkle

from .. import Family, Refused, Unreachable
from ..mqtt.leases import Leases
from . import messages
from .chain import Chain, LightBlock, NotVerified, TooFar
from .messages import BLOCKSYNC, MEMPOOL, PEX, STATE, Block, NodeInfo
from .peer import Peer, shake_hands
from .proto import Malformed
from .rpc import NotFound, Rpc, RpcError, TxResult, Validators, validators_of
from .secret import Refused as Stranger
from .secret import node_id
from .table import CometTable

if TYPE_CHECKING:
    from ...gateway import Gateway

DIAL_S = 3.0
TX_MAX = 1 << 16
COMMITTED_S = 5.0  # that a board waits for a transaction; then it asks again (it gives a gateway 7 s)
WATCHED = 1000  # transactions that are waited for
SEEN = 10_000
LOOK_S = 0.5
STATUS_S = 10.0
BLOCK_S = 5.0
NEAR = 20  # blocks that are verified one by one; a longer way is shortened
BOOK = 1000  # addresses
PEX_S = 30.0
PEX_PEER_S = 10.0  # between two requests of one peer
BAN_S = 86400.0
NOWHERE = "0.0.0.0:0"  # an address is wanted of each node, and that of this one if it does not listen
UNKNOWN = 0xFFFFFFFF  # the code of a transaction where no RPC tells it
BOARD_MESSAGES = 8
BOARD_FILTERS = 4
PIECE_MAX = 4096


class CometFamily(Family):
    """See the module."""

    name = "cometbft"

    def __init__(self, table: CometTable) -> None:
        super().__init__()
        self.wanted = table.connections
        self.verbs = {
            "submit": self.submit,
            "result": self._tell_result,
            "query": self._query,
            "light": self._light,
            "subscribe": self.follow,
        }
        self.counts: Counter[str] = Counter(
            submitted=0, committed=0, seen=0, refused_peers=0, malformed=0, bans=0, blocks=0, addresses=0
        )
        self.peers: dict[str, Peer] = {}
        self._table = table
        self._book: OrderedDict[str, tuple[str, int]] = OrderedDict()  # id -> (ip, port)
        self._banned: dict[str, float] = {}
        self._asked: dict[str, float] = {}  # when a peer asked for addresses last
        self._watched: OrderedDict[bytes, TxResult | None] = OrderedDict()  # by hash
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: dict[int, asyncio.Future[Block]] = {}  # blocks that were asked for
        self._server: asyncio.Server | None = None
        self._loops: list[asyncio.Task] = []
        self._arrived = asyncio.Event()  # a new height
        self._verified = asyncio.Event()
        self.trouble = ""

    # Its life

    async def start(self, gateway: Gateway) -> None:
        """See Family."""
        table = self._table
        self._log = gateway.log.bind(family=self.name)
        self._gateway = gateway
        self._key = _own_key(gateway.folder / "cometbft.key")
        self.id = node_id(self._key.public_key().public_bytes_raw()).hex()
        self._rpc = Rpc(table.rpc) if table.rpc else None
        self.chain = Chain(table.chain, table.trusted_days, self._ask_validators)
        if table.genesis:
            with suppress(OSError, ValueError, KeyError):
                genesis = json.loads(await asyncio.to_thread(Path(table.genesis).expanduser().read_text))
                self.chain.trust_validators(validators_of(genesis["validators"]))
        self.leases = Leases(gateway.node.request, BOARD_MESSAGES, BOARD_FILTERS, lambda pattern: None)
        if table.listen:
            host, _, port = table.listen.rpartition(":")
            self._server = await asyncio.start_server(self._accept, host, int(port))
        self._loops = [
            gateway.loops.begin("cometbft: following", self._keep_following),
            gateway.loops.begin("cometbft: asking", self._keep_asking),
        ]

    async def stop(self) -> None:
        """See Family."""
        await self._gateway.loops.end(self._loops)
        if self._server:
            self._server.close()
        for peer in list(self.peers.values()):
            peer.close("the gateway ends")
        await self.leases.stop()
        if self._rpc:
            await self._rpc.close()

    def state(self) -> dict[str, Any]:
        """See Family."""
        state = "up" if self.peers and self.chain.tip else "starting" if not self.trouble else "down"
        return {
            "state": state,
            "chain": self._table.chain,
            "height": self.chain.height,
            "peers": [
                {"id": peer.id, "moniker": peer.info.moniker, "outbound": peer.is_outbound, "height": peer.height}
                for peer in self.peers.values()
            ],
            "trouble": self.trouble,
            "verified": self.chain.verified,
            "not_verified": self.chain.refused,
            "forks": self.chain.forks,
            "boards": len(self.leases),
            **self.counts,
        }

    # Peers

    def _info(self) -> NodeInfo:
        return NodeInfo(self.id, self._table.chain, "picoswarm", f"tcp://{self._table.listen or NOWHERE}")

    async def discover(self) -> list[str]:
        """See Family: first those of the configuration, then addresses that were told, in no order."""
        told = [f"{each}@{ip}:{port}" for each, (ip, port) in self._book.items() if each not in self.peers]
        random.shuffle(told)
        now = asyncio.get_running_loop().time()
        wanted = [*self._table.peers, *told]
        return [each for each in wanted if each[:40] not in self.peers and self._banned.get(each[:40], 0) <= now]

    async def dial(self, address: str) -> None:
        """See Family. `address`: id@host:port."""
        wanted, _, where = address.partition("@")
        host, _, port = where.rpartition(":")
        try:
            async with asyncio.timeout(DIAL_S):
                reader, writer = await asyncio.open_connection(host, int(port))
            peer = await shake_hands(reader, writer, self._key, self._info(), wanted)
        except (TimeoutError, OSError, Stranger) as error:
            self.trouble = f"{address}: {error or 'no answer'}"
            if isinstance(error, Stranger):
                self.counts["refused_peers"] += 1
                self._book.pop(wanted, None)
            raise Unreachable(self.trouble) from None
        await self._serve(peer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if sum(not peer.is_outbound for peer in self.peers.values()) >= self._table.inbound:
            writer.close()
            return
        try:
            peer = await shake_hands(reader, writer, self._key, self._info())
        except (TimeoutError, OSError, Stranger) as error:
            self.counts["refused_peers"] += 1
            self._log.info("a node was refused", why=str(error))
            return
        if self._banned.get(peer.id, 0) > asyncio.get_running_loop().time():
            return peer.close("it is banned")
        await self._serve(peer)

    async def _serve(self, peer: Peer) -> None:
        if peer.id in self.peers:
            return peer.close("there is a connection to it already")
        self.peers[peer.id] = peer
        self.trouble = ""
        self._log.info("a node of the chain", id=peer.id, moniker=peer.info.moniker, outbound=peer.is_outbound)
        self._greet(peer)
        try:
            await peer.run(self._on_message)
        finally:
            del self.peers[peer.id]
            self._log.info("a node of the chain went", id=peer.id, why=peer.trouble)

    def _greet(self, peer: Peer) -> None:
        peer.send(STATE, messages.new_round_step(max(1, self.chain.height)))
        peer.send(BLOCKSYNC, messages.STATUS_REQUEST)
        if peer.is_outbound and len(self._book) < BOOK:
            peer.asked_pex = peer.send(PEX, messages.PEX_REQUEST)

    def _on_message(self, peer: Peer, channel: int, text: bytes) -> None:
        try:
            {PEX: self._on_pex, STATE: self._on_step, MEMPOOL: self._on_txs, BLOCKSYNC: self._on_block}[channel](peer, text)
        except Malformed:
            self.counts["malformed"] += 1
            self._ban(peer, "it sent what is no message")
            raise

    def _ban(self, peer: Peer, why: str) -> None:
        self.counts["bans"] += 1
        self._banned[peer.id] = asyncio.get_running_loop().time() + BAN_S
        self._book.pop(peer.id, None)
        peer.close(why)

    def _on_pex(self, peer: Peer, text: bytes) -> None:
        told = messages.pex(text)
        if told is None:
            now = asyncio.get_running_loop().time()
            if now - self._asked.get(peer.id, -BAN_S) < PEX_PEER_S:
                return self._ban(peer, "it asks for addresses too often")
            self._asked[peer.id] = now
            while len(self._asked) > BOOK:
                self._asked.pop(next(iter(self._asked)))
            some = random.sample(list(self._book.items()), min(32, len(self._book)))
            peer.send(PEX, messages.addresses([(each, ip, port) for each, (ip, port) in some]))
            return None
        if not peer.asked_pex:
            return self._ban(peer, "it sent addresses that nobody asked for")
        peer.asked_pex = False
        for each, ip, port in told:
            if each != self.id and len(each) == 40 and 0 < port < 65536 and each not in self._book:
                self._book[each] = (ip, port)
                self.counts["addresses"] += 1
        while len(self._book) > BOOK:
            self._book.popitem(last=False)
        return None

    def _on_step(self, peer: Peer, text: bytes) -> None:
        height = messages.height_of_step(text)
        if height:  # it works at this one: the one before is in its store
            self._is_at(peer, height - 1)

    def _is_at(self, peer: Peer, height: int) -> None:
        if height > peer.height:
            peer.height = height
            self._arrived.set()

    def _on_txs(self, _peer: Peer, text: bytes) -> None:
        for tx in messages.transactions_in(text):
            digest = sha256(tx).digest()
            if digest not in self._seen:
                self._seen[digest] = None
                self.counts["seen"] += 1
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)

    def _on_block(self, peer: Peer, text: bytes) -> None:
        kind, told = messages.blocksync(text)
        if kind == "block":
            assert isinstance(told, Block)
            waiting = self._waiting.pop(told.height, None)
            if waiting and not waiting.done():
                self.counts["blocks"] += 1
                waiting.set_result(told)
        elif kind == "status":
            height, peer.base = told  # type: ignore[misc]
            self._is_at(peer, height)
        elif kind == "request":
            assert isinstance(told, int)
            peer.send(BLOCKSYNC, messages.no_block(told))
        elif kind == "ask":
            peer.send(BLOCKSYNC, messages.status(0, 0))

    async def _keep_asking(self) -> None:
        """Heights of all peers now and then, and addresses of one."""
        turn = 0
        while True:
            await asyncio.sleep(STATUS_S)
            turn += 1
            for peer in self.peers.values():
                peer.send(BLOCKSYNC, messages.STATUS_REQUEST)
            if turn * STATUS_S >= PEX_S and self.peers and len(self._book) < BOOK:
                turn = 0
                peer = random.choice(list(self.peers.values()))
                if not peer.asked_pex:
                    peer.asked_pex = peer.send(PEX, messages.PEX_REQUEST)
            self.leases.expire()

    # Headers

    async def _ask_validators(self, height: int) -> Validators:
        if self._rpc is None:
            raise NotVerified("the validators changed, and without an RPC nobody tells which they are now")
        return await self._rpc.validators(height)

    async def _keep_following(self) -> None:
        while True:
            self._arrived.clear()
            try:
                if self._table.trusted_height and self.chain.tip is None and self._rpc:
                    raw, commit = await self._rpc.signed_header(self._table.trusted_height)
                    await self.chain.trust(raw, commit, bytes.fromhex(self._table.trusted_hash))
                while await self._go_on():
                    pass
            except (NotVerified, RpcError, Malformed, TimeoutError) as error:
                self.trouble = str(error)
                self._log.warning("a header was not verified", why=self.trouble)
                await asyncio.sleep(LOOK_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), STATUS_S)

    async def _go_on(self) -> bool:
        """Verify one header nearer to the best peer's tip. False: there is nothing to do now."""
        best = max(self.peers.values(), key=lambda peer: peer.height, default=None)
        if best is None or best.height - 1 <= self.chain.height:
            return False
        target = self.chain.height + 1 if best.height - 1 - self.chain.height <= NEAR else best.height - 1
        while True:
            try:
                block = await self._verify(best, target)
                break
            except TooFar:
                middle = (self.chain.height + target) // 2
                if middle in (self.chain.height, target):
                    raise
                target = middle
            except (NotVerified, Malformed) as error:
                self._ban(best, f"block {target}: {error}")
                raise
        self._tell(block)
        return True

    async def _verify(self, peer: Peer, height: int) -> LightBlock:
        """The header of a height and the commit for it, which the next block holds."""
        block, after = await asyncio.gather(self._block(peer, height), self._block(peer, height + 1))
        light = await self.chain.verify(block.header, after.last_commit)
        for tx in block.txs:
            digest = sha256(tx).digest()
            if digest in self._watched and self._watched[digest] is None:
                self._watched[digest] = TxResult(height, block.txs.index(tx), UNKNOWN, "")
                self.counts["committed"] += 1
        return light

    async def _block(self, peer: Peer, height: int) -> Block:
        if not peer.send(BLOCKSYNC, messages.block_request(height)):
            raise TimeoutError(f"{peer.id} takes no requests for blocks")
        waiting = self._waiting.setdefault(height, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(BLOCK_S):
                return await asyncio.shield(waiting)
        except TimeoutError:
            raise TimeoutError(f"{peer.id} did not send block {height}") from None
        finally:
            self._waiting.pop(height, None)

    def _tell(self, block: LightBlock) -> None:
        self._verified.set()
        self._verified.clear()
        header = block.header
        for peer in self.peers.values():  # so that it goes on to tell of transactions
            peer.send(STATE, messages.new_round_step(header.height + 1))
        payload = header.height.to_bytes(8, "big") + header.hash
        self.leases.spread(lambda pattern: pattern == "heights", "heights", payload, False)

    # What boards ask for

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """`number 1 | "heights"`: heights and hashes as they are verified; without a name: no more."""
        if not what:
            raise Refused("number and name are wanted")
        if what[1:] == b"heights":
            if self.leases.take(board, what[0], "heights") is None:
                raise Refused("too many subscriptions")
        elif what[1:]:
            raise Refused("there is `heights` to hear")
        else:
            self.leases.end(board, what[0])
        return b""

    async def _light(self, _board: bytes, what: bytes) -> bytes:
        """`height 8 (0: the newest) | offset 4 | most 2` -> `height 8 | size 4 | bytes`, see LightBlock.pieces."""
        if len(what) != 14:
            raise Refused("height, offset and most are wanted")
        height = int.from_bytes(what[:8], "big") or self.chain.height
        block = self.chain.blocks.get(height)
        if block is None:
            raise Refused("it is not here (any more)" if height <= self.chain.height else "it is not there yet")
        data = block.pieces()
        start, most = int.from_bytes(what[8:12], "big"), min(PIECE_MAX, int.from_bytes(what[12:], "big"))
        return height.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data[start : start + max(0, most - 12)]

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """A transaction -> `height 8 | code 4` of the block that has it. Refused after 5 s: ask for the result."""
        if not 0 < len(what) <= TX_MAX:
            raise Refused("a transaction has 1 to 65536 bytes")
        if not any(peer.send(MEMPOOL, messages.transactions([what])) for peer in list(self.peers.values())):
            raise Refused("no node of the chain is connected")
        self.counts["submitted"] += 1
        digest = sha256(what).digest()
        self._watched.setdefault(digest, None)
        while len(self._watched) > WATCHED:
            self._watched.popitem(last=False)
        return await self._result(digest, COMMITTED_S)

    async def _tell_result(self, _board: bytes, what: bytes) -> bytes:
        if len(what) != 32:
            raise Refused("a hash of 32 bytes is wanted")
        return await self._result(what, COMMITTED_S)

    async def _result(self, digest: bytes, seconds: float) -> bytes:
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            found = await self._find(digest)
            if found and found.height <= self.chain.height:
                return found.height.to_bytes(8, "big") + found.code.to_bytes(4, "big")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._verified.wait(), min(LOOK_S, left))
        raise Refused("not yet in a block")

    async def _find(self, digest: bytes) -> TxResult | None:
        """What became of a transaction; its code by an RPC, checked against the next header where that is here."""
        found = self._watched.get(digest)
        if self._rpc is None or (found and found.code != UNKNOWN):
            return found
        try:
            told = await self._rpc.result(digest)
            after = self.chain.blocks.get(told.height + 1)
            if after is None:
                return None if told.height >= self.chain.height else told
            if merkle(await self._rpc.results(told.height)) != after.header.results_hash:
                self.trouble = f"the RPC tells results of block {told.height} that its chain does not have"
                return found
        except NotFound:
            return found
        except RpcError as error:
            self.trouble = str(error)
            return found
        if digest in self._watched:
            self._watched[digest] = told
        return told

    async def _query(self, _board: bytes, what: bytes) -> bytes:
        """`length 1 | path | data` -> `height 8 | code 4 | length 2 | value | proof operations`."""
        if self._rpc is None:
            raise Refused("this gateway has no RPC to ask")
        size = what[0] if what else 0
        try:
            told = await self._rpc.query(what[1 : 1 + size].decode(), what[1 + size :])
        except UnicodeDecodeError:
            raise Refused("the path is no text") from None
        except RpcError as error:
            raise Refused(str(error)[:64]) from None
        head = told.height.to_bytes(8, "big") + told.code.to_bytes(4, "big") + len(told.value).to_bytes(2, "big")
        return head + told.value + told.proof


def _own_key(path: Path) -> Ed25519PrivateKey:
    """The gateway's key among nodes of this network, made at first. Raises OSError, ValueError."""
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes_raw())
        return key
