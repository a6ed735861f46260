"""A board with a sensor: a node that publishes readings, for `make screenshot` and the tests of the gateway.

    micropython sensor_node.py FOLDER HOST PORT BOOTSTRAP [name=NAME] [what=temperature] [every=EVERY] [number=value]

As firmware/demo_node.py it tells its id on standard output and ends with the end of its input. Its readings, one each
EVERY milliseconds, are made up: they wander about.
"""

import asyncio
import json
import random
import sys
from binascii import hexlify

from picoswarm import Node
from picoswarm.compat import readable, ticks_diff, ticks_ms

MIDDLE = {"temperature": 21.0, "humidity": 48.0, "co2": 640.0, "power": 230.0}


async def measure(node, name, what, every_ms):
    """Publish a reading whenever there is somebody to hear it."""
    middle = MIDDLE.get(what, 10.0)
    value = middle
    n = 0
    while True:
        await asyncio.sleep(every_ms / 1000)
        value += (middle - value) / 20 + (random.getrandbits(8) - 127.5) * middle / 20000
        if node.sessions():
            n += 1
            await node.publish("sensors/%s/%s" % (name, what), b"%.1f" % value)
            if n % 10 == 1:
                node.log("reading %d: %s is %.1f" % (n, what, value))


async def main(folder, host, port, bootstrap, *more):
    changes = {"name": "sensor", "what": "temperature", "every": "1500"}
    changes.update(each.split("=") for each in more)
    name, what, every_ms = changes.pop("name"), changes.pop("what"), int(changes.pop("every"))
    numbers = {key: int(value) for key, value in changes.items()}
    began = ticks_ms()
    async with Node(folder, profile=numbers, host=host, port=int(port), bootstrap=[bootstrap], name=name) as node:
        print(json.dumps({"id": hexlify(node.id).decode(), "ms": ticks_diff(ticks_ms(), began)}))
        node.log("%s measures %s" % (name, what))
        task = asyncio.create_task(measure(node, name, what, every_ms))
        while True:
            await readable(sys.stdin)
            if not sys.stdin.readline():
                break
        task.cancel()


asyncio.run(main(*sys.argv[1:]))
