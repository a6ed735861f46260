# A node of ours with one session under measurement, on 32-bit MicroPython:
# session_compare.py FOLDER PORT ID [name=value ...]
# ID: the other node, which serves the method "echo". It obeys as compare_umqtt.py does.
import asyncio
import gc
import json
import sys
from binascii import hexlify, unhexlify
from time import ticks_diff, ticks_us

TOPIC = "house/cellar/temperature"
READING = bytes(range(32))
FULL_MS = 2  # wait where the queue is full


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def tell(**facts):
    print(json.dumps(facts))


def median(values):
    return sorted(values)[len(values) // 2]


async def send(node, count, ms):
    pubsub = node._services.pubsub
    for _ in range(count):
        await node.publish(TOPIC, READING)
        while pubsub._unsent:  # it is kept until there is room; a user who does not wait may lose the oldest ones
            await asyncio.sleep_ms(FULL_MS)
        if ms:
            await asyncio.sleep_ms(ms)


async def main(folder, port, peer, *numbers):
    commands = asyncio.StreamReader(sys.stdin)
    changes = {name: int(value) for name, value in [number.split("=") for number in numbers]}
    bare = used()
    from picoswarm import Node

    async with Node(folder, profile=changes, host="127.0.0.1", port=int(port)) as node:
        tell(id=hexlify(node.id).decode())
        await commands.readline()  # the peer is up
        peer = unhexlify(peer)
        while not (node.contact(peer) and node.contact(peer)[2]):
            await asyncio.sleep_ms(100)
        await node.request(peer, "echo", READING)
        await asyncio.sleep(1)
        tell(heap=used() - bare, sessions=len(node.sessions()))
        while True:
            words = (await commands.readline()).split()
            if not words:
                return
            if words[0] == b"send":
                await send(node, int(words[1]), int(words[2]))
                tell(sent=int(words[1]))
            elif words[0] == b"echo":
                times = []
                for _ in range(int(words[1])):
                    began = ticks_us()
                    await node.request(peer, "echo", READING)
                    times.append(ticks_diff(ticks_us(), began))
                tell(us=median(times))
            else:  # bytes of the session so far, both ways
                for session in node._services.swarm.peers.values():
                    tell(wire=session.bytes_in + session.bytes_out)


asyncio.run(main(*sys.argv[1:]))
