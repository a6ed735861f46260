"""Join a mesh, tell who comes and goes, and look every newcomer up. Runs on a board and on a computer.

    python find_neighbors.py FOLDER [BOOTSTRAP_IP:PORT] [OWN_PORT]

FOLDER holds the network key: `picoswarm provision --folder FOLDER`. No bootstrap is needed on one LAN.
"""

import asyncio
import sys

from picoswarm import PORT, Node


async def main(folder, bootstrap="", port=PORT):
    known = [bootstrap] if bootstrap else []
    host = "127.0.0.1" if bootstrap.startswith("127.") else ""
    async with Node(folder, host=host, port=int(port), bootstrap=known) as node:
        print("I am", node.id.hex())
        async for event in node.events:
            if event[0] == "added":
                nearest = await node.lookup(event[1])
                print("+", event[1].hex()[:8], "and", len(nearest) - 1, "near it")
            elif event[0] == "removed":
                print("-", event[1].hex()[:8])
            print(len(node.peers()), "neighbours")


asyncio.run(main(*sys.argv[1:]))
