"""A node hears of payments to a script, such as that of an address, and believes those that it can prove.

    python payment_watcher.py FOLDER GATEWAY SCRIPT NETWORK HEIGHT HEADER [PORT]

FOLDER holds the network key (`picoswarm provision`), GATEWAY is the "ip:port" of a gateway with a [bitcoin] table.
SCRIPT is what stands in an output, in hexadecimal digits: 0014 and the 20 bytes of an address that begins with bc1q.
The block to begin with, HEADER, is as in block_clock.py.
"""

import asyncio
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node

ENOUGH = 100_000  # satoshi


async def follow(events):
    """Keep the chain: payments are proven by it."""
    async for event in events:
        if event[0] == "block":
            print("following, block", event[1])


async def main(folder, address, script, network, height, header, port=20742):
    """Open the gate when somebody has paid."""
    async with Node(folder, host="127.0.0.1", port=int(port), bootstrap=address.split(","), name="gate") as node:
        bitcoin = await node.gateway("bitcoin", 60000)
        events = bitcoin.follow(network, int(height), unhexlify(header))
        chain = asyncio.create_task(follow(events))
        async for payment in bitcoin.watch(unhexlify(script)):
            name = hexlify(bytes(reversed(payment.txid))).decode()
            print("%d satoshi in block %d, by %s" % (payment.amount, payment.height, name[:16]))
            if payment.amount >= ENOUGH:
                print("open the gate")
        await chain


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
