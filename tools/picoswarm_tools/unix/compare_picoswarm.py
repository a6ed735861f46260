# A node of ours with one session under measurement, on 32-bit MicroPython:
# compare_picoswarm.py FOLDER PORT ID [name=value ...]
# ID: the other node, which serves the method "echo". It obeys as compare_umqtt.py does, and
# counts bytes between `count` and `wire`.
import asyncio
import sys
from binascii import hexlify, unhexlify
from time import ticks_diff, ticks_us

from compared import READING, TOPIC, median, tell, used

FULL_MS = 2  # wait where the queue is full


class Wire:
    """Counts the bytes of all sessions, both ways."""

    def __init__(self, swarm):
        self.bytes = 0
        self.swarm = swarm
        self.before = swarm.received, swarm.to_send
        swarm.received = self.count_in
        swarm.to_send = self.count_out

    def count_in(self, session, n, now):
        self.bytes += n
        self.before[0](session, n, now)

    def count_out(self, session, out, now):
        n = self.before[1](session, out, now)
        self.bytes += n
        return n

    def end(self):
        self.swarm.received, self.swarm.to_send = self.before
        return self.bytes


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
    from picoswarm.compat import collect

    async with Node(folder, profile=changes, host="127.0.0.1", port=int(port)) as node:
        tell(id=hexlify(node.id).decode())
        await commands.readline()  # the peer is up
        peer = unhexlify(peer)
        while not (node.contact(peer) and node.contact(peer)[2]):
            await asyncio.sleep_ms(100)
        await node.request(peer, "echo", READING)
        await asyncio.sleep(1)
        collect()  # lets go of what is kept until memory is short
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
            elif words[0] == b"count":
                wire = Wire(node._services.swarm)
                tell(wire=0)
            else:
                tell(wire=wire.end())


asyncio.run(main(*sys.argv[1:]))
