"""The family libp2p in a running gateway, with another of our hosts as the peer that it is to be connected to."""

from __future__ import annotations

import asyncio

from picoswarm_gateway.families.libp2p.table import Libp2pTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools.libp2p.pairs import Ours
from small_mesh import until


def test_a_peer_of_the_configuration_is_dialed_again_when_its_connection_ended(mesh):
    async def story():
        async with Ours() as peer:
            table = Libp2pTable(enabled=True, peers=peer.host.address_texts())
            async with Gateway(mesh.config(libp2p=table)) as gateway:
                family = gateway.families["libp2p"]
                await until(lambda: peer.host.connections)
                assert family.host.protected[peer.host.id]
                (first,) = peer.host.connections
                first.close()
                await until(lambda: peer.host.connections and first not in peer.host.connections)
                await until(lambda: family.state()["peers"] == [peer.host.peer_id])

    asyncio.run(story())
