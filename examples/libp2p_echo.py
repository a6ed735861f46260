"""Dial a libp2p peer directly, print what it says of itself, and have it echo. Runs on a board and on a computer.

    python libp2p_echo.py FOLDER ADDRESS [PORT]

FOLDER holds the network key (`picoswarm provision`). ADDRESS is the multiaddress of a go-libp2p, js-libp2p or other
node that serves /echo/1.0.0, as "/ip4/192.168.1.5/tcp/4001/p2p/12D3Koo...". PORT is the own UDP port in the mesh.
"""

import asyncio
import sys

from picoswarm import PORT, Node, StreamError


async def main(folder, address, port=PORT):
    host = "127.0.0.1" if address.startswith("/ip4/127.") else ""
    async with Node(folder, host=host, port=int(port)) as node:
        print("this node is", node.libp2p.peer_id)
        connection = await node.libp2p.dial(address)
        peer = await connection.identify()
        print("connected to", peer.agent, "at", connection.peer)
        for name in peer.protocols:
            print("  it serves", name)
        print("ping took", await connection.ping(), "ms")
        try:
            async with await connection.open_stream("/echo/1.0.0") as stream:
                await stream.write(b"hello from a board")
                print("back:", (await stream.read()).decode())
        except StreamError as trouble:
            print("no echo:", trouble)
        connection.close()


asyncio.run(main(*sys.argv[1:]))
