"""What boards ask of the application's state: an RPC tells it, its proof is held against the next header, and a board takes
it in pieces, since proofs are longer than what one answer holds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from picoswarm.proofs import is_known, keys_of, root

from .. import Refused
from .chain import Chain
from .rpc import Queried, Rpc, RpcError

HEAD = 15  # of a question: height 8 | offset 4 | most 2 | length of the path 1
VERIFIED_S = 5.0  # that the next header is waited for
LOOK_S = 0.5
ANSWER_MOST = 16_384  # bytes of an answer, value and proof
KEPT, KEPT_EACH = 256, 4  # answers that boards have not taken to the end, and those of one


class Queries:
    """See the module. `rpc`: None, where there is none; `verified` is set when `chain` has a new block; `complain` is told
    what the gateway's state says then."""

    def __init__(
        self, rpc: Rpc | None, chain: Callable[[], Chain], verified: asyncio.Event, complain: Callable[[str], None]
    ) -> None:
        self._rpc = rpc
        self._chain = chain
        self._verified = verified
        self._complain = complain
        self._kept: OrderedDict[tuple[bytes, int, bytes], bytes] = OrderedDict()  # by board, height and question

    async def tell(self, board: bytes, what: bytes, piece_most: int) -> bytes:
        """`height 8 | offset 4 | most 2 | length 1 | path | data` -> `height 8 | size 4 | bytes`, of `code 4 | length 2 |
        value | proof operations`. With an offset it goes on with what was told of that height. Raises Refused."""
        if len(what) < HEAD:
            raise Refused("height, offset, most and a path are wanted")
        height, start = int.from_bytes(what[:8], "big"), int.from_bytes(what[8:12], "big")
        most, question = min(piece_most, int.from_bytes(what[12:14], "big")), what[14:]
        if start:
            data = self._kept.get((board, height, question))
            if data is None:
                raise Refused("it is not here any more")
        else:
            height, data = await self._ask(question)
        end = start + max(0, most - 12)
        self._keep((board, height, question), data if end < len(data) else None)
        return height.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data[start:end]

    def _keep(self, key: tuple[bytes, int, bytes], data: bytes | None) -> None:
        self._kept.pop(key, None)
        if data is None:
            return
        self._kept[key] = data
        mine = [each for each in self._kept if each[0] == key[0]]
        for oldest in [*mine[:-KEPT_EACH], *list(self._kept)[:-KEPT]]:
            self._kept.pop(oldest, None)

    async def _ask(self, question: bytes) -> tuple[int, bytes]:
        """(height, the whole answer). A proof comes once the header that it leads to is verified."""
        if self._rpc is None:
            raise Refused("this gateway has no RPC to ask")
        size = question[0]
        try:
            path, key = question[1 : 1 + size].decode(), question[1 + size :]
            told = await self._rpc.query(path, key)
        except UnicodeDecodeError:
            raise Refused("the path is no text") from None
        except RpcError as error:
            raise Refused(str(error)[:64]) from None
        if len(told.value) + len(told.proof) > ANSWER_MOST:
            raise Refused("it is too long for a board")
        if told.proof and not await self._is_proven(told, keys_of(path, key)):
            self._complain(f"the RPC tells a state after block {told.height} that its chain does not have")
            raise Refused("its proof does not fit the chain")
        head = told.code.to_bytes(4, "big") + len(told.value).to_bytes(2, "big")
        return told.height, head + told.value + told.proof

    async def _is_proven(self, told: Queried, keys: tuple[bytes, ...]) -> bool:
        """Whether the next header has the state to which the proof leads, or nobody here can tell."""
        loop = asyncio.get_running_loop()
        end = loop.time() + VERIFIED_S
        while self._chain().height <= told.height and (left := end - loop.time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._verified.wait(), min(LOOK_S, left))
        after = self._chain().blocks.get(told.height + 1)
        if after is None or not is_known(told.proof):
            return True
        return root(told.proof, keys, told.value) == after.header.app_hash
