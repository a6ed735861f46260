"""A reading becomes a transaction on a CometBFT chain, and the board checks the chain's headers itself.

    python cometbft_meter.py FOLDER GATEWAY CHAIN HEIGHT HASH [PORT]

FOLDER holds the network key (`picoswarm provision`), GATEWAY is the "ip:port" of a gateway with a [cometbft] table. Trust in
the chain CHAIN begins with the block HEIGHT whose hash you know from elsewhere. The application is the key-value store that
comes with CometBFT: a transaction is "name=value"; another application wants it signed.
"""

import asyncio
import sys
from binascii import unhexlify

from picoswarm import Node, RequestError
from picoswarm.cometbft import Chain, NotVerified


async def watch(chain):
    """Print every header that was verified here."""
    headers = chain.follow()
    while True:
        try:
            async for header in headers:
                print("height", header.height, "is verified, at", header.seconds, "s")
        except (NotVerified, RequestError) as error:
            print("not verified:", error)
            await asyncio.sleep(5)


async def main(folder, address, name, height, block, port=20742):
    """Submit a reading every ten seconds."""
    async with Node(folder, host="127.0.0.1", port=int(port), bootstrap=(address,), name="meter") as node:
        gateway = await node.gateway("cometbft", 60000)
        chain = Chain(gateway, name, height=int(height), hash32=unhexlify(block))
        watching = asyncio.create_task(watch(chain))
        reading = 100
        while not watching.done():
            reading += 1
            try:
                at, code = await chain.submit(b"meter=%d" % reading)
                print("reading", reading, "is in block", at, "with code", code)
            except RequestError as error:
                print("not now:", error)
            await asyncio.sleep(10)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
