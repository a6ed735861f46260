"""Serve the stream protocol /echo/1.0.0, and use it with every node that connects. Runs on a board and on a computer.

python echo_stream.py FOLDER [BOOTSTRAP_IP:PORT] [OWN_PORT]
"""

import asyncio
import sys

from picoswarm import PORT, Node, RequestError, StreamError


async def echo(stream):
    """Give back what comes, until the other side ends."""
    data = await stream.read()
    while data:
        await stream.write(data)
        data = await stream.read()


async def greet(node, peer):
    """Open a stream to a node, send a greeting and wait for it to come back."""
    try:
        async with await node.open_stream(peer, "/echo/1.0.0") as stream:
            await stream.write(b"hello " + peer.hex()[:8].encode())
            print("back:", (await stream.read()).decode())
    except (RequestError, StreamError) as trouble:
        print("no echo:", trouble)


async def main(folder, bootstrap="", port=PORT):
    known = [bootstrap] if bootstrap else []
    host = "127.0.0.1" if bootstrap.startswith("127.") else ""
    async with Node(folder, host=host, port=int(port), bootstrap=known) as node:
        node.handle("/echo/1.0.0", echo)
        async for event in node.events:
            if event[0] == "connected":
                print("connected", event[1].hex()[:8])
                asyncio.create_task(greet(node, event[1]))


asyncio.run(main(*sys.argv[1:]))
