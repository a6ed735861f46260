"""Following a chain: two blocks from a peer give a header and the commit for it, which chain.py verifies.

Behind the best peer by little, block after block is taken; behind by more, the way is shortened as the light client's rules
allow. A peer whose block cannot be verified is banned.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picoswarm.commits import validators_hash

from . import messages
from .chain import Chain, LightBlock, NotNow, NotVerified, TooFar
from .kept import Kept
from .messages import BLOCKSYNC, STATE, Block
from .peer import Peer
from .proto import Malformed
from .rpc import Rpc, RpcError, TxResult, Validators, validators_of
from .switch import Switch
from .table import CometTable

if TYPE_CHECKING:
    from ...state import State

AGAIN_S = 0.5  # after a failure
STATUS_S = 10.0  # between questions for heights
PEX_TURNS = 3  # of these, until one peer is asked for addresses
BLOCK_S = 5.0  # after which a peer is at fault that sent fewer than
SLOWEST = 7680  # bytes of blocks in each of them
NEAR = 20  # blocks that are verified one by one; a longer way is shortened
WATCHED = 1000  # transactions that are waited for
UNKNOWN = 0xFFFFFFFF  # the code of a transaction where no RPC tells it


class Follower:
    """See the module. `on_verified` is called with each new LightBlock."""

    def __init__(self, table: CometTable, rpc: Rpc | None, log: Any, on_verified: Callable[[LightBlock], None]) -> None:
        self._kept: Kept | None = None
        self.chain = Chain(table.chain, table.trusted_days, self._ask_validators)
        self.counts: Counter[str] = Counter(blocks=0, committed=0)
        self.trouble = ""
        self.watched: OrderedDict[bytes, TxResult | None] = OrderedDict()  # transactions by hash
        self._table = table
        self._rpc = rpc
        self._log = log
        self._on_verified = on_verified
        self._waiting: dict[tuple[str, int], asyncio.Future[Block]] = {}  # blocks that were asked for, of whom

    async def start(self, switch: Switch, db: State) -> None:
        """Take up what is trusted: what was verified in an earlier run, or what the configuration names. Raises OSError,
        ValueError and KeyError for a genesis file that cannot be read."""
        self._switch = switch
        switch.on_block = self._on_block
        switch.on_no_block = self._on_no_block
        switch.is_asked = lambda peer: any(each == peer.id for each, _ in self._waiting)
        if self._table.genesis:
            text = await asyncio.to_thread(Path(self._table.genesis).expanduser().read_text)
            validators = validators_of(json.loads(text)["validators"])
            self.chain.trust_validators(validators)
            root = validators_hash(validators)
        else:
            root = bytes.fromhex(self._table.trusted_hash)
        self._kept = Kept(db, root)
        try:
            if await self._kept.load(self.chain):
                self._log.info("goes on from what was verified before", height=self.chain.height)
        except (NotVerified, Malformed) as error:
            self._log.warning("what was verified before is not taken", why=str(error))

    async def keep(self) -> None:
        """Write the newest verified block to the disk."""
        if self._kept:
            await self._kept.save(self.chain)

    def watch(self, digest: bytes) -> None:
        """Notice in which block a transaction with this hash is."""
        self.watched.setdefault(digest, None)
        while len(self.watched) > WATCHED:
            self.watched.popitem(last=False)

    def _on_block(self, peer: Peer, block: Block) -> None:
        waiting = self._waiting.pop((peer.id, block.height), None)
        if waiting and not waiting.done():
            self.counts["blocks"] += 1
            waiting.set_result(block)

    def _on_no_block(self, peer: Peer, height: int) -> None:
        waiting = self._waiting.pop((peer.id, height), None)
        if waiting and not waiting.done():
            waiting.set_exception(TimeoutError(f"{peer.id} has no block {height}"))

    async def keep_asking(self) -> None:
        """Heights of all peers now and then, and addresses of one."""
        turn = 0
        while True:
            await asyncio.sleep(STATUS_S)
            turn += 1
            self._switch.send(BLOCKSYNC, messages.STATUS_REQUEST)
            if turn % PEX_TURNS == 0:
                self._switch.keep()

    async def _ask_validators(self, height: int) -> Validators:
        if self._rpc is None:
            raise NotNow("the validators changed, and without an RPC nobody tells which they are now")
        return await self._rpc.validators(height)

    async def keep_following(self) -> None:
        while True:
            self._switch.arrived.clear()
            try:
                if self._table.trusted_height and self.chain.tip is None and self._rpc:
                    raw, commit = await self._rpc.signed_header(self._table.trusted_height)
                    await self.chain.trust(raw, commit, bytes.fromhex(self._table.trusted_hash))
                while await self._go_on():
                    pass
            except (NotVerified, RpcError, Malformed, TimeoutError) as error:
                if str(error) != self.trouble:
                    self._log.warning("a header was not verified", why=str(error))
                self.trouble = str(error) or "a header was not verified"
                await asyncio.sleep(AGAIN_S)
                if self._switch.best():  # another one than failed, which is paused
                    continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._switch.arrived.wait(), STATUS_S)

    async def _go_on(self) -> bool:
        """Verify one header nearer to the best peer's tip. False: there is nothing to do now."""
        best = self._switch.best()
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
            except (NotNow, TimeoutError, RpcError):
                best.pause()  # it may be at fault
                raise
            except (NotVerified, Malformed) as error:
                self._switch.ban(best, f"block {target}: {error}")
                raise
        best.failures = 0
        self._switch.was_useful(best)
        self._tell(block)
        return True

    async def _verify(self, peer: Peer, height: int) -> LightBlock:
        """The header of a height and the commit for it, which the next block holds."""
        block, after = await asyncio.gather(self._block(peer, height), self._block(peer, height + 1))
        light = await self.chain.verify(block.header, after.last_commit)
        for tx in block.txs:
            digest = sha256(tx).digest()
            if digest in self.watched and self.watched[digest] is None:
                self.watched[digest] = TxResult(height, block.txs.index(tx), UNKNOWN, "")
                self.counts["committed"] += 1
        return light

    async def _block(self, peer: Peer, height: int) -> Block:
        if not peer.ask_block(messages.block_request(height)):
            raise TimeoutError(f"{peer.id} takes no requests for blocks")
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[peer.id, height] = waiting
        try:
            while True:
                before = peer.bytes_of_blocks
                try:
                    return await asyncio.wait_for(asyncio.shield(waiting), BLOCK_S)
                except TimeoutError:
                    if waiting.done() or peer.is_over or peer.bytes_of_blocks - before < BLOCK_S * SLOWEST:
                        raise
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"{peer.id} did not send block {height}") from None
        finally:
            waiting.cancel()
            self._waiting.pop((peer.id, height), None)

    def _tell(self, block: LightBlock) -> None:
        """Peers go on to tell of transactions only to who is at their height."""
        self.trouble = ""
        self._switch.send(STATE, messages.new_round_step(block.header.height + 1))
        self._on_verified(block)
