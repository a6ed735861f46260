"""What a board takes of a gateway that answers about another block than it was asked for (lib/picoswarm/cometbft.py)."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from comet_blocks import BLOCK_4, BLOCK_5, BLOCK_9, CHAIN, HASH_4, HASH_5, HASH_9  # noqa: E402
from picoswarm.cometbft import Chain, NotVerified  # noqa: E402

BLOCKS = {4: BLOCK_4, 5: BLOCK_5, 9: BLOCK_9}
NEWEST = 9


class Gateway:
    """Gives recorded blocks. `instead`: the height that it gives where another one is asked for."""

    def __init__(self, instead: dict[int, int] | None = None) -> None:
        self.instead = instead or {}

    async def request(self, verb: str, what: bytes) -> bytes:
        """The answers of a family `cometbft`."""
        if verb == "query":  # a state after the newest block but one, which stands in the newest
            return (NEWEST - 1).to_bytes(8, "big") + bytes(4) + b"\0\5" + b"value" + b"proof"
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
