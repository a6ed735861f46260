"""A board asks a CometBFT application for a value, and believes nobody: the answer comes with a proof that is checked here
against a header that was verified here, also where the answer is that there is no such key.

    python cometbft_ask.py FOLDER GATEWAY CHAIN HEIGHT HASH PATH KEY [PORT]

As in cometbft_meter.py, trust in the chain CHAIN begins with the block HEIGHT whose hash you know from elsewhere. PATH is
where the application answers: "/store/bank/key" of one made with the Cosmos SDK. The one in
host_tests/interop/peers/go/cometbft answers at "/key" and "/ics23"; the one that comes with CometBFT gives no proofs.
"""

import asyncio
import sys
from binascii import unhexlify

from picoswarm import Node, RequestError
from picoswarm.cometbft import Chain, NotVerified


async def main(folder, address, name, height, block, path, key, port=20742):
    """Ask every ten seconds."""
    async with Node(folder, host="127.0.0.1", port=int(port), bootstrap=(address,), name="asker") as node:
        chain = Chain(await node.gateway("cometbft", 60000), name, height=int(height), hash32=unhexlify(block))
        while True:
            try:
                at, value = await chain.proven(path, key.encode())
                print("after block", at, key, "is", value.decode() if value is not None else "not there: proven")
            except (NotVerified, RequestError) as error:
                print("not proven:", error)
            await asyncio.sleep(10)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
