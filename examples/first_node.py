import asyncio

from picoswarm import Node


async def main():
    async with Node("swarm") as node:  # a folder: the network key is in it, the node's own key is made at the first boot
        print("I am", node.id.hex())
        while True:
            for peer in node.peers():
                print(peer.id.hex()[:8], "at", peer.ip, peer.port)
            await asyncio.sleep(5)


asyncio.run(main())
