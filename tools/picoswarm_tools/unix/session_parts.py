# What the parts of a node take of the heap, on 32-bit MicroPython:
# session_parts.py MODULE,... FOLDER FOLDER PORT PORT [name=value ...]
# Two nodes of one profile in this process open a session with each other. own=1: with a channel of the user. One JSON object
# a line: what was imported or done, and the bytes that it left on the heap after two collections.
import gc
import sys


def used():
    Heap.collect()
    Heap.collect()
    return gc.mem_alloc()


import asyncio  # noqa: E402
import json  # noqa: E402

OWN_CHANNEL = 40
REST_S = 3  # until what only a busy session has is gone


class Heap:
    """What was allocated at the last look."""

    last = 0
    collect = gc.collect


def mark(part="", less=0, count=1):
    """Tell how much more there is than at the last look, but for `less` bytes: `count` parts of one kind."""
    if part:
        print(json.dumps({"part": part, "bytes": (used() - Heap.last - less) // count}))
    Heap.last = used()


def register(node):
    """A channel of the user, for a profile that has no other one."""
    from picoswarm import Channel, Reactor

    reactor = Reactor()
    reactor.channels = (Channel(OWN_CHANNEL, 1, 2, 256, 256),)
    node.register(reactor)


def looks(node, second):
    """Whether a lookup runs, whose memory is given back after it."""
    return node._discovery._lookups or second._discovery._lookups


def no_session(stage, id32, ip):
    return False


def allow(node, second, gate):
    """What both nodes ask before they dial."""
    for each in node, second:
        each._services.swarm.manager.allow = gate


async def main(modules, folder, second_folder, port, second_port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in numbers]}
    has_own = changes.pop("own")
    mark()
    for name in modules.split(","):
        __import__("picoswarm." + name)
        mark("code " + name)
    from picoswarm import Node
    from picoswarm.compat import collect

    Heap.collect = collect  # lets go of the overlays that a node keeps until memory is short
    mark()
    node = Node(folder, profile=changes, host="127.0.0.1", port=int(port))
    if has_own:
        register(node)
    await node.start()
    await asyncio.sleep(0)
    table = len(node._discovery.table.pool)
    mark("state", table)
    print(json.dumps({"part": "table", "bytes": table}))
    if changes.get("links") == 1:  # one that takes none in
        changes["links"] = 2
    second = Node(second_folder, profile=changes, host="127.0.0.1", port=int(second_port))
    if has_own:
        register(second)
    await second.start()
    services = node._services
    if services:
        allow(node, second, no_session)  # or there may be one before the look that comes before it
        node._discovery.add_bootstrap(b"\x7f\0\0\1", int(second_port), second.id)
        mark()
        if services.pubsub:
            node.subscribe("probe/#")
            mark("subscription")
            second.subscribe("probe/#")
        for _ in range(200):
            if node.peers() and not looks(node, second):
                break
            await asyncio.sleep(0.05)
        mark()
        allow(node, second, None)
        session = await services.session(second.id, 10000)
        await asyncio.sleep(REST_S)
        while looks(node, second):
            await asyncio.sleep(0.05)
        del session
        mark("session", count=2)
    await node.close()
    await second.close()


asyncio.run(main(*sys.argv[1:]))
