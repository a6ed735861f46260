"""What CometBFT and Ethereum peers may do wrong: the family goes on, and the mesh does not notice."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_nodes import CHAIN, MadeChain, MadeComet, MadeEthereum
from picoswarm_gateway import gateway as gateway_module
from picoswarm_gateway.families import dialing
from picoswarm_gateway.families.cometbft import follower as comet_follower
from picoswarm_gateway.families.cometbft import messages as comet
from picoswarm_gateway.families.cometbft.peer import shake_hands as comet_hands
from picoswarm_gateway.families.cometbft.secret import SecretConnection, node_id
from picoswarm_gateway.families.ethereum import follower as ethereum_follower
from picoswarm_gateway.families.ethereum import messages as eth
from picoswarm_gateway.families.ethereum import peer as ethereum_peer
from picoswarm_gateway.families.ethereum.record import read_enode
from picoswarm_gateway.families.strangers import AGAIN_S, HALF_OPEN, HALF_OPEN_EACH, Door, is_believed
from picoswarm_gateway.gateway import Gateway
from small_mesh import HOST, SmallMesh, free_port, until

FAMILIES = ("cometbft", "ethereum")
DAY_S = 86_400.0
PATIENCE_S = 60.0


@pytest.fixture
def mesh(tmp_path):
    return SmallMesh(tmp_path)


@pytest.fixture
def quick(monkeypatch):
    """The first wait before a peer is dialed again is short."""
    monkeypatch.setattr(dialing, "FIRST_WAIT_S", 0.05)


def made(family: str, behave: str, tmp_path):
    """(a node that behaves so, the family's table with it as the only peer)."""
    if family == "ethereum":
        node = MadeEthereum(behave)
        return node, node.table()
    chain = MadeChain(12)
    node = MadeComet(behave, chain)
    return node, node.table(chain.genesis(tmp_path / "genesis.json"))


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story, PATIENCE_S))


async def is_mesh_well(mesh, gateway, name: str) -> None:
    """A node of the mesh joins and is answered within its usual time."""
    async with mesh.node(name, gateway) as node:
        await until(lambda: node.sessions())
        assert await node.request(gateway.id, "gateway", b"", 10_000)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("behave", ["silent", "hangs_up", "garbage", "wrong_chain", "garbage_after", "reset"])
def test_a_peer_that_does_wrong_is_left_and_the_family_is_up_once_it_does_right(mesh, tmp_path, quick, family, behave):
    async def story():
        node, table = made(family, behave, tmp_path)
        async with node, Gateway(mesh.config(**{family: table})) as gateway:
            served = gateway.families[family]
            await until(lambda: node.came)
            await is_mesh_well(mesh, gateway, "board")
            if behave != "silent":  # its time is up only after seconds
                await until(lambda: not served.peers and served.state()["trouble"])
                assert served.state()["state"] == "down"
            assert not gateway.loops.state()
            if behave in ("silent", "garbage_after"):
                return
            node.behave = "honest"
            await until(lambda: served.state()["state"] == "up")
            assert not gateway.loops.state()

    run(story())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_peer_that_is_slow_is_waited_for(mesh, tmp_path, quick, family):
    async def story():
        node, table = made(family, "slow", tmp_path)
        async with node, Gateway(mesh.config(**{family: table})) as gateway:
            await is_mesh_well(mesh, gateway, "board")
            await until(lambda: gateway.families[family].state()["state"] == "up")
            assert node.came == 1 and not gateway.loops.state()

    run(story())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_day_without_peers_costs_few_dials_with_waits_that_differ_and_no_queue(mesh, tmp_path, monkeypatch, family):
    async def story():
        node, table = made(family, "honest", tmp_path)
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await asyncio.sleep(0 if sum(waits) < DAY_S else 0.05)

        monkeypatch.setattr(gateway_module, "Dialing", partial(dialing.Dialing, sleep=sleep))
        async with Gateway(mesh.config(**{family: table})) as gateway:
            served = gateway.families[family]
            await until(lambda: sum(waits) >= DAY_S)
            assert served.state()["state"] == "down" and served.state()["trouble"]
            assert max(waits) <= 1.25 * dialing.LONGEST_WAIT_S and DAY_S / 75 < len(waits) < DAY_S / 45
            assert len({round(each, 3) for each in waits[-100:]}) > 50
            assert not gateway.loops.state() and len(asyncio.all_tasks()) < 60
            await is_mesh_well(mesh, gateway, "board")
            async with node:
                await until(lambda: served.state()["state"] == "up")

    run(story())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("jump", [-400 * DAY_S, 400 * DAY_S])
def test_a_clock_that_jumps_ends_no_connection_and_bans_nobody(mesh, tmp_path, quick, monkeypatch, family, jump):
    monkeypatch.setattr(comet_follower, "STATUS_S", 1.0)

    async def story():
        node, table = made(family, "honest", tmp_path)
        real = time.time
        async with node, Gateway(mesh.config(**{family: table})) as gateway:
            served = gateway.families[family]
            await until(lambda: served.state()["state"] == "up")
            peer = next(iter(served.peers.values()))
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda: real() + jump)
                if family == "cometbft":
                    node.chain._make(13)
                    node.chain._make(14)
                    served.chain._clock = time.time
                    served._switch._is_at(peer, 14)
                    await until(lambda: served._follower.trouble)
                    assert served.state()["state"] == "down"
                else:
                    asked = node.asked
                    await until(lambda: node.asked > asked + 2)
            if family == "cometbft":
                served.chain._clock = real
            await until(lambda: served.state()["state"] == "up")
            assert list(served.peers.values()) == [peer] and not served.state().get("bans")
            assert not gateway.loops.state()

    run(story())


# One family alone


def test_a_node_that_goes_while_it_is_asked_does_not_end_the_following(mesh, quick):
    async def story():
        node = MadeEthereum("goes_when_asked")
        async with node, Gateway(mesh.config(ethereum=node.table())) as gateway:
            await until(lambda: node.asked >= 2)
            node.behave = "honest"
            await until(lambda: gateway.families["ethereum"].follower.head)
            assert not gateway.loops.state()

    run(story())


def test_a_node_that_asks_and_never_reads_is_let_go_and_takes_little_memory(mesh, quick, monkeypatch):
    monkeypatch.setattr(ethereum_peer, "UNREAD_S", 1.0)

    async def story():
        node = MadeEthereum("honest", head=64)
        async with node, Gateway(mesh.config(ethereum=node.table())) as gateway:
            family = gateway.families["ethereum"]
            await until(lambda: len(family.follower.headers))
            family.follower.headers.update({n: eth.Header.read(each) for n, each in enumerate(node.headers)})
            family.follower.headers.move_to_end(64)
            node.behave = "never_reads"
            peer = next(iter(family.peers.values()))
            peer.close("the test wants another connection")
            await until(lambda: family.peers and peer not in family.peers.values())
            again = next(iter(family.peers.values()))
            node.behave = "hangs_up"
            most = 0

            def is_gone() -> bool:
                nonlocal most
                most = max(most, again._line._writer.transport.get_write_buffer_size())
                return again not in family.peers.values()

            await until(is_gone)
            assert again.trouble == "it does not read" and 0 < most < 8 << 20

    run(story())


def test_a_head_that_no_peer_has_any_more_is_given_up(mesh, quick, monkeypatch):
    monkeypatch.setattr(ethereum_follower, "UNCONFIRMED_S", 0.5)

    async def story():
        liar, honest = MadeEthereum("honest", head=5000), MadeEthereum("honest", head=40)
        async with liar, Gateway(mesh.config(ethereum=liar.table())) as gateway:
            family = gateway.families["ethereum"]
            await until(lambda: family.follower.head and family.follower.head.number == 5000)
            liar.headers = honest.headers
            next(iter(family.peers.values())).close("it begins anew")
            await until(lambda: family.follower.head and family.follower.head.number == 40)

    run(story())


def test_a_peer_that_withholds_blocks_does_not_keep_the_chain_from_being_followed(mesh, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(comet_follower, "BLOCK_S", 0.5)

    async def story():
        chain = MadeChain(12)
        liar, honest = MadeComet("withholds", chain, 2), MadeComet("honest", chain, 3)
        liar.claims = 1 << 40
        table = liar.table(chain.genesis(tmp_path / "genesis.json"), peers=[liar.address, honest.address])
        async with liar, honest, Gateway(mesh.config(cometbft=table)) as gateway:
            await until(lambda: gateway.families["cometbft"].chain.height == 11)
            assert liar.asked

    run(story())


def test_nobody_can_put_a_block_into_the_mouth_of_another(mesh, tmp_path, quick):
    async def story():
        chain = MadeChain(12)
        honest = MadeComet("honest", chain, 3)
        table = honest.table(chain.genesis(tmp_path / "genesis.json"), listen=f"{HOST}:{free_port()}")
        async with Gateway(mesh.config(cometbft=table)) as gateway:
            family = gateway.families["cometbft"]
            key = Ed25519PrivateKey.generate()
            mine = comet.NodeInfo(node_id(key.public_key().public_bytes_raw()).hex(), CHAIN, "liar", "tcp://127.0.0.1:1")
            reader, writer = await asyncio.open_connection(HOST, int(table.listen.rpartition(":")[2]))
            liar = await comet_hands(reader, writer, key, mine, family.id)
            forged = MadeChain(12)
            forged.commits = {n: each[:-3] + b"\0\0\0" for n, each in chain.commits.items()}

            async def shout() -> None:
                while True:
                    for height in range(1, 12):
                        liar.send(comet.BLOCKSYNC, forged.block(height))
                    await asyncio.sleep(0.002)

            tasks = [asyncio.create_task(liar.run(lambda *_: None)), asyncio.create_task(shout())]
            await until(lambda: family.peers)
            async with honest:
                await until(lambda: family.chain.height == 11)
            assert not family._switch.counts["bans"]
            for task in tasks:
                task.cancel()

    run(story())


def test_garbage_where_a_node_tells_of_itself_is_a_refusal(mesh, tmp_path, quick):
    async def story():
        chain = MadeChain(3)
        node = MadeComet("honest", chain)
        table = node.table(chain.genesis(tmp_path / "genesis.json"), peers=[], listen=f"{HOST}:{free_port()}")
        async with Gateway(mesh.config(cometbft=table)) as gateway:
            family = gateway.families["cometbft"]
            unhandled: list[dict] = []
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
            reader, writer = await asyncio.open_connection(HOST, int(table.listen.rpartition(":")[2]))
            secret = SecretConnection(Ed25519PrivateKey.generate())
            while secret.remote_key is None:
                writer.write(bytes(secret.out))
                secret.out.clear()
                secret.receive(await reader.read(65536))
            secret.send(b"\xff" * 20)
            writer.write(bytes(secret.out))
            await until(lambda: family._switch.counts["refused_peers"])
            assert not unhandled
            writer.close()

    run(story())


@pytest.mark.parametrize("family", FAMILIES)
def test_half_open_connections_are_few(mesh, tmp_path, family):
    async def story():
        node, table = made(family, "honest", tmp_path)
        table.peers, port = [], free_port()
        if family == "cometbft":
            table.listen = f"{HOST}:{port}"
        else:
            table.listen, table.port = True, port
        async with Gateway(mesh.config(**{family: table})) as gateway:
            served = gateway.families[family]
            door = served._switch._door
            ends = [await asyncio.open_connection(HOST, port) for _ in range(HALF_OPEN_EACH + 6)]
            await until(lambda: door.turned_away == 6)
            assert not served.peers
            for _, writer in ends:
                writer.transport.abort()

    run(story())


def test_nodes_that_were_told_of_are_known_after_a_restart(mesh, tmp_path):
    async def story():
        chain = MadeChain(3)
        node = MadeComet("honest", chain)
        table = node.table(chain.genesis(tmp_path / "genesis.json"))
        config = mesh.config(cometbft=table)
        async with Gateway(config) as gateway:
            gateway.families["cometbft"]._switch.book.add("cd" * 20, HOST, 5000, "ef" * 20, HOST)
        async with Gateway(config) as gateway:
            assert f"{'cd' * 20}@{HOST}:5000" in await gateway.families["cometbft"].discover()
        other = MadeEthereum("honest")
        config = mesh.config("other", ethereum=other.table())
        async with other, Gateway(config) as gateway:
            await until(lambda: gateway.families["ethereum"].peers)
            gateway.families["ethereum"].discovery.database.keep(read_enode(other.enode))
        config.ethereum.peers = []
        config.ethereum.listen = True
        async with Gateway(config) as gateway:
            assert other.enode in await gateway.families["ethereum"].discover()
            assert gateway.families["ethereum"].state()["kept"] == 1

    run(story())


def test_an_address_of_the_internet_comes_once_in_half_a_minute_and_a_local_one_as_often_as_it_likes():
    now = [0.0]
    door = Door(lambda: now[0])

    def comes(ip: str) -> bool:
        with door.let_in(ip) as is_in:
            return is_in

    assert comes("8.8.8.8") and not comes("8.8.8.8") and comes("8.8.4.4")
    assert comes("192.168.1.9") and comes("192.168.1.9") and comes("::1")
    assert comes("100.64.0.9") and comes("100.64.0.9")
    now[0] += AGAIN_S
    assert comes("8.8.8.8") and door.turned_away == 1
    inside = [door.let_in(f"10.0.0.{n}") for n in range(HALF_OPEN + 1)]
    assert [each.__enter__() for each in inside] == [True] * HALF_OPEN + [False]


@pytest.mark.parametrize(
    ("ip", "teller", "believed"),
    [
        ("8.8.8.8", "1.1.1.1", True),
        ("192.168.1.1", "1.1.1.1", False),
        ("127.0.0.1", "1.1.1.1", False),
        ("192.168.1.1", "192.168.1.2", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("224.0.0.1", "127.0.0.1", False),
        ("0.0.0.0", "127.0.0.1", False),
        ("metadata.internal", "127.0.0.1", False),
        ("100.64.0.1", "1.1.1.1", False),  # a provider's own network, or a private overlay
        ("100.64.0.1", "100.64.0.2", True),
        ("2606:4700::1111", "1.1.1.1", True),
        ("64:ff9b::c0a8:101", "1.1.1.1", False),  # 192.168.1.1 behind NAT64
        ("2002:c0a8:101::1", "1.1.1.1", False),  # the same by 6to4
        ("::ffff:192.168.1.1", "1.1.1.1", False),
    ],
)
def test_who_is_on_the_internet_cannot_have_us_dial_our_neighbors(ip, teller, believed):
    assert is_believed(ip, teller) is believed
