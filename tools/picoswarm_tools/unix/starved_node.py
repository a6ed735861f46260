# A node whose program takes all but some small blocks of the heap: starved_node.py FOLDER PORT [name=value ...]
# Without `links` it has discovery alone, and with them a handler for the request "echo".
# Says its id, and obeys on standard input, one JSON object a line in answer:
#   before ID S   a lookup that begins in a full heap; S seconds later the heap is free again
#   during ID S   a lookup in which the heap becomes full
#   find ID       a lookup: how many nodes it gave
#   full S        the heap is full for S seconds, whatever is given back meanwhile
#   publish T P   publishes P under the topic T: to how many sessions
#   stats         the node's counters
import asyncio
import json
import sys
from binascii import unhexlify

from picoswarm import Node
from picoswarm.compat import collect, readable, sleep_ms, ticks_diff, ticks_ms


def tell(**facts):
    print(json.dumps(facts))


def take(held, *sizes):
    """All that is free in pieces of these sizes, on top of `held`."""
    for size in sizes:
        try:
            while True:
                held = (held, bytearray(size))
        except MemoryError:
            pass
    return held


def fill():
    """All that is free, but for holes of 32 bytes: without them asyncio itself ends."""
    held = take([bytearray(16) for _ in range(256)], 4096, 256, 64, 16)
    each = held
    while type(each) is tuple:
        each = each[0]
    for i in range(0, len(each), 2):
        each[i] = None
    return held


async def starve(task, seconds, is_begun):
    """(how the lookup ended while the heap was full, after how many ms)."""
    if is_begun:
        await sleep_ms(0)
    began = ticks_ms()
    held = fill()
    while not task.done() and ticks_diff(ticks_ms(), began) < 1000 * seconds:
        await sleep_ms(10)
    took = ticks_diff(ticks_ms(), began)
    is_done = task.done()
    held = None  # noqa: F841
    collect()
    if not is_done:
        task.cancel()
    try:
        return len(await task), took
    except (MemoryError, asyncio.CancelledError) as error:
        return type(error).__name__, took


async def stay_full(seconds):
    began = ticks_ms()
    held = fill()
    while ticks_diff(ticks_ms(), began) < 1000 * seconds:
        await sleep_ms(100)
        held = take(held, 4096, 256)


async def main(folder, port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in ("links=0",) + numbers]}
    async with Node(folder, profile=changes, host="127.0.0.1", port=int(port)) as node:
        if changes["links"]:
            node.handle("echo", lambda caller, payload: payload)
        tell(id=node.id.hex())
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                return
            if words[0] == "stats":
                tell(stats=node.stats(), fault=repr(node.fault))
            elif words[0] == "find":
                tell(found=len(await node.lookup(unhexlify(words[1]))))
            elif words[0] == "full":
                await stay_full(int(words[1]))
                collect()
                tell(full=int(words[1]))
            elif words[0] == "publish":
                tell(published=await node.publish(words[1], words[2]))
            else:
                lookup = asyncio.create_task(node.lookup(unhexlify(words[1])))
                ended, ms = await starve(lookup, int(words[2]), words[0] == "during")
                tell(ended=ended, ms=ms)


asyncio.run(main(*sys.argv[1:]))
