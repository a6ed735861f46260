"""A sensor whose readings go to a gossipsub topic of a libp2p network through a gateway, and which libp2p peers can ask.

    python libp2p_sensor.py FOLDER GATEWAY [PORT]

FOLDER holds the network key (`picoswarm provision`), GATEWAY is the "ip:port" of a gateway with a [libp2p] table. Peers
subscribe to the topic "sensors", or open a stream of /reading/1.0.0 at the address that is printed.
"""

import asyncio
import sys

from picoswarm import PORT, Node, RequestError
from picoswarm.p2pgateway import Peers

reading = 20


async def tell(stream):
    """A libp2p peer asks for the reading."""
    await stream.write(b"%d" % reading)


async def hear(gateway):
    """Print what others say under the topic."""
    async for message in gateway.subscribe("sensors"):
        print("heard", message.payload.decode())


async def main(folder, address, port=PORT):
    global reading
    host = "127.0.0.1" if address.startswith("127.") else ""
    async with Node(folder, host=host, port=int(port), bootstrap=(address,), name="sensor") as node:
        gateway = await node.gateway("libp2p", 60000)
        node.handle("/reading/1.0.0", tell)
        for each in await Peers(node, gateway).serve("/reading/1.0.0"):
            print("peers reach it at", each)
        asyncio.create_task(hear(gateway))
        while True:
            reading += 1
            try:
                await gateway.publish("sensors", b"%d" % reading)
            except RequestError as trouble:
                print("not now:", trouble)
            await asyncio.sleep(2)


asyncio.run(main(*sys.argv[1:]))
