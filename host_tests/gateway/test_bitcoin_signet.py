"""Signet's blocks are signed (BIP325): the gateway follows a chain up to a block whose signature it has checked, so that
more work alone does not win. It fetches no more than one block for each message of headers."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from made_bitcoin import REGTEST, MadeNode, ours
from made_signet import FORMS, KEYS, MULTISIG, Signing, in_witness, pushes
from mining import mine_more, twice
from picoswarm_gateway.families.bitcoin import peers as peers_module
from picoswarm_gateway.families.bitcoin.blocks import block_transactions, without_witness
from picoswarm_gateway.families.bitcoin.chain import Chain
from picoswarm_gateway.families.bitcoin.networks import NETWORKS, own_signet
from picoswarm_gateway.families.bitcoin.signet import is_signed, push
from picoswarm_gateway.families.bitcoin.table import BitcoinTable
from picoswarm_gateway.families.bitcoin.wire import MOST_HEADERS
from small_mesh import until
from support import LONG

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
SIGNER = FORMS["two of three keys"]
NETWORK = replace(REGTEST, name="easy-signet", challenge=SIGNER.challenge)


def holds(raw: bytes, challenge: bytes) -> bool:
    return is_signed(raw[:80], block_transactions(raw), challenge)


def test_blocks_of_the_public_signet_are_signed():
    signet = NETWORKS["signet"]
    assert own_signet(signet.challenge).magic == signet.magic
    before = signet.genesis_hash
    for text in json.loads((VECTORS / "signet-blocks.json").read_text())["blocks"]:
        raw = bytes.fromhex(text)
        assert raw[4:36] == before and holds(raw, signet.challenge)
        assert not holds(raw, b"\x52" + signet.challenge[1:]), "of two keys only one has signed"
        assert not holds(raw, MULTISIG)
        before = twice(raw[:80])


@pytest.mark.parametrize("form", FORMS)
def test_the_usual_challenges_are_understood(form):
    signer = FORMS[form]
    _, raw = signer.block(REGTEST.genesis, 1)
    assert holds(raw, signer.challenge)
    if form != "anybody":
        _, unsigned = signer.block(REGTEST.genesis, 1, is_signed=False)
        assert not holds(unsigned, signer.challenge)
        assert not any(holds(raw, other.challenge) for name, other in FORMS.items() if name not in (form, "anybody"))


def test_a_signature_is_for_one_block_and_for_what_it_follows():
    _, raw = SIGNER.block(REGTEST.genesis, 1)
    (transaction,) = block_transactions(raw)
    for at in (0, 4, 68):  # version, the block before, time
        header = bytearray(raw[:80])
        header[at] ^= 1
        assert not is_signed(bytes(header), [transaction], SIGNER.challenge)


def test_keys_sign_in_their_order_and_none_counts_twice():
    challenge = in_witness(MULTISIG)
    for secrets in ((KEYS[2], KEYS[0]), (KEYS[0], KEYS[0]), KEYS):
        wrong = Signing(challenge, secrets, lambda _, signed: (b"", [b"", *signed(MULTISIG), MULTISIG]))
        assert not holds(wrong.block(REGTEST.genesis, 1)[1], challenge)
    dummy = Signing(MULTISIG, (KEYS[0], KEYS[2]), lambda legacy, _: (push(b"x") + pushes(legacy(MULTISIG)), []))
    assert not holds(dummy.block(REGTEST.genesis, 1)[1], MULTISIG)


def test_a_coinbase_that_is_not_as_it_was_signed_raises_nothing_and_holds_only_where_it_is_not_hashed():
    draw = random.Random(1)
    _, raw = SIGNER.block(REGTEST.genesis, 1)
    (true,) = block_transactions(raw)
    for _ in range(30_000 if LONG else 300):
        changed = bytearray(true.raw)
        for _ in range(draw.randint(1, 3)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        changed = bytes(changed[: draw.choice((len(changed), draw.randrange(len(changed))))])
        if is_signed(raw[:80], [replace(true, raw=changed)], SIGNER.challenge):
            assert without_witness(changed) == true.raw[:4] + true.raw[6:-38] + true.raw[-4:]


def test_a_block_that_commits_to_no_witnesses_has_no_solution():
    from made_bitcoin import a_block, coinbase

    _, raw = a_block(REGTEST.genesis, coinbase((50, b"\x51")))
    assert not holds(raw, b"\x51")


def test_a_signet_of_ones_own_is_configured_by_its_challenge():
    table = BitcoinTable(network="signet", signet_challenge="51")
    found = []
    table.check(found)
    assert not found and table.chosen.challenge == b"\x51" and table.chosen.magic != NETWORKS["signet"].magic
    assert table.chosen.least_work == 0 and table.chosen.name.startswith("signet-")
    for wrong in ({"network": "main"}, {"signet_challenge": "5"}, {"signet_challenge": "51" * 300}):
        found = []
        BitcoinTable(**{"network": "signet", "signet_challenge": "51", **wrong}).check(found)
        assert [path for path, _ in found] == ["bitcoin.signet_challenge"]


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(peers_module, "TICK_S", 0.05)


def a_chain(count: int, begin: list[bytes] | None = None, signed=lambda height: True, salt: int = 0) -> MadeNode:
    """A node with blocks behind those of another one."""
    headers, blocks = list(begin or [REGTEST.genesis]), {}
    for height in range(len(headers), len(headers) + count):
        header, raw = SIGNER.block(headers[-1], height, signed(height), salt)
        headers.append(header)
        blocks[twice(header)] = raw
    node = MadeNode(headers)
    node.blocks = blocks
    return node


@asynccontextmanager
async def following(*nodes: MadeNode):
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node)
        yield await stack.enter_async_context(ours(Chain(NETWORK), nodes=nodes, transport="v1", outbound=len(nodes)))


def test_a_signed_block_vouches_for_those_below_it_and_only_it_is_fetched():
    async def story():
        node = a_chain(30)
        async with following(node) as we:
            await until(lambda: we.chain.tip.height == 30)
            assert node.asked["getdata"] == 1
            header, raw = SIGNER.block(node.headers[-1], 31)
            node.headers.append(header)
            node.blocks[twice(header)] = raw
            node.announce()
            await until(lambda: we.chain.tip.height == 31)
            assert node.asked["getdata"] == 2

    asyncio.run(story())


def test_more_work_without_signatures_is_not_followed_and_its_peer_is_left():
    async def story():
        true = a_chain(20)
        forger = a_chain(25, true.headers[:11], lambda height: False, salt=1)
        async with following(forger, true) as we:
            await until(lambda: we.chain.tip.height == 20)
            await until(lambda: ("down", "a block without its signature") in we.told)
            assert we.chain.tip.hash == twice(true.headers[20]) and we.peers.counts["banned"] >= 1

    asyncio.run(story())


def test_a_block_that_is_not_given_is_not_followed(monkeypatch):
    from picoswarm_gateway.families.bitcoin import session

    monkeypatch.setattr(session, "SLOW_S", 0.5)

    async def story():
        true = a_chain(5)
        keeps_back = a_chain(9, salt=1)
        keeps_back._answer, whole = (
            lambda writer, command, payload: command != "getdata" and whole(writer, command, payload),
            keeps_back._answer,
        )
        async with following(keeps_back, true) as we:
            await until(lambda: we.chain.tip.height == 5)
            await until(lambda: any(kind == "down" and "no answer" in what for kind, what in we.told))
        lacks = a_chain(9, salt=1)
        lacks.blocks.clear()
        async with following(lacks) as we:
            await until(lambda: lacks.asked["getdata"])
            await until(lambda: any(kind == "missing" for kind, _ in we.told))
            assert we.chain.tip.height == 0 and lacks.is_connected

    asyncio.run(story())


def test_a_signed_branch_with_more_work_is_followed():
    async def story():
        one = a_chain(12)
        async with following(one) as we:
            await until(lambda: we.chain.tip.height == 12)
            other = a_chain(4, one.headers[:11], salt=1)
            one.headers[:], one.blocks = other.headers, other.blocks
            one.announce()
            await until(lambda: we.chain.tip.height == 14)
            assert we.follower.reorganisations == 1

    asyncio.run(story())


def test_a_long_chain_is_checked_once_for_each_message_of_headers():
    async def story():
        headers = mine_more([REGTEST.genesis], 2 * MOST_HEADERS + 100)
        node = MadeNode(headers)
        at = MOST_HEADERS
        while True:  # the last of each message is a signed one
            header, raw = SIGNER.block(headers[at - 1], at)
            headers[at:] = [header]
            node.blocks[twice(header)] = raw
            if at == 2 * MOST_HEADERS + 1:
                break
            count = min(MOST_HEADERS, 2 * MOST_HEADERS + 1 - at)
            mine_more(headers, count - 1)
            at += count
        async with following(node) as we:
            await until(lambda: we.chain.tip.height == 2 * MOST_HEADERS + 1)
            assert node.asked["getdata"] == 3

    asyncio.run(story())
