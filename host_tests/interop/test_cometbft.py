"""The gateway and boards among real CometBFT nodes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "gateway")]
from comet_chain import CometNode  # noqa: E402
from picoswarm import RequestError  # noqa: E402
from picoswarm.cometbft import Chain, NotVerified  # noqa: E402
from picoswarm.profile import Profile  # noqa: E402
from picoswarm.protobuf import decode_fields, encode_fields  # noqa: E402
from picoswarm_gateway.families.cometbft.rpc import validators_of  # noqa: E402
from picoswarm_gateway.families.cometbft.table import CometTable  # noqa: E402
from picoswarm_gateway.gateway import Gateway  # noqa: E402
from picoswarm_tools.peers import golang  # noqa: E402
from small_board import said_by  # noqa: E402
from small_mesh import HOST, free_port, until  # noqa: E402

NEWCOMER = base64.b64encode(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")).decode()


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """One validator, which makes five blocks a second."""
    with CometNode(tmp_path_factory.mktemp("comet")) as node:
        yield node


def table(node: CometNode, **more: object) -> CometTable:
    return CometTable(
        **{"chain": node.chain, "peers": [node.address], "rpc": node.rpc, "genesis": str(node.genesis), **more}
    )


def genesis(node: CometNode) -> list:
    return validators_of(json.loads(node.genesis.read_text())["validators"])


def hash_at(node: CometNode, height: int) -> str:
    return node.ask(f"commit?height={height}")["signed_header"]["commit"]["block_id"]["hash"]


def test_a_transaction_is_committed_and_headers_are_verified_by_who_asked(mesh, chain):
    async def story():
        async with Gateway(mesh.config(cometbft=table(chain))) as gateway, mesh.node("meter", gateway) as node:
            family = gateway.families["cometbft"]
            await until(lambda: family.chain.height)
            own = Chain(await node.gateway("cometbft", 30000), chain.chain, genesis(chain))
            first = await own.header()
            assert first.hash.hex().upper() == hash_at(chain, first.height)
            tx = b"meter=%d" % first.height
            height, code = await own.submit(tx)
            assert code == 0
            assert int(chain.ask(f"tx?hash=0x{hashlib.sha256(tx).hexdigest()}")["height"]) == height
            assert (await own.query("/key", b"meter"))[1:3] == (0, b"%d" % first.height)
            headers = own.follow()
            assert (await anext(headers)).height > first.height
            headers.close()
            again = Chain(await node.gateway("cometbft"), chain.chain, genesis(chain), kept=own.keep())
            await until(lambda: family.chain.height > own.tip.height)
            assert (await again.header()).height > own.tip.height
            again = Chain(await node.gateway("cometbft"), chain.chain, genesis(chain), kept=own.keep())
            again.trusted_s = -1
            with pytest.raises(NotVerified, match="too old"):
                await again.header()
            height, code = await own.submit(b"no transaction of this application")
            assert height == 0 and code

    asyncio.run(story())


def test_the_next_version_of_cometbft_is_followed_and_commits_what_a_board_submits(mesh):
    async def story():
        with CometNode(mesh.folder / "next", peer="cometbft-next") as node:
            async with Gateway(mesh.config(cometbft=table(node))) as gateway, mesh.node("meter", gateway) as meter:
                await until(lambda: gateway.families["cometbft"].chain.height)
                own = Chain(await meter.gateway("cometbft", 30000), node.chain, genesis(node))
                height, code = await own.submit(b"meter=7")
                assert code == 0
                header = await own.header()
                assert header.height >= height and header.hash.hex().upper() == hash_at(node, header.height)
                assert (await own.query("/key", b"meter"))[2] == b"7"

    asyncio.run(story())


def test_a_value_comes_with_a_proof_that_gateway_and_board_check_against_a_verified_header(mesh):
    """The key-value store of CometBFT gives none (`Query` in abci/example/kvstore): the application is one of ours, on
    CometBFT's own proofs."""

    async def story():
        where = f"tcp://{HOST}:{free_port()}"
        with proving(where), CometNode(mesh.folder / "proving", proxy=where) as node:
            async with Gateway(mesh.config(cometbft=table(node))) as gateway, mesh.node("meter", gateway) as meter:
                family = gateway.families["cometbft"]
                await until(lambda: family.chain.height)
                own = Chain(await meter.gateway("cometbft", 30000), node.chain, genesis(node))
                for n in range(5):
                    assert (await own.submit(b"meter%d=%d" % (n, 100 + n)))[1] == 0
                height, value = await own.proven("/key", b"meter3")
                assert value == b"103" and height >= own.tip.height - 1
                with pytest.raises(NotVerified, match="without a proof"):
                    await own.proven("/key", b"nobody")
                await until(lambda: family.chain.height > own.tip.height + 2)
                await own.header()  # the tip is beyond the state that was asked for
                assert (await own.proven("/key", b"meter0"))[1] == b"100"
                asked = family._queries._rpc.query

                async def lies(path: str, data: bytes):
                    told = await asked(path, data)
                    told.value = b"999"
                    return told

                family._queries._rpc.query = lies
                with pytest.raises(RequestError, match="does not fit the chain"):
                    await own.proven("/key", b"meter0")

                family._queries._is_proven = trusting(family)
                with pytest.raises(NotVerified, match="does not fit"):
                    await own.proven("/key", b"meter0")

    asyncio.run(story())


def test_a_key_that_is_not_there_is_proven_so_and_a_long_proof_comes_in_pieces(mesh):
    """By proofs of ICS-23 which its Go library has checked."""

    async def story():
        where = f"tcp://{HOST}:{free_port()}"
        with proving(where), CometNode(mesh.folder / "proving", proxy=where) as node:
            async with Gateway(mesh.config(cometbft=table(node))) as gateway, mesh.node("meter", gateway) as meter:
                family = gateway.families["cometbft"]
                await until(lambda: family.chain.height)
                own = Chain(await meter.gateway("cometbft", 30000), node.chain, genesis(node))
                for n in range(40):
                    node.ask(f'broadcast_tx_sync?tx="meter{n:02}={n}"')
                assert (await own.submit(b"last=1"))[1] == 0
                assert (await own.proven("/ics23", b"meter07"))[1] == b"7"
                for key in (b"meter07x", b"a", b"z"):  # between two, before all, behind all
                    height, value = await own.proven("/ics23", key)
                    assert value is None and height >= own.tip.height - 1
                proof = (await own.query("/ics23", b"meter07x"))[3]
                assert len(proof) > Profile().request_max
                hides = family._queries._rpc.query

                async def says_it_is_not_there(path: str, data: bytes):
                    told = await hides(path, data + b"x")
                    operation = dict(decode_fields(decode_fields(told.proof)[0][1]))
                    told.proof = encode_fields([(1, encode_fields([(1, operation[1]), (2, data), (3, operation[3])]))])
                    return told

                family._queries._rpc.query = says_it_is_not_there
                family._queries._is_proven = trusting(family)
                with pytest.raises(NotVerified, match="does not fit"):
                    await own.proven("/ics23", b"meter07")
                family._queries._rpc.query = hides
                for key, wanted in (("meter07", "is 7"), ("meter07x", "is not there: proven")):
                    said = await said_by(
                        mesh,
                        gateway,
                        "cometbft_ask.py",
                        *(node.chain, "1", hash_at(node, 1), "/ics23", key, str(free_port())),
                        until=lambda said, wanted=wanted: wanted in said,
                    )
                    assert "not proven" not in said, said

    asyncio.run(story())


def trusting(family):
    """What makes a gateway one that passes on what it is told."""

    async def is_proven(told, _keys):
        await until(lambda: family.chain.height > told.height)
        return True

    return is_proven


@contextmanager
def proving(where: str):
    """The application that proves what it answers."""
    process = subprocess.Popen([str(golang.binary("cometbft")), where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_a_change_of_validators_is_followed_step_by_step_and_over_a_gap(mesh, chain):
    async def story():
        async with Gateway(mesh.config(cometbft=table(chain))) as gateway, mesh.node("meter", gateway) as node:
            family = gateway.families["cometbft"]
            await until(lambda: family.chain.height)
            gw = await node.gateway("cometbft", 30000)
            before, after = Chain(gw, chain.chain, genesis(chain)), Chain(gw, chain.chain, genesis(chain))
            await before.header()
            assert (await after.submit(b"val=ed25519!%s!3" % NEWCOMER.encode()))[1] == 0
            await until(lambda: len(family.chain.tip.validators) == 2)
            header = await before.header()  # over the gap: its validators are others than those that were trusted
            assert (
                header.validators_hash
                != (await Chain(gw, chain.chain, genesis(chain)).header(header.height - 8)).validators_hash
            )
            assert family.chain.refused == 0

    asyncio.run(story())


def test_what_a_lying_gateway_tells_is_not_believed(mesh, chain):
    """Its blocks are those of another chain of the same name, signed by that chain's own validator."""

    async def story():
        with CometNode(mesh.folder / "other") as other:
            text = other.genesis.read_text()
            other.stop()
            other.run("unsafe-reset-all")
            other.genesis.write_text(text.replace(json.loads(text)["chain_id"], chain.chain))
            other.start()
            async with Gateway(mesh.config(cometbft=table(other))) as liar, mesh.node("meter", liar) as node:
                await until(lambda: liar.families["cometbft"].chain.height)
                gw = await node.gateway("cometbft", 30000)
                with pytest.raises(NotVerified, match="too few"):
                    await Chain(gw, chain.chain, genesis(chain)).header()
                with pytest.raises(NotVerified, match="another block"):
                    await Chain(gw, chain.chain, height=1, hash32=bytes.fromhex(hash_at(chain, 1))).header()

    asyncio.run(story())


def test_a_node_of_the_chain_dials_the_gateway(mesh, chain, tmp_path):
    async def story():
        port = free_port()
        listening = table(chain, peers=[], listen=f"{HOST}:{port}")
        async with Gateway(mesh.config(cometbft=listening)) as gateway:
            family = gateway.families["cometbft"]
            home = tmp_path / "dialer"
            dialer = CometNode(home, more=(("persistent_peers", f'"{family.id}@{HOST}:{port}"'), ("timeout_commit", '"1h"')))
            shutil.copy(chain.genesis, dialer.genesis)
            dialer.launch()
            try:
                await until(lambda: dialer.id in family.peers and not family.peers[dialer.id].is_outbound)
            finally:
                dialer.stop()

    asyncio.run(story())


def test_a_node_finds_the_chain_by_a_gateway_that_is_a_seed(mesh, chain, tmp_path):
    async def story():
        port = free_port()
        seed = table(chain, seed=True, listen=f"{HOST}:{port}")
        async with Gateway(mesh.config(cometbft=seed)) as gateway:
            family = gateway.families["cometbft"]
            await until(lambda: family.peers)
            newcomer = CometNode(tmp_path / "newcomer", more=(("seeds", f'"{family.id}@{HOST}:{port}"'),))
            shutil.copy(chain.genesis, newcomer.genesis)
            newcomer.launch()
            try:
                await until(lambda: newcomer.id in [each["node_info"]["id"] for each in chain.ask("net_info")["peers"]])
                assert family.state()["told"]
                await until(lambda: newcomer.id not in family.peers)
            finally:
                newcomer.stop()

    asyncio.run(story())


def test_a_gateway_finds_the_chain_by_a_node_that_is_a_seed(mesh, chain, tmp_path):
    async def story():
        seed = CometNode(tmp_path / "seed", chain, more=(("seed_mode", "true"),))
        shutil.copy(chain.genesis, seed.genesis)
        seed.launch()
        try:
            async with Gateway(mesh.config(cometbft=table(chain, peers=[], seeds=[seed.address]))) as gateway:
                family = gateway.families["cometbft"]
                await until(lambda: chain.id in family.peers and family.chain.height)
        finally:
            seed.stop()

    asyncio.run(story())


def test_a_board_submits_a_reading_and_verifies_headers_in_its_own_heap(mesh, chain):
    async def story():
        async with Gateway(mesh.config(cometbft=table(chain))) as gateway:
            await until(lambda: gateway.families["cometbft"].chain.height)
            height = gateway.families["cometbft"].chain.height
            said = await said_by(
                mesh,
                gateway,
                "cometbft_meter.py",
                *(chain.chain, str(height), hash_at(chain, height), str(free_port())),
                until=lambda said: "is in block" in said and said.count("is verified") >= 2,
            )
            assert "with code 0" in said and "not verified" not in said, said

    asyncio.run(story())
