"""Answer a method, and call it at every node that connects. Runs on a board and on a computer.

python ask_a_node.py FOLDER [BOOTSTRAP_IP:PORT] [OWN_PORT]
"""

import asyncio
import sys

from picoswarm import PORT, Node, RequestError


def add(caller, payload):
    """The sum of the numbers in the payload. What it returns is the answer; what it raises, the caller is told."""
    return b"%d" % sum(int(number) for number in payload.split())


async def ask(node, peer):
    try:
        answer = await node.request(peer, "add", b"1 2 39", timeout_ms=5000)
        print(peer.hex()[:8], "says", answer.decode())
        await node.request(peer, "divide")
    except RequestError as trouble:
        print(peer.hex()[:8], "cannot:", type(trouble).__name__)


async def main(folder, bootstrap="", port=PORT):
    known = [bootstrap] if bootstrap else []
    host = "127.0.0.1" if bootstrap.startswith("127.") else ""
    async with Node(folder, host=host, port=int(port), bootstrap=known) as node:
        node.handle("add", add)
        async for event in node.events:
            if event[0] == "connected":
                asyncio.create_task(ask(node, event[1]))


asyncio.run(main(*sys.argv[1:]))
