"""Publish a reading and hear the readings of all others. Runs on a board and on a computer.

    python sensor_topic.py FOLDER [BOOTSTRAP_IP:PORT] [OWN_PORT]

FOLDER holds the network key: `picoswarm provision --folder FOLDER`. No bootstrap is needed on one LAN.
"""

import asyncio
import sys

from picoswarm import PORT, Node


def read_sensor():
    """Put your sensor here."""
    return 21.5


async def measure(node):
    """Tell everybody who subscribed, every two seconds; `peers` says to how many sessions the reading went at once."""
    while True:
        await asyncio.sleep(2)
        peers = await node.publish("sensors/kitchen/temperature", b"%.1f" % read_sensor())
        print("published to", peers, "peers")


async def main(folder, bootstrap="", port=PORT):
    known = [bootstrap] if bootstrap else []
    host = "127.0.0.1" if bootstrap.startswith("127.") else ""
    async with Node(folder, host=host, port=int(port), bootstrap=known, name="kitchen") as node:
        task = asyncio.create_task(measure(node))
        async for message in node.subscribe("sensors/+/temperature"):
            proven = "proven" if message.is_proven else "claimed"
            print(message.topic, message.payload.decode(), "from", message.origin.hex()[:8], proven)
        task.cancel()


asyncio.run(main(*sys.argv[1:]))
