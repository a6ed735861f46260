# What the parts of a node take of the heap, on 32-bit MicroPython:
# session_parts.py MODULE,... FOLDER FOLDER PORT PORT [name=value ...]
# Two nodes of one profile in this process open a session with each other. One JSON object a line: what was imported or
# done, and the bytes that it left on the heap after two collections.
import gc
import sys


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


import asyncio  # noqa: E402
import json  # noqa: E402


class Heap:
    """What was allocated at the last look."""

    last = 0


def mark(**of):
    """Tell how much more there is than at the last look."""
    now = used()
    if of:
        print(json.dumps(dict(of, bytes=now - Heap.last)))
    Heap.last = used()


async def main(modules, folder, second_folder, port, second_port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in numbers]}
    mark()
    for name in modules.split(","):
        __import__("picoswarm." + name)
        mark(code=name)
    from picoswarm import Node

    mark()
    node = Node(folder, profile=changes, host="127.0.0.1", port=int(port))
    await node.start()
    await asyncio.sleep(0)
    mark(state="node", table=len(node._discovery.table.pool))
    second = Node(second_folder, profile=changes, host="127.0.0.1", port=int(second_port))
    await second.start()
    second._discovery.add_bootstrap(b"\x7f\0\0\1", int(port), node.id)
    await asyncio.sleep(0)
    mark(state="second node")
    services = node._services
    if services:
        if services.pubsub:
            hearing = node.subscribe("probe/#")
            mark(state="subscription")
            second.subscribe("probe/#")
            del hearing
        for _ in range(200):
            if second.peers():
                break
            await asyncio.sleep(0.05)
        mark()
        session = await second._services.session(node.id, 10000)
        await asyncio.sleep(1)
        mark(state="both ends of a session", open=len(node.sessions()))
        del session
    await node.close()
    await second.close()


asyncio.run(main(*sys.argv[1:]))
