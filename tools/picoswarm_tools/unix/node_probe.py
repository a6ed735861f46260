# A discovery node under measurement, on 32-bit MicroPython: node_probe.py FOLDER PORT [name=value ...]
# Says what it costs, one JSON object a line, and obeys on standard input:
#   seen      datagrams taken from the socket so far
#   heap      what the library and the node hold after two collections, and the node's counters
#   events    fetches those that wait, which a reading of the heap would count: how many there were
#   window S  with the collector off for S seconds: bytes allocated, those still held after a collection, datagrams
#   find ID   a lookup
import gc
import sys


def used(collect=gc.collect):
    collect()
    collect()
    return gc.mem_alloc()


bare = used()
# All that a running node has, under the names by which it loads it; what its start alone needs is gone by then.
for name in ("node", "discovery"):
    __import__("picoswarm." + name)

from picoswarm import compat  # noqa: E402

imported = used(compat.collect)  # lets go of the overlays that a node keeps until memory is short

import asyncio  # noqa: E402
import json  # noqa: E402
from binascii import unhexlify  # noqa: E402

from picoswarm import Node  # noqa: E402
from picoswarm.compat import readable  # noqa: E402


def tell(**facts):
    print(json.dumps(facts))


async def window(node, seconds):
    stats = node.stats()
    before = used(compat.collect)
    gc.disable()
    await asyncio.sleep(seconds)
    grown = gc.mem_alloc() - before
    gc.enable()
    after = node.stats()
    kept = used(compat.collect) - before
    tell(window=grown, kept=kept, received=after["received"] - stats["received"], sent=after["sent"] - stats["sent"])


def tell_heap(node, programs):
    # Not in `main`: what a coroutine had on its stack stays in its frame, and with it the whole dict.
    heap = used(compat.collect)
    tell(heap=heap - programs + imported - bare, stats=node.stats(), fault=repr(node.fault))


def tell_events(node):
    waiting = node.events._waiting
    tell(events=len([waiting.popleft() for _ in range(len(waiting))]))


async def main(folder, port, *numbers):
    changes = {"links": 0}  # discovery alone
    for number in numbers:
        name, value = number.split("=")
        changes[name] = int(value)
    programs = used(compat.collect)
    async with Node(folder, profile=changes, host="127.0.0.1", port=int(port)) as node:
        await asyncio.sleep(0)
        tell(id=node.id.hex(), imported=imported - bare, node=used(compat.collect) - programs)
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                return
            if words[0] == "seen":
                stats = node.stats()
                tell(seen=stats["received"] + stats["oversize"])
            elif words[0] == "heap":
                tell_heap(node, programs)
            elif words[0] == "events":
                tell_events(node)
            elif words[0] == "window":
                await window(node, int(words[1]))
            elif words[0] == "find":
                found = await node.lookup(unhexlify(words[1]))
                tell(find=bool(found) and found[0].id.hex())


asyncio.run(main(*sys.argv[1:]))
