"""A MicroPython node that speaks libp2p: `libp2p_board.py FOLDER PORT dial ADDRESS BYTES`, or
`FOLDER PORT listen PORT`. It prints a line of
JSON for each step, and with `heap` at the end the most that libp2p took."""

import asyncio
import gc
import json
import sys
from hashlib import sha256

from picoswarm import Node
from picoswarm.failures import StreamError

_PIECE = bytes(range(256)) * 2


def say(**line):
    print(json.dumps(line))


class Peak:
    """The most of the heap that was taken beyond what there was, seen each time that other tasks have their turn."""

    def __init__(self):
        self.most = 0
        self._before = 0

    async def watch(self):
        gc.collect()
        gc.collect()
        self._before = gc.mem_alloc()  # this task is there already
        while True:
            gc.collect()
            self.most = max(self.most, gc.mem_alloc() - self._before)
            await asyncio.sleep_ms(0)


async def echo(stream):
    while True:
        data = await stream.read()
        if not data:
            break
        await stream.write(data)


async def try_all(connection, size):
    say(ok="/echo/1.0.0" in (await connection.identify()).protocols)
    for _ in range(100):
        await connection.ping()
    say(ok=True)
    stream = await connection.open_stream("/echo/1.0.0")
    up = sha256()
    down = sha256()
    for _ in range(size // len(_PIECE)):
        await stream.write(_PIECE)
        up.update(_PIECE)
        down.update(await stream.read_exactly(len(_PIECE)))
    say(ok=up.digest() == down.digest())
    stream.close()
    say(ok=await stream.read() == b"")
    stream = None
    try:
        stream = await connection.open_stream("/reset/1.0.0")
        await stream.read()
        say(ok=False)
    except StreamError:
        say(ok=True)


async def main(folder, udp, what, address, size="0", watched=""):
    async with Node(folder, network=bytes(range(32)), host="127.0.0.1", port=int(udp)) as node:
        await asyncio.sleep(1)
        peak = Peak()
        watching = asyncio.create_task(peak.watch()) if watched else None
        await asyncio.sleep_ms(0)
        if what == "dial":
            connection = await node.libp2p.dial(address)
            say(ok=address.endswith(connection.peer))
            if watched:
                say(dialed=peak.most)
            await try_all(connection, int(size))
            if watched:
                watching.cancel()
                say(heap=peak.most)
            connection.close()
            return
        port = int(address)
        node.libp2p.handle("/echo/1.0.0", echo)
        await node.libp2p.listen(port, bytes((127, 0, 0, 1)))
        say(address="/".join(("/ip4/127.0.0.1/tcp", str(port), "p2p", node.libp2p.peer_id)))
        await asyncio.sleep(600)


asyncio.run(main(*sys.argv[1:]))
