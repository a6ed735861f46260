"""Two leaves, with the form of the library that the profile of a leaf is given, in a heap of 128 KB: they join, publish,
hear, ask, answer, and wake as who they were."""

from __future__ import annotations

import asyncio
import time

from mesh import WALL_S
from picoswarm import Node
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_gateway.profile import gateway_profile
from picoswarm_tools import boards, mpy, runtimes
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, NodeProcess, free_ports

# Of that the demo program takes a fifth where it is compiled, as here, from its source.
HEAP = 131_072
SOUND = ("faults", "handler_faults", "out_of_memory")


async def until(what, seconds, *nodes):
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, [(node.state, node.said) for node in nodes]
        await asyncio.sleep(0.2)


def test_leaves_join_publish_answer_and_wake_in_a_small_heap(tmp_path, record_property):
    runtimes.find("micropython")
    library = mpy.compile_library("x86", mpy.BOARD_LEVEL, "leaf")
    membership = Membership(new_network_key())
    ports = free_ports(3)
    store = Store(str(tmp_path / "bootstrap"))
    save(store, membership)
    leaves = [NodeProcess(str(i), tmp_path / str(i), ports[i], membership, HEAP) for i in (1, 2)]
    numbers = {**boards.numbers_of("leaf"), "every": 1000}
    heard: dict[bytes, int] = {}

    async def hear(node):
        async for message in node.subscribe("sensors/#"):
            heard[message.origin] = heard.get(message.origin, 0) + 1

    async def start(leaf):
        await leaf.start(f"{HOST}:{ports[0]}", numbers, library)

    async def scenario():
        async with Node(store, profile=gateway_profile(), host=HOST, port=ports[0]) as node:
            hearing = asyncio.create_task(hear(node))
            node.handle("heap", lambda caller, payload: b"0")
            try:
                await asyncio.gather(*map(start, leaves))
                await until(lambda: len(heard) == 2 and min(heard.values()) > 2, WALL_S, *leaves)
                # Each hears the other one, whom the node between them passes on, and the node answers it.
                await until(lambda: all(leaf.state["heard"] and leaf.state["answered"] for leaf in leaves), WALL_S, *leaves)
                for leaf in leaves:
                    id32 = bytes.fromhex(leaf.id)
                    assert 20_000 < int(await node.request(id32, "heap", b"")) < HEAP
                    assert "measures" in (await node.read_log(id32))[0]
                    stream = await node.open_stream(id32, "/echo/1.0.0")
                    await stream.write(b"back")
                    stream.close()
                    assert await stream.read() == b"back"
                await until(lambda: all(leaf.state["stats"]["sessions"] for leaf in leaves), WALL_S, *leaves)
                for leaf in leaves:
                    assert not any(leaf.stat(name) for name in SOUND), (leaf.state, leaf.said)
                record_property("measured", f"heap of leaves with the demo program: {[leaf.heap_max for leaf in leaves]}")
                # Deep sleep loses the memory, and says nothing to anybody.
                sleeper = leaves[0]
                await sleeper.kill()
                heard.clear()
                await start(sleeper)
                await until(lambda: heard.get(bytes.fromhex(sleeper.first_id), 0) > 2, WALL_S, *leaves)
                assert sleeper.boots == 2 and sleeper.id == sleeper.first_id
                assert not any(sleeper.stat(name) for name in SOUND), (sleeper.state, sleeper.said)
            finally:
                hearing.cancel()
                await asyncio.gather(*(leaf.stop() for leaf in leaves))

    asyncio.run(scenario())
