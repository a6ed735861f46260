"""What a board takes of a gateway that answers about another block than it was asked for (lib/picoswarm/cometbft.py)."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from comet_blocks import BLOCK_4, BLOCK_5, BLOCK_9, CHAIN, HASH_4, HASH_5, HASH_9  # noqa: E402
from picoswarm.cometbft import Chain, NotVerified  # noqa: E402
from picoswarm_gateway.families import Refused  # noqa: E402
from picoswarm_gateway.families.cometbft.queries import ANSWER_MOST, KEPT, KEPT_EACH, Queries  # noqa: E402
from picoswarm_gateway.families.cometbft.rpc import Queried  # noqa: E402

BLOCKS = {4: BLOCK_4, 5: BLOCK_5, 9: BLOCK_9}
NEWEST = 9


class Gateway:
    """Gives recorded blocks. `instead`: the height that it gives where another one is asked for."""

    value, proof = b"value", b"proof"

    def __init__(self, instead: dict[int, int] | None = None) -> None:
        self.instead = instead or {}

    async def request(self, verb: str, what: bytes) -> bytes:
        """The answers of a family `cometbft`."""
        if verb == "query":  # a state after the newest block but one, which stands in the newest
            data = bytes(4) + len(self.value).to_bytes(2, "big") + self.value + self.proof
            at, most = int.from_bytes(what[8:12], "big"), int.from_bytes(what[12:14], "big")
            return (NEWEST - 1).to_bytes(8, "big") + len(data).to_bytes(4, "big") + data[at : at + most - 12]
        height, at, most = (int.from_bytes(what[a:b], "big") for a, b in ((0, 8), (8, 12), (12, 14)))
        height = height or NEWEST
        height = self.instead.get(height, height)
        data = BLOCKS[height]
        return height.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data[at : at + most - 12]


def test_the_newest_block_and_one_of_a_height_are_what_was_asked_for():
    async def run():
        chain = Chain(Gateway(), CHAIN, height=4, hash32=HASH_4)
        assert (await chain.header(5)).hash == HASH_5
        assert (await chain.header()).hash == HASH_9

    asyncio.run(run())


def test_a_verified_block_of_another_height_is_not_what_was_asked_for():
    async def run():
        chain = Chain(Gateway({9: 5}), CHAIN, height=4, hash32=HASH_4)
        with pytest.raises(NotVerified):
            await chain.header(9)
        assert chain.tip.height == 4

    asyncio.run(run())


def test_an_old_state_is_not_proven_as_one_of_now(monkeypatch):
    async def run():
        gateway = Gateway()
        chain = Chain(gateway, CHAIN, height=4, hash32=HASH_4)
        before = await chain.header(5)
        await chain.header()
        gateway.instead = {9: 5}
        monkeypatch.setattr("picoswarm.proofs.root", lambda proof, keys, value: before.app_hash)
        with pytest.raises(NotVerified):
            await chain.proven("/key", b"name")

    asyncio.run(run())


def test_an_answer_that_is_longer_than_a_request_is_taken_in_pieces_and_too_long_a_one_not():
    async def run():
        gateway = Gateway()
        gateway.value, gateway.proof = bytes(500), bytes(range(256)) * 9
        chain = Chain(gateway, CHAIN, height=4, hash32=HASH_4)
        assert await chain.query("/key", b"name") == (NEWEST - 1, 0, gateway.value, gateway.proof)
        gateway.proof = b""
        assert (await chain.query("/key", b"name"))[2:] == (gateway.value, b"")
        gateway.value = b""
        assert (await chain.query("/key", b"name"))[2:] == (b"", b"")
        for too_long in (bytes(7000), bytes(60_000)):
            gateway.proof = too_long
            with pytest.raises(NotVerified, match="too long"):
                await chain.query("/key", b"name")

    asyncio.run(run())


class Rpc:
    """Of an application that tells long values without a proof."""

    height, size = 7, 1000

    async def query(self, _path: str, key: bytes) -> Queried:
        return Queried(self.height, 0, key * self.size, b"")


def question(height: int, at: int, key: bytes = b"k") -> bytes:
    return height.to_bytes(8, "big") + at.to_bytes(4, "big") + (112).to_bytes(2, "big") + b"\4/key" + key


def test_a_board_takes_pieces_of_one_answer_whatever_the_application_says_by_then():
    async def run():
        rpc = Rpc()
        queries = Queries(rpc, None, asyncio.Event(), print)
        first = await queries.tell(b"board", question(0, 0), 4096)
        rpc.height, size = 8, int.from_bytes(first[8:12], "big")
        data = first[12:]
        assert len(data) == 100 and size == 1006
        with pytest.raises(Refused, match="not here"):
            await queries.tell(b"other", question(7, 100), 4096)
        while len(data) < size:
            data += (await queries.tell(b"board", question(7, len(data)), 4096))[12:]
        assert data == bytes(4) + (1000).to_bytes(2, "big") + b"k" * 1000
        assert not queries._kept

    asyncio.run(run())


def test_answers_that_are_kept_for_boards_are_few_and_short():
    async def run():
        rpc = Rpc()
        queries = Queries(rpc, None, asyncio.Event(), print)
        for i in range(3 * KEPT):
            for n in range(6):
                await queries.tell(b"%d" % i, question(0, 0, b"%d" % n), 4096)
            assert len(queries._kept) <= KEPT
        await queries.tell(b"%d" % i, question(7, 100, b"%d" % (6 - KEPT_EACH)), 4096)
        with pytest.raises(Refused, match="not here"):
            await queries.tell(b"%d" % i, question(7, 100, b"1"), 4096)
        rpc.size = ANSWER_MOST + 1
        with pytest.raises(Refused, match="too long"):
            await queries.tell(b"board", question(0, 0), 4096)
        for malformed in (b"", bytes(14)):
            with pytest.raises(Refused):
                await queries.tell(b"board", malformed, 4096)

    asyncio.run(run())
