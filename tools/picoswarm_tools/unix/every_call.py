# A node that makes each call for sessions that its Node has, once: every_call.py FOLDER PORT [name=value ...]
# What a call needs is loaded with it, from where the form of the library has it. Says its id, reads `HOST:PORT ID` of a
# member from standard input, and says what each call came to, in one JSON object.
import asyncio
import json
import sys
from binascii import unhexlify

from picoswarm import Channel, Node, Reactor, RequestError
from picoswarm.compat import readable, sleep_ms

CHANNEL = 40


class Deaf(Reactor):
    channels = (Channel(CHANNEL, 1, 2, 256, 256),)

    def receive(self, peer, channel, view):
        return 0


async def make(node, address, member, came):
    """All calls, those that end the session last; `came`: what they came to, by name."""
    came["handle"] = node.handle("twice", lambda caller, payload: bytes(payload) * 2)  # what the member asks for
    subscription = node.subscribe("mesh/#")
    came["log"] = node.log("makes every call")
    came["keep"] = await node.keep(address)
    while not node.sessions():
        await sleep_ms(50)
    came["request"] = (await node.request(member, "ask-back", b"ab")).decode()
    async for message in subscription:  # the member says it until it is heard
        came["subscribe"] = message.topic
        break
    came["publish"] = await node.publish("mesh/reading", b"21")
    came["send"] = await node.send(member, CHANNEL, b"a reading")
    async with await node.open_stream(member, "/echo/1.0.0") as stream:
        await stream.write(b"back")
        stream.close()
        came["open_stream"] = (await stream.read()).decode()
    came["read_log"] = (await node.read_log(member))[0]
    came["read_stats"] = (await node.read_stats(member))["answered"]
    try:
        await node.gateway("mqtt", 200)
    except RequestError as error:
        came["gateway"] = str(error)
    came["protect"] = node.protect(member, True, 5)
    came["disconnect"] = node.disconnect(member)
    while node.sessions():
        await sleep_ms(50)
    came["ban"] = node.ban(member)


async def main(folder, port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in numbers]}
    node = Node(folder, profile=changes, host="127.0.0.1", port=int(port))
    node.register(Deaf())
    async with node:
        print(json.dumps({"id": node.id.hex()}))
        await readable(sys.stdin)
        address, id_text = sys.stdin.readline().split()
        came = {}
        await make(node, address, unhexlify(id_text), came)
        print(json.dumps({"came": came, "fault": repr(node.fault), "stats": node.stats()}))


asyncio.run(main(*sys.argv[1:]))
