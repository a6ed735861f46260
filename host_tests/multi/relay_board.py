# A board for test_relay.py: relay_board.py FOLDER HOST PORT BOOTSTRAP [name=value ...]
# It takes orders on standard input and tells what became of them on standard output, a JSON object a line.
import asyncio
import json
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node, RequestError, StreamError
from picoswarm.compat import collect, heap_used, readable


def tell(**facts):
    print(json.dumps(facts))


def turned(caller, payload):
    return bytes(reversed(payload)) + caller[:4]


async def echo(stream):
    data = await stream.read()
    while data:
        await stream.write(data)
        data = await stream.read()


async def request(node, peer):
    try:
        answer = await node.request(peer, "turned", b"abc")
        tell(answer=hexlify(answer).decode())
    except RequestError as error:
        tell(error=type(error).__name__, text=str(error))


async def meet(node, gateway):
    """Asks a gateway for something, once it has been found: this node has just begun to look around."""
    while True:
        try:
            await node.request(gateway, "gateway")
            return tell(met=hexlify(gateway).decode())
        except RequestError:
            await asyncio.sleep(0.2)


async def stream(node, peer, count):
    """Sends `count` bytes in pieces, as a board would that has no room for them all, and compares what comes back."""
    data = bytes(range(250))
    at = 0
    right = True
    try:
        async with await node.open_stream(peer, "/echo/1") as link:
            writer = asyncio.create_task(pieces(link, data, count))
            while at < count:
                part = await link.read()
                if not part:
                    break
                right = right and all(part[i] == (at + i) % 250 for i in range(len(part)))
                at += len(part)
            await writer
        tell(stream=right and at == count)
    except (RequestError, StreamError) as error:
        tell(error=type(error).__name__, text=str(error))


async def pieces(link, data, count):
    for _ in range(count // len(data)):
        await link.write(data)


async def hear(node):
    async for message in node.subscribe("say/#"):
        tell(heard=message.payload.decode(), origin=hexlify(message.origin).decode(), proven=message.is_proven)


async def watch(node):
    async for event in node.events:
        if event[0] == "disconnected":
            tell(lost=hexlify(event[1]).decode(), reason=event[2])


async def main(folder, host, port, bootstrap, *numbers):
    changes = {number.split("=")[0]: int(number.split("=")[1]) for number in numbers}
    async with Node(folder, profile=changes, host=host, port=int(port), bootstrap=bootstrap.split(",")) as node:
        node.handle("turned", turned)
        node.handle("/echo/1", echo)
        tasks = [asyncio.create_task(job(node)) for job in (hear, watch)]
        tell(id=hexlify(node.id).decode())
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                break
            if words[0] == "request":
                tasks.append(asyncio.create_task(request(node, unhexlify(words[1]))))
            elif words[0] == "stream":
                tasks.append(asyncio.create_task(stream(node, unhexlify(words[1]), int(words[2]))))
            elif words[0] == "meet":
                await meet(node, unhexlify(words[1]))
            elif words[0] == "say":
                await node.publish("say/it", words[1].encode())
            elif words[0] == "state":
                collect()
                stats = node.stats()
                sessions = [[hexlify(peer[0]).decode(), peer[1]] for peer in node.sessions()]
                tell(
                    sessions=sessions,
                    heap=heap_used(),
                    faults=stats["faults"],
                    out=stats["out_of_memory"],
                    fault=repr(node.fault),
                )


asyncio.run(main(*sys.argv[1:]))
