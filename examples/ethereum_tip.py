"""The newest block of an Ethereum network on a board, and a transaction that was signed elsewhere.

    python ethereum_tip.py FOLDER GATEWAY [PORT [TRANSACTION]]

FOLDER holds the network key (`picoswarm provision`), GATEWAY is the "ip:port" of a gateway with an [ethereum] table;
TRANSACTION is a signed transaction in hexadecimal, as a wallet prints it: the board hands it over and waits for its block.
"""

import asyncio
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node, RequestError
from picoswarm.ethereum import Ethereum


async def hand_over(chain, raw):
    """Submit a transaction and tell where it is."""
    try:
        digest = await chain.submit(raw)
        print("submitted", hexlify(digest).decode())
        print("mined in block %d, place %d" % await chain.mined(digest))
    except RequestError as error:
        print("not mined:", error)


async def main(folder, address, port=20742, transaction=""):
    """Print each head."""
    async with Node(folder, host="127.0.0.1", port=int(port), bootstrap=(address,), name="clock") as node:
        chain = Ethereum(await node.gateway("ethereum", 60000))
        if transaction:
            handing = asyncio.create_task(hand_over(chain, unhexlify(transaction)))
        async for head in chain.follow():
            print("block", head.number, hexlify(head.hash).decode()[:16], "at", head.time)
        await handing


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
