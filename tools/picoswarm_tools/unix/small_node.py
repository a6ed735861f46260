# A discovery node as small as a board's program makes it: small_node.py FOLDER PORT [name=value ...]
# Says its id, and obeys on standard input, one JSON object a line in answer:
#   find ID   a lookup: how many nodes it gave
#   stats     what is allocated and free after a collection, and the node's counters
import asyncio
import gc
import json
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node
from picoswarm.compat import collect, readable


def tell(**facts):
    json.dump(facts, sys.stdout)  # piece by piece: the whole text would need a large block
    print()


def tell_stats(node):
    # Not in `main`: what a coroutine had on its stack stays in its frame, and with it the whole dict.
    collect()
    collect()
    heap = {"used": gc.mem_alloc(), "free": gc.mem_free()}
    tell(heap=heap, stats=node.stats(), fault=repr(node.fault))


async def main(folder, port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in ("links=0",) + numbers]}
    async with Node(folder, profile=changes, host="127.0.0.1", port=int(port)) as node:
        del changes
        tell(id=hexlify(node.id).decode())
        try:
            while True:
                await readable(sys.stdin)
                words = sys.stdin.readline().split()
                if not words:
                    return
                if words[0] == "find":
                    tell(found=len(await node.lookup(unhexlify(words[1]))))
                else:
                    tell_stats(node)
        except MemoryError as error:
            # Before the node closes: that may meet the same full heap, and the last one is all that is told at the end.
            if node.fault:
                sys.print_exception(node.fault)
            sys.print_exception(error)
            raise


asyncio.run(main(*sys.argv[1:]))
