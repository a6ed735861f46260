"""A clock for a display that shows the newest block of Bitcoin, which this node has checked itself.

    python block_clock.py FOLDER GATEWAY [PORT] [NETWORK HEIGHT HEADER]

FOLDER holds the network key (`picoswarm provision`), GATEWAY is the "ip:port" of a gateway with a [bitcoin] table;
name two, and one that keeps blocks back is told. It begins at a block that you trust: its height, a multiple of
2,016, and its header, 160 hexadecimal digits. Without one it is the first of all, of regtest.
"""

import asyncio
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node

GENESIS = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd"
    "7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000"
)


def show(height, hash32, time):
    """In the place of this, a board draws on its display."""
    name = hexlify(bytes(reversed(hash32))).decode()
    hour, minute = time // 3600 % 24, time // 60 % 60
    print("block %d, %02d:%02d UTC, %s" % (height, hour, minute, name[:24]))


async def main(folder, address, port=20742, network="regtest", height=0, header=GENESIS):
    """Show each new block, and whatever is wrong."""
    async with Node(folder, host="127.0.0.1", port=int(port), bootstrap=address.split(","), name="clock") as node:
        bitcoin = await node.gateway("bitcoin", 60000)
        async for event in bitcoin.follow(network, int(height), unhexlify(header)):
            if event[0] == "block":
                show(*event[1:])
            elif event[0] == "reorganised":
                print("%d blocks were replaced" % event[1])
            else:
                print("a gateway is not to be trusted:", *event)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
