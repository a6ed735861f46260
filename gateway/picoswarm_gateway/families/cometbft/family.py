"""The family `cometbft`: a light peer of a CometBFT network (docs/cometbft.md).

verbs      submit: a transaction, until it is in a block; result: of one that was submitted; query: the application's
           state; light: a verified header with its proof, in pieces; subscribe: heights as they are verified
follow     follower.py
discover   switch.py: nodes of the configuration, and those that peers tell of
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm.commits import merkle, read_header

from .. import Family, Refused
from ..leases import Leases
from ..nodes import KEEP_S, Nodes
from ..secrets import kept_secret
from . import messages
from .chain import Chain, LightBlock
from .follower import UNKNOWN, Follower
from .messages import MEMPOOL
from .peer import Peer
from .proto import Malformed
from .queries import Queries
from .rpc import NotFound, Rpc, RpcError, TxResult
from .switch import Switch
from .table import CometTable

if TYPE_CHECKING:
    from ...gateway import Gateway

TX_MAX = 1 << 16
COMMITTED_S = 5.0  # that a board waits for a transaction; then it asks again (it gives a gateway 7 s)
LOOK_S = 0.5
LEASES_S = 30.0
BOARD_MESSAGES = 8
BOARD_FILTERS = 4
PIECE_MAX = 4096
BROUGHT = 16  # older blocks


class CometFamily(Family):
    """See the module."""

    name = "cometbft"

    def __init__(self, table: CometTable) -> None:
        super().__init__()
        self.always = list(table.peers)
        self.wanted = max(int(table.seed), table.connections - len(table.peers))
        self.verbs = {
            "submit": self.submit,
            "result": self._tell_result,
            "query": self._query,
            "light": self._light,
            "subscribe": self.follow,
        }
        self.counts: Counter[str] = Counter(submitted=0)
        self.trouble = ""
        self._table = table
        self._brought: OrderedDict[int, LightBlock] = OrderedDict()  # older blocks, for boards
        self._verified = asyncio.Event()
        self._loops: list[asyncio.Task] = []

    async def start(self, gateway: Gateway) -> None:
        """See Family. Raises OSError, ValueError and KeyError: no genesis file, no port."""
        self._gateway = gateway
        log = gateway.log.bind(family=self.name)
        self._rpc = Rpc(self._table.rpc) if self._table.rpc else None
        self._follower = Follower(self._table, self._rpc, log, self._on_verified)
        secret = kept_secret(gateway.folder / "cometbft.key", lambda: Ed25519PrivateKey.generate().private_bytes_raw())
        key = Ed25519PrivateKey.from_private_bytes(secret)
        self._switch = Switch(self._table, key, log, lambda: self.chain.height)
        self._queries = Queries(self._rpc, lambda: self.chain, self._verified, self._complain)
        self.leases = Leases(gateway.node.request, BOARD_MESSAGES, BOARD_FILTERS, lambda pattern: None)
        await self._follower.start(self._switch, gateway.db)
        self._nodes = Nodes(gateway.db, self.name, self._table.chain)
        self._switch.book.load(await self._nodes.load())
        await self._switch.start()
        self._loops = [
            gateway.loops.begin("cometbft: addresses", self._keep_nodes),
            gateway.loops.begin("cometbft: following", self._follower.keep_following),
            gateway.loops.begin("cometbft: asking", self._follower.keep_asking),
            gateway.loops.begin("cometbft: leases", self._keep_leases),
        ]

    async def stop(self) -> None:
        """See Family."""
        await self._gateway.loops.end(self._loops)
        self._switch.stop()
        await self.leases.stop()
        await self._nodes.save(self._switch.book.saved())
        await self._follower.keep()
        if self._rpc:
            await self._rpc.close()

    @property
    def chain(self) -> Chain:
        """What is verified."""
        return self._follower.chain

    @property
    def peers(self) -> dict[str, Peer]:
        """The nodes that it is connected with, by id."""
        return self._switch.peers

    @property
    def id(self) -> str:
        """Its own among the nodes of the network, 40 hexadecimal digits."""
        return self._switch.id

    def state(self) -> dict[str, Any]:
        """See Family."""
        trouble = self.trouble or self._follower.trouble or ("" if self.peers else self._switch.trouble)
        return {
            "state": self._condition(trouble),
            "chain": self._table.chain,
            "height": self.chain.height,
            "peers": self._switch.state(),
            "trouble": trouble,
            "verified": self.chain.verified,
            "not_verified": self.chain.refused,
            "forks": self.chain.forks,
            "boards": len(self.leases),
            **self.counts,
            **self._follower.counts,
            **self._switch.counts,
            **self._switch.pex.counts,
            "known": len(self._switch.book),
            "tried": self._switch.book.tried,
        }

    def _condition(self, trouble: str) -> str:
        if self.peers and self.chain.tip and not self._follower.trouble:
            return "up"
        return "down" if trouble or self.chain.tip else "starting"

    async def discover(self) -> list[str]:
        """See Family."""
        return self._switch.discover()

    async def dial(self, address: str) -> None:
        """See Family. `address`: id@host:port."""
        await self._switch.dial(address)

    async def _keep_nodes(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            await self._nodes.save(self._switch.book.saved())
            await self._follower.keep()

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(LEASES_S)
            self.leases.expire()

    def _on_verified(self, block: LightBlock) -> None:
        self._verified.set()
        self._verified.clear()
        payload = block.header.height.to_bytes(8, "big") + block.header.hash
        self.leases.spread(lambda pattern: pattern == "heights", "heights", payload, False)

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
        block = self.chain.blocks.get(height) or await self._older(height)
        data = block.pieces()
        start, most = int.from_bytes(what[8:12], "big"), min(PIECE_MAX, int.from_bytes(what[12:], "big"))
        return height.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data[start : start + max(0, most - 12)]

    async def _older(self, height: int) -> LightBlock:
        """A block that is not kept here: a node's word, since a board verifies it anyway. Raises Refused."""
        if not 0 < height <= self.chain.height:
            raise Refused("it is not there yet")
        if height not in self._brought:
            if self._rpc is None:
                raise Refused("it is not here any more")
            try:
                raw, commit = await self._rpc.signed_header(height)
                header = read_header(raw)
                if header is None:
                    raise Refused("it cannot be read")
                block = LightBlock(header, raw, commit, await self._rpc.validators(height))
                block.pieces()
                self._brought[height] = block
            except (RpcError, Malformed, ValueError, OverflowError) as error:  # nothing of it was verified
                raise Refused(str(error)[:64]) from None
            while len(self._brought) > BROUGHT:
                self._brought.popitem(last=False)
        return self._brought[height]

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """A transaction -> `height 8 | code 4` of the block that has it; height 0 where the application does not want it in
        a block. Refused after 5 s: ask for the result."""
        if not 0 < len(what) <= TX_MAX:
            raise Refused("a transaction has 1 to 65536 bytes")
        if self._rpc:
            with suppress(RpcError):  # then nobody tells before it is in a block
                if code := await self._rpc.check(what):
                    return bytes(8) + code.to_bytes(4, "big")
        if not self._switch.send(MEMPOOL, messages.transactions([what])):
            raise Refused("no node of the chain is connected")
        self.counts["submitted"] += 1
        digest = sha256(what).digest()
        self._follower.watch(digest)
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
        found = self._follower.watched.get(digest)
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
        self.trouble = ""
        if digest in self._follower.watched:
            self._follower.watched[digest] = told
        return told

    async def _query(self, board: bytes, what: bytes) -> bytes:
        """See Queries.tell."""
        return await self._queries.tell(board, what, PIECE_MAX)

    def _complain(self, trouble: str) -> None:
        self.trouble = trouble
