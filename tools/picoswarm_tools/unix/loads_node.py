# A node that counts what it loads from files: loads_node.py FOLDER PORT [name=value ...]
# Says its id, and obeys on standard input, one JSON object a line in answer:
#   find ID     a lookup: how many nodes it gave
#   meet ID...  a request to each of these nodes, which opens a session where there is none: how many answered
#   hear FILTER subscribes
#   publish N   publishes N messages, five in a second: how many went to a peer at once
#   heard       how many messages it heard
#   stats       the node's counters
# Each answer has `loads`, so many overlays since the answer before, and `asks`, so often one was wanted, loaded or not.
import asyncio
import json
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node, RequestError, compat
from picoswarm.compat import readable


class Loads:
    count = asks = 0
    # As texts: what comes with overlays keeps its name, and this program's names are shortened.
    real = getattr(compat, "_load")  # noqa: B009
    ask = getattr(compat, "overlay")  # noqa: B009


class Heard:
    count = 0


def load(n):
    Loads.count += 1
    return Loads.real(n)


def ask(n):
    Loads.asks += 1
    return Loads.ask(n)


def tell(**facts):
    print(json.dumps(dict(facts, loads=Loads.count, asks=Loads.asks)))
    Loads.count = Loads.asks = 0


async def hear(node, topics):
    async for _message in node.subscribe(topics):
        Heard.count += 1


async def main(folder, port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in numbers]}
    async with Node(folder, profile=changes, host="127.0.0.1", port=int(port)) as node:
        tell(id=hexlify(node.id).decode())
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                return
            if words[0] == "find":
                tell(found=len(await node.lookup(unhexlify(words[1]))))
            elif words[0] == "meet":
                answered = 0
                for word in words[1:]:
                    try:  # noqa: SIM105
                        answered += len(await node.request(unhexlify(word), "probe", b"x", 10_000))
                    except RequestError:
                        pass
                tell(answered=answered)
            elif words[0] == "hear":
                Heard.task = asyncio.create_task(hear(node, words[1]))
                await asyncio.sleep(0)
                tell(heard=0)
            elif words[0] == "publish":
                count = 0
                for _ in range(int(words[1])):
                    count += await node.publish("leaf/reading", b"20.5")
                    await asyncio.sleep(0.2)
                tell(published=count)
            elif words[0] == "heard":
                tell(heard=Heard.count)
            else:
                tell(stats=node.stats())


setattr(compat, "_load", load)  # noqa: B010
setattr(compat, "overlay", ask)  # noqa: B010
asyncio.run(main(*sys.argv[1:]))
