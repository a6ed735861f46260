"""How gateways find each other in CometBFT and Ethereum networks: by a seed, and when both dial at once."""

from __future__ import annotations

import asyncio

import pytest
from made_nodes import MadeChain, MadeComet, MadeEthereum
from picoswarm_gateway.families import dialing
from picoswarm_gateway.families.cometbft import switch as cometbft
from picoswarm_gateway.families.ethereum import switch as ethereum
from picoswarm_gateway.gateway import Gateway
from small_mesh import HOST, SmallMesh, free_port, until

PATIENCE_S = 60.0
ENDS = 4  # of two connections


@pytest.fixture
def mesh(tmp_path):
    return SmallMesh(tmp_path)


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story, PATIENCE_S))


def table(family: str, tmp_path, **more: object):
    """Of a gateway that listens and knows nobody."""
    port = free_port()
    if family == "ethereum":
        return MadeEthereum("honest").table(peers=[], listen=True, port=port, **more)
    genesis = MadeChain(1).genesis(tmp_path / "genesis.json")
    return MadeComet("honest", MadeChain(1)).table(genesis, **{"peers": [], "listen": f"{HOST}:{port}", **more})


def address(served) -> str:
    """Where others dial it."""
    if served.name == "ethereum":
        return served.discovery.node.enode
    return f"{served.id}@{served._table.listen}"


def ends(served) -> list[tuple]:
    """(own port, the other's port) of each connection."""
    lines = [getattr(peer, "_line", peer)._writer for peer in served.peers.values()]
    return [(each.get_extra_info("sockname")[1], each.get_extra_info("peername")[1]) for each in lines]


@pytest.mark.parametrize("family", ["cometbft", "ethereum"])
def test_of_two_that_dial_each_other_at_once_one_connection_stays_the_same_on_both_ends(mesh, tmp_path, monkeypatch, family):
    async def story():
        module = {"cometbft": cometbft, "ethereum": ethereum}[family]
        shake, met, all_met = module.shake_hands, [], asyncio.Event()

        async def shake_hands(*arguments, **more):
            """Nobody goes on before all four ends have met."""
            peer = await shake(*arguments, **more)
            met.append(peer)
            if len(met) == ENDS:
                all_met.set()
            await all_met.wait()
            return peer

        monkeypatch.setattr(module, "shake_hands", shake_hands)
        one, other = table(family, tmp_path), table(family, tmp_path)
        one.connections = other.connections = 0
        async with Gateway(mesh.config(**{family: one})) as a, Gateway(mesh.config("other", **{family: other})) as b:
            ours, theirs = a.families[family], b.families[family]
            dials = [asyncio.create_task(x.dial(address(y))) for x, y in ((ours, theirs), (theirs, ours))]
            await all_met.wait()
            await until(lambda: sum(task.done() for task in dials) == 1)  # of the one that did not stay
            await until(lambda: len(ends(ours)) == 1 and ends(ours) == [each[::-1] for each in ends(theirs)])
            kept = min((ours, theirs), key=lambda each: each.id if family == "cometbft" else each.discovery.node.key)
            assert next(iter(kept.peers.values())).is_outbound
        await asyncio.gather(*dials, return_exceptions=True)

    run(story())


def test_a_node_that_knows_only_a_seed_finds_another_one_by_it(mesh, tmp_path, monkeypatch):
    monkeypatch.setattr(dialing, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(dialing, "LONGEST_WAIT_S", 0.5)
    monkeypatch.setattr(dialing, "LOOK_S", 0.2)

    async def story():
        async with Gateway(mesh.config("seed", cometbft=table("cometbft", tmp_path, seed=True))) as directory:
            seed = directory.families["cometbft"]
            told = {"seeds": [address(seed)]}
            one = table("cometbft", tmp_path, **told)
            other = table("cometbft", tmp_path, **told, listen="")
            async with Gateway(mesh.config("one", cometbft=one)) as a:
                first = a.families["cometbft"]
                await until(lambda: seed.state()["crawled"])
                async with Gateway(mesh.config("other", cometbft=other)) as b:
                    second = b.families["cometbft"]
                    await until(lambda: first.id in second.peers and second.id in first.peers)
                    await until(lambda: not seed.peers)

    run(story())
