"""The node database of a running node: kept on flash, and enough to come back without a bootstrap node."""

from __future__ import annotations

import asyncio

from picoswarm import Node, Profile, net, node
from picoswarm.keys import load_nodes
from picoswarm_tools.demo.mesh import FAST
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, Membership, Store, free_ports


def test_a_node_comes_back_by_the_nodes_it_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(net, "_CHECK_MS", 100)
    monkeypatch.setattr(node, "_SAVE_S", 1)
    monkeypatch.setattr("picoswarm.slots.NODES.interval_s", 0)
    membership, ports = Membership(new_network_key()), free_ports(2)
    stores = [Store(str(tmp_path / name)) for name in "ab"]
    for store in stores:
        save(store, membership)

    def make(i, bootstrap=()):
        return Node(stores[i], profile=Profile(bootstrap=1, **FAST), host=HOST, port=ports[i], bootstrap=bootstrap)

    async def until(condition):
        async with asyncio.timeout(240):
            while not condition():
                await asyncio.sleep(0.1)

    async def scenario():
        async with make(0) as first:
            async with make(1, [f"{HOST}:{ports[0]}"]) as second:
                await until(lambda: second.peers() and load_nodes(stores[1]))
            assert load_nodes(stores[1])[0][0] == first.id
            async with make(1) as second:
                second._discovery.beacon_ip = bytes(4)  # only what was kept leads back
                await until(lambda: second.peers())
            assert first.fault is None and second.fault is None

    asyncio.run(scenario())
