# A discovery node that counts what it loads from files: loads_node.py FOLDER PORT [name=value ...]
# Says its id, and obeys on standard input, one JSON object a line in answer:
#   find ID   a lookup: how many nodes it gave
#   stats     the node's counters
# Each answer has `loads`, so many overlays since the answer before.
import asyncio
import json
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node, compat
from picoswarm.compat import readable


class Loads:
    count = 0
    real = compat._load  # the overlay loader stands under no name of the library


def load(n):
    Loads.count += 1
    return Loads.real(n)


def tell(**facts):
    print(json.dumps(dict(facts, loads=Loads.count)))
    Loads.count = 0


async def main(folder, port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in ("links=0",) + numbers]}
    async with Node(folder, profile=changes, host="127.0.0.1", port=int(port)) as node:
        tell(id=hexlify(node.id).decode())
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                return
            if words[0] == "find":
                tell(found=len(await node.lookup(unhexlify(words[1]))))
            else:
                tell(stats=node.stats())


compat._load = load
asyncio.run(main(*sys.argv[1:]))
