"""Ownership by rendezvous hashing: all gateways and boards agree, and little moves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from picoswarm_gateway.gateway import Gateway
from picoswarm_gateway.owners import owner
from small_mesh import HOST, until


def ids(count: int, seed: int) -> list[bytes]:
    draw = random.Random(seed)
    return [draw.randbytes(32) for _ in range(count)]


def test_boards_are_shared_out_and_only_those_of_a_gateway_that_went_move():
    gateways, boards = ids(3, 1), ids(3000, 2)
    before = {board: owner(board, gateways) for board in boards}
    shares = Counter(before.values())
    assert all(850 < shares[each] < 1150 for each in gateways)
    after = {board: owner(board, gateways[1:]) for board in boards}
    assert all(after[board] == before[board] for board in boards if before[board] != gateways[0])


def test_gateways_meet_and_a_board_asks_its_owner_first(mesh):
    async def story():
        first = mesh.config("one")
        second = mesh.config("two")
        second.mesh.bootstrap = [f"{HOST}:{first.mesh.port}"]
        async with Gateway(first) as one, Gateway(second) as two, mesh.node("board", one, two) as node:
            both = {one.id, two.id}
            await until(lambda: one.owners.gateways == two.owners.gateways == both)
            from picoswarm.gateway import Gateway as Client

            client = Client(node, node._services, node._discovery.table, "mqtt")
            await until(lambda: set(client.gateways()) == both)
            assert client.gateways()[0] == one.owners.owner(node.id) == two.owners.owner(node.id)
            changes = []
            one.owners.listen(lambda before, now: changes.append(now))
            await two.stop()
            await until(lambda: {one.id} in changes)
            assert one.owners.is_mine(node.id)

    asyncio.run(asyncio.wait_for(story(), 90))
