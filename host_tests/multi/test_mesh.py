"""Real MicroPython nodes and a CPython bootstrap node on loopback find each other, lose each other and come back."""

from __future__ import annotations

import asyncio

from mesh import SLACK, WALL_S, Mesh, cpu_seconds
from picoswarm_tools.demo.mesh import FAST


def test_twelve_nodes_know_their_eight_nearest(tmp_path, record_property):
    async def scenario():
        async with Mesh(tmp_path, 12) as mesh:
            lives = await mesh.until_all_knew_their_nearest(WALL_S)
            record_property("measured", mesh.costs(lives))
            assert max(lives.values()) <= 10 * SLACK, lives
            for node in mesh.nodes:
                assert node.stat("sent") <= 200, node.state
                assert cpu_seconds(node) <= 10
            await found_by_lookup(mesh)
            mesh.assert_nodes_are_sound()

    asyncio.run(scenario())


async def found_by_lookup(mesh):
    """Every node looks another one up by its id."""
    for i, node in enumerate(mesh.nodes):
        node.find(mesh.nodes[i - 1].id)
    await mesh.until(lambda: all(node.finds for node in mesh.nodes), WALL_S)
    assert all(node.finds[0]["ok"] for node in mesh.nodes), [node.finds for node in mesh.nodes]


def test_killed_node_is_forgotten_and_comes_back_under_the_same_id(tmp_path, record_property):
    async def scenario():
        async with Mesh(tmp_path, 6, FAST) as mesh:
            await mesh.until_all_knew_their_nearest(WALL_S)
            victim, *others = mesh.nodes
            await victim.kill()
            killed_at = [node.stat("uptime") for node in others]
            await mesh.until(lambda: not any(victim.id[:8] in node.peers for node in others), WALL_S)
            await mesh.until(lambda: victim.id not in {peer.id.hex() for peer in mesh.bootstrap.peers()}, WALL_S)
            forgotten_in = [node.stat("uptime") - before for node, before in zip(others, killed_at, strict=True)]
            record_property("measured", f"a killed node is forgotten by everybody after {max(forgotten_in)} s")
            assert max(forgotten_in) <= 30, forgotten_in
            await mesh.until(lambda: all(node.stat("entries") <= 6 for node in others), WALL_S)
            await mesh.start(victim)
            await mesh.until(lambda: bool(victim.id) and all(victim.id[:8] in node.peers for node in others), WALL_S)
            await mesh.until_all_knew_their_nearest(WALL_S)
            assert victim.boots == 2 and victim.id == victim.first_id
            mesh.assert_nodes_are_sound()

    asyncio.run(scenario())
