"""A mesh forms where three datagrams in ten are lost. A file of its own: it takes a minute, mostly of waiting."""

from __future__ import annotations

import asyncio
import random

from lossy import LossyNetwork
from mesh import SLACK, WALL_S, Mesh, cpu_seconds


def test_twelve_nodes_find_each_other_through_30_percent_loss(tmp_path, record_property):
    async def scenario():
        mesh = Mesh(tmp_path, 12)
        ports = [mesh.bootstrap_port, *(node.port for node in mesh.nodes)]
        async with LossyNetwork(ports, 0.3, random.Random(7)) as network:
            mesh.bootstrap_at = f"{network.host}:{mesh.bootstrap_port}"
            async with mesh:
                lives = await mesh.until_all_knew_their_nearest(WALL_S * SLACK)
                record_property("measured", mesh.costs(lives))
                assert max(lives.values()) <= 60 * SLACK, lives
                assert max(cpu_seconds(node) for node in mesh.nodes) <= 20
                assert 0.2 < network.lost / (network.lost + network.passed) < 0.4
                mesh.assert_nodes_are_sound()

    asyncio.run(scenario())
