"""The node database of a running node: kept on flash, and enough to come back without a bootstrap node."""

from __future__ import annotations

import asyncio

import pytest
from picoswarm import Node, Profile, net, node
from picoswarm.keys import load_nodes
from picoswarm.slots import NODES
from picoswarm_tools.demo.mesh import FAST
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, Membership, Store, free_ports


@pytest.fixture
def make(tmp_path, monkeypatch):
    """make(i, bootstrap): node i of two, which keeps whom it knows each second; `make.stores`, `make.ports`."""
    monkeypatch.setattr(net, "_CHECK_MS", 100)
    monkeypatch.setattr(node, "_SAVE_S", 1)
    monkeypatch.setattr("picoswarm.slots.NODES.interval_s", 0)
    membership, ports = Membership(new_network_key()), free_ports(2)
    stores = [Store(str(tmp_path / name)) for name in "ab"]
    for store in stores:
        save(store, membership)

    def make(i, bootstrap=()):
        return Node(stores[i], profile=Profile(bootstrap=1, **FAST), host=HOST, port=ports[i], bootstrap=bootstrap)

    make.stores, make.ports = stores, ports
    return make


async def until(condition):
    async with asyncio.timeout(240):
        while not condition():
            await asyncio.sleep(0.1)


async def know(make):
    """Let node 1 keep node 0, which it knows by its address. Returns the id of that, which is down now."""
    async with make(0) as first, make(1, [f"{HOST}:{make.ports[0]}"]) as second:
        await until(lambda: second.peers() and load_nodes(make.stores[1]))
        assert load_nodes(make.stores[1])[0][0] == first.id
        assert first.fault is None and second.fault is None
        return first.id


def test_a_node_comes_back_by_the_nodes_it_kept(make):
    async def scenario():
        await know(make)
        async with make(0) as first, make(1) as second:
            second._discovery.beacon_ip = bytes(4)  # only what was kept leads back
            first._discovery.beacon_ip = bytes(4)
            await until(lambda: second.peers())
            assert first.fault is None and second.fault is None

    asyncio.run(scenario())


def test_the_nodes_that_were_kept_are_asked_again_while_nobody_answers(make):
    """A power cut: the board is up before the network is."""

    async def scenario():
        first = await know(make)
        async with make(1) as second:
            second._discovery.beacon_ip = bytes(4)
            await asyncio.sleep(15)  # who was asked once is given up by now
            assert second.peers() == []
            make.stores[0].remove(NODES)
            async with make(0) as late:
                late._discovery.beacon_ip = bytes(4)
                async with asyncio.timeout(60):
                    await until(lambda: second.peers())
                assert second.peers()[0].id == first and second.fault is None

    asyncio.run(scenario())


def test_who_met_nobody_keeps_the_nodes_of_its_life_before(make):
    async def scenario():
        first = await know(make)
        async with make(1) as second:
            await until(lambda: second.stats()["uptime"] > 3)
            assert load_nodes(make.stores[1])[0][0] == first and second.fault is None

    asyncio.run(scenario())
