"""What a running node does about the epochs of its network key."""

from __future__ import annotations

import asyncio

from picoswarm import Node, identity, net
from picoswarm.keys import load_membership
from picoswarm.services import Services
from picoswarm_tools.keyfolder import new_network_key, rotated, save
from picoswarm_tools.swarm import HOST, Membership, Store


def test_the_lower_network_key_goes_after_its_time_from_the_folder_too(tmp_path, monkeypatch):
    monkeypatch.setattr(net, "_CHECK_MS", 20)
    monkeypatch.setattr(identity, "_LOWER_KEPT_S", 1)
    failures = [MemoryError(), MemoryError()]
    really_end = Services.end_epoch

    def end_epoch(services, epoch):
        if failures:
            raise failures.pop()
        really_end(services, epoch)

    monkeypatch.setattr(Services, "end_epoch", end_epoch)
    store = Store(str(tmp_path / "node"))
    held = rotated(Membership(new_network_key()))
    save(store, held)

    async def scenario():
        async with Node(store, host=HOST, port=0) as node:
            async with asyncio.timeout(60):
                while load_membership(store).lower is not None:
                    await asyncio.sleep(0.05)
            assert node.fault is None and not failures and node.stats()["out_of_memory"] == 2

    asyncio.run(scenario())
    assert load_membership(store).highest.key == held.highest.key
