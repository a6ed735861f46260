# A whole node whose traffic is compared with the simulator's:
#     fidelity_node.py FOLDER HOST PORT BOOTSTRAP [number=value ...]
# Tells its state each half second, one JSON object a line, and when it joined. On standard input: `talk MS` publishes
# 8 bytes under fidelity/PORT each MS milliseconds (0: no more). The end of the input ends it.
import asyncio
import json
import sys

from picoswarm import Node
from picoswarm.compat import readable, ticks_diff, ticks_ms


class State:
    every_ms = sent = heard = joined_ms = 0


def tell(**facts):
    print(json.dumps(facts))


def state_of(node):
    stats = node.stats()
    return {
        "heap": stats["heap"],
        "sent": State.sent,
        "heard": State.heard,
        "joined_ms": State.joined_ms,
        "sessions": len(node.sessions()),
        "stats": stats,
    }


async def join(node, began):
    while not node.stats()["joined"]:
        await asyncio.sleep_ms(50)
    State.joined_ms = max(1, ticks_diff(ticks_ms(), began))


async def talk(node, topic):
    while True:
        await asyncio.sleep_ms(State.every_ms or 100)
        if State.every_ms:
            State.sent += 1
            await node.publish(topic, b"12345678")


async def hear(node):
    async for _message in node.subscribe("fidelity/#"):
        State.heard += 1


async def report(node):
    while True:
        tell(state=state_of(node))
        await asyncio.sleep_ms(500)


async def main(folder, host, port, bootstrap, *numbers):
    changes = {}
    for number in numbers:
        name, value = number.split("=")
        changes[name] = int(value)
    known = [] if bootstrap == "-" else [bootstrap]
    async with Node(folder, profile=changes, host=host, port=int(port), bootstrap=known) as node:
        began = ticks_ms()
        tell(id=node.id.hex(), ms=0)
        tasks = [join(node, began), talk(node, "fidelity/" + port), hear(node), report(node)]
        tasks = [asyncio.create_task(task) for task in tasks]
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                break
            State.every_ms = int(words[1])
        for task in tasks:
            task.cancel()
        tell(end=state_of(node))


asyncio.run(main(*sys.argv[1:]))
