"""What the family `ethereum` knows of nodes: the database over a restart, who is checked how often, whom it trusts."""

from __future__ import annotations

import asyncio
import time

import pytest
from coincurve import PrivateKey
from made_nodes import MadeEthereum
from picoswarm_gateway.families import Refused, Unreachable
from picoswarm_gateway.families.ethereum import discovery, rlp
from picoswarm_gateway.families.ethereum.database import EXPIRY_S, SEED_S, SWEEP_S, Database
from picoswarm_gateway.families.ethereum.discovery import KEPT_CHECKS, Discovery, own_node
from picoswarm_gateway.families.ethereum.discv4 import FIND, NEIGHBORS, expires, pack, unpack
from picoswarm_gateway.families.ethereum.family import EthereumFamily
from picoswarm_gateway.families.ethereum.kademlia import BUCKET_NET, SIZE, Table
from picoswarm_gateway.families.ethereum.keys import public_bytes
from picoswarm_gateway.families.ethereum.record import Node
from picoswarm_gateway.families.ethereum.table import EthereumTable
from picoswarm_gateway.gateway import Gateway
from small_mesh import HOST, SmallMesh, free_port, until

PATIENCE_S = 60.0
MINUTE_S, HOUR_S = 60.0, 3600.0


class Clock:
    """One that does not jump; where it begins means nothing."""

    now = 700.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def key(n: int) -> PrivateKey:
    return PrivateKey(n.to_bytes(32, "big"))


def node(n: int, ip: str = HOST) -> Node:
    return Node(public_bytes(key(n).public_key), ip, 30303, 30303)


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story, PATIENCE_S))


@pytest.mark.parametrize(
    "url",
    ["enode://…@…:30303", "enode://00@1.2.3.4:5", f"enode://{'0' * 128}@1.2.3.4:5", "enr:", "enr:-abc", "http://1.2.3.4"],
)
def test_the_configuration_says_which_node_cannot_be_read(url):
    good = node(1, "8.8.8.8").enode
    found: list[tuple[str, str]] = []
    EthereumTable(network=1, genesis="0" * 64, bootnodes=[good]).check(found)
    assert not found
    EthereumTable(network=1, genesis="0" * 64, bootnodes=[good, url]).check(found)
    assert [key for key, _ in found] == ["ethereum.bootnodes"] and found[0][1].startswith("the 2. ")


# The database


def test_who_does_not_answer_for_a_day_is_forgotten_but_not_before_somebody_answered(clock):
    database = Database(clock)
    database.keep(node(1))
    database.keep(node(2))
    clock.now += 2 * EXPIRY_S  # the power was off
    database.sweep()
    assert len(database) == 2 and set(database.seeds(30)) == {node(1), node(2)}
    database.answered(node(1).key, HOST)
    database.sweep()
    assert len(database) == 2
    clock.now += SWEEP_S
    database.sweep()
    assert database.seeds(30) == [node(1)]


def test_who_answered_last_days_ago_is_none_to_begin_with(clock):
    database = Database(clock)
    database.keep(node(1))
    clock.now += SEED_S - MINUTE_S
    assert database.seeds(30)
    clock.now += 2 * MINUTE_S
    assert not database.seeds(30)


def test_failures_are_those_of_an_address(clock):
    database = Database(clock)
    database.keep(node(1))
    for _ in range(3):
        database.failed(node(1).key, HOST)
    database.failed(node(1).key, "8.8.8.8")
    assert database.fails(node(1)) == 3 and database.fails(node(1, "8.8.8.8")) == 0
    database.keep(node(1, "8.8.8.8"))
    assert database.fails(node(1, "8.8.8.8")) == 0


def test_the_database_is_the_same_after_a_restart_and_damage_is_passed_over(clock):
    wall = Clock()
    wall.now = 1_700_000_000.0
    database = Database(clock, wall)
    for n in range(1, 20):
        database.keep(node(n, f"8.8.8.{n}"), n)
    database.failed(node(7).key, "8.8.8.7")
    for each in (clock, wall):
        each.now += MINUTE_S
    lines = database.lines()
    assert {line.split()[0] for line in lines} == {"1700000000"}
    again = Database(Clock(), wall)
    again.load(["", "peer enode://x", "1 2 3 enode://00@1.2.3.4:5", "1 2 enode", *lines])
    assert again.lines() == lines and again.fails(node(7, "8.8.8.7")) == 1


@pytest.mark.parametrize("jump", [-400 * EXPIRY_S, 400 * EXPIRY_S])
def test_a_clock_that_jumps_makes_nobody_older_nor_younger(monkeypatch, jump):
    database, real = Database(wall=lambda: time.time()), time.time
    for n in range(1, 5):
        database.keep(node(n))
    database.answered(node(1).key, HOST)
    for jumped in (jump, 0.0):
        monkeypatch.setattr(time, "time", lambda jumped=jumped: real() + jumped)
        database.sweep()
        assert len(database) == len(database.seeds(30)) == len(list(database.proofs(HOUR_S))) == 4
    again = Database()
    again.load(database.lines())
    assert len(again) == len(again.seeds(30)) == len(list(again.proofs(HOUR_S))) == 4


def test_answers_that_are_yet_to_come_by_the_clock_prove_nothing_but_are_good_to_begin_with(clock):
    """The clock was set back before a restart, as that of a computer without a battery is."""
    database = Database(clock)
    database.keep(node(1))
    again = Database(clock, lambda: 0.0)
    again.load(database.lines())
    assert again.seeds(30) == [node(1)] and not list(again.proofs(discovery.PROOF_S))
    again.answered(node(2).key, HOST)
    clock.now += EXPIRY_S
    again.sweep()
    assert not len(again)  # it did not answer since


def test_an_address_that_was_proven_before_a_restart_need_not_be_proven_again(clock):
    async def story():
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        class Ear(asyncio.DatagramProtocol):
            def datagram_received(self, data, _address):
                heard.put_nowait(data)

        database = Database()
        database.keep(node(2))
        ours = Discovery(key(1), own_node(key(1), HOST, 0), (), database)
        await ours.start()
        socket, _ = await loop.create_datagram_endpoint(Ear, (HOST, 0))
        socket.sendto(pack(key(2), FIND, [node(3).key, expires()]), (HOST, ours.node.udp))
        assert unpack(await heard.get())[1] == NEIGHBORS
        ours.stop()
        socket.close()

    run(story())


def test_a_node_that_was_checked_often_is_kept_with_what_its_record_says(monkeypatch):
    monkeypatch.setattr(discovery, "ANSWER_S", 5.0)

    async def story():
        ours, other = Discovery(key(1), own_node(key(1), HOST, 0)), Discovery(key(2), own_node(key(2), HOST, 0))
        other.node = Node(other.node.key, HOST, 0, 40_000)  # connections come in by another port
        await ours.start()
        await other.start()
        assert await ours.ping(Node(other.node.key, HOST, other.node.udp, 1))
        entry = ours.table.get(other.node.id)
        while entry.checks < KEPT_CHECKS:
            assert not ours.database.seeds(1)
            await ours.check(entry)
        assert entry.node == other.node and entry.is_slow
        assert ours.database.seeds(1) == [other.node]
        for each in (ours, other):
            each.stop()

    run(story())


def test_a_pong_with_a_number_that_is_none_is_an_answer_without_it():
    async def story():
        ours = Discovery(key(1), own_node(key(1), HOST, 0))
        ours.table.add(node(2), 0.0)
        entry = ours.table.get(node(2).id)

        async def answer(_node):
            return [[], bytes(32), b"", b"\0\1"]

        ours._ping = answer
        await ours.check(entry)
        assert entry.checks == 1 and entry.sequence == 0

    run(story())


def test_what_keeps_the_table_ends_as_a_whole():
    async def story():
        ours = Discovery(key(1), own_node(key(1), HOST, 0))

        async def nobody():
            pass

        async def fails():
            raise ValueError

        ours.join, ours._keep_fresh = nobody, fails
        before = asyncio.all_tasks()
        for _ in range(3):  # as a loop of the gateway begins again what failed
            with pytest.raises(ValueError):
                await ours.keep()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    run(story())


# The table


def far(count: int, ip=lambda n: HOST) -> list[Node]:
    """Nodes of one bucket of the table of node 1."""
    table, found, n = Table(node(1).id), [], 2
    while len(found) < count:
        one = node(n, ip(len(found)))
        n += 1
        if table._at(one.id) == 16:
            found.append(one)
    return found


def test_a_node_that_answered_often_may_miss_two_checks_and_a_new_one_none():
    table = Table(node(1).id)
    nodes = far(SIZE + 1)
    for each in nodes:
        table.add(each, 1.0)
    old, new = table.get(nodes[0].id), table.get(nodes[1].id)
    for _ in range(9):
        table.checked(old, True, 2.0)
    assert table.to_check(True) is old and table.to_check(False) is not old
    for _ in range(2):
        table.checked(old, False, 3.0)
        assert table.get(old.id) and table.to_check(True) is None
    table.checked(old, False, 3.0)
    assert table.get(old.id) is None and table.get(nodes[SIZE].id)  # who waited is there now
    table.checked(new, False, 3.0)
    assert table.get(new.id) is None and len(table) == SIZE - 1


def test_of_one_network_no_more_wait_than_may_be_there():
    table = Table(node(1).id)
    nodes = far(SIZE + 8, lambda n: f"8.{n + 1}.8.8" if n < SIZE else f"9.9.9.{n}")
    for each in nodes:
        table.add(each, 1.0)
    assert len(table) == SIZE
    for each in nodes[:SIZE]:
        table.remove(each.id, 2.0)
    assert len(table) == BUCKET_NET


# The family


def test_a_node_that_is_trusted_comes_in_where_all_places_are_taken_and_another_does_not(tmp_path):
    mesh = SmallMesh(tmp_path)

    async def story():
        def table(**more: object):
            return MadeEthereum("honest").table(peers=[], listen=True, port=free_port(), connections=0, **more)

        async with Gateway(mesh.config("own", ethereum=table())) as own, Gateway(mesh.config("it", ethereum=table())) as it:
            enode = own.families["ethereum"].discovery.node.enode
            async with Gateway(mesh.config(ethereum=table(inbound=0, trusted=[enode]))) as gateway:
                served = gateway.families["ethereum"]
                with pytest.raises(Unreachable):
                    await it.families["ethereum"].dial(served.discovery.node.enode)
                dialed = asyncio.create_task(own.families["ethereum"].dial(served.discovery.node.enode))
                await until(lambda: served.peers)
                assert [each.key for each in served.peers.values()] == [own.families["ethereum"].discovery.node.key]
            await asyncio.gather(dialed, return_exceptions=True)

    run(story())


def test_a_transaction_with_blobs_is_refused():
    async def story():
        family = EthereumFamily(MadeEthereum("honest").table())
        with pytest.raises(Refused, match="blobs"):
            await family.submit(bytes(32), b"\3" + rlp.encode([b""] * 12))

    run(story())
