"""A board with a sensor, that tells its state: a JSON object a line on standard output, each second. `make demo` runs many
of these, and on a board it prints to the serial console.

    micropython demo_node.py FOLDER HOST PORT BOOTSTRAP [name=NAME] [what=temperature] [every=MS] [number=value ...]

BOOTSTRAP is ip:port or name:port, several with commas between them, or - for none. number=value changes a number of the
profile. FOLDER holds the network key (`picoswarm provision`) and gets the node's own key at the first boot. Commands on
standard input: `find ID` looks an id up, `echo ID` sends 32 bytes through a stream to a node and back, `talk MS` publishes
a reading under sensors/NAME/WHAT each MS milliseconds (0: no more), as `every` does from the start. The readings are made
up: they wander about. The end of the input ends the node.
"""

import asyncio
import json
import random
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node, RequestError, StreamError
from picoswarm.compat import collect, heap_used, readable, ticks_diff, ticks_ms

MIDDLE = {"temperature": 21.0, "humidity": 48.0, "co2": 640.0, "power": 230.0}


class Talk:
    """What this node says and hears."""

    name = ""
    what = "temperature"
    every_ms = 0
    sent = heard = asked = answered = 0


def tell(**facts):
    """One line for whoever watches."""
    print(json.dumps(facts))


def state_of(node, rtt_ms=0):
    """What the demo shows of a node; the heap is what is left after a collection."""
    collect()
    return {
        "peers": [hexlify(peer.id[:4]).decode() for peer in node.peers()],
        "rtt_ms": rtt_ms,
        "heap": heap_used(),
        "sent": Talk.sent,
        "heard": Talk.heard,
        "asked": Talk.asked,
        "answered": Talk.answered,
        "sessions": len(node.sessions()),
        "stats": node.stats(),
    }


async def talk(node):
    """Publish readings, while there is somebody to hear them, and call a method of a peer after each fifth one."""
    topic = "sensors/%s/%s" % (Talk.name or hexlify(node.id[:4]).decode(), Talk.what)
    value = middle = MIDDLE.get(Talk.what, 10.0)
    while True:
        await asyncio.sleep_ms(Talk.every_ms or 200)
        peers = node.sessions()
        if Talk.every_ms and peers:
            value += (middle - value) / 20 + (random.getrandbits(8) - 127.5) * middle / 20000
            Talk.sent += 1
            await node.publish(topic, b"%.1f" % value)
            if Talk.sent % 10 == 1:
                node.log("reading %d: %s is %.1f" % (Talk.sent, Talk.what, value))
            if Talk.sent % 5 == 0:
                Talk.asked += 1
                try:
                    Talk.answered += await node.request(peers[Talk.sent // 5 % len(peers)][0], "heap") > b""
                except RequestError:
                    pass


async def hear(node):
    """Count what the others say."""
    async for _message in node.subscribe("sensors/#"):
        Talk.heard += 1


async def answer(stream):
    """The protocol /echo/1.0.0: give back what comes."""
    data = await stream.read()
    while data:
        await stream.write(data)
        data = await stream.read()


async def echo(node, peer):
    """Send some bytes through a stream and back, and tell what came of it."""
    began = ticks_ms()
    data = bytes(range(32))
    back = b""
    try:
        stream = await node.open_stream(peer, "/echo/1.0.0")
        await stream.write(data)
        stream.close()
        part = await stream.read()
        while part:
            back += part
            part = await stream.read()
    except (RequestError, StreamError):
        pass
    tell(echo=hexlify(peer[:4]).decode(), ok=back == data, ms=ticks_diff(ticks_ms(), began))


async def report(node):
    """Tell the state once a second, and with every fifth time the round trip to one neighbour."""
    n = rtt_ms = 0
    while True:
        tell(state=state_of(node, rtt_ms))
        await asyncio.sleep(1)
        n += 1
        peers = node.peers()
        if peers and n % 5 == 0:
            rtt_ms = await round_trip(node, peers[n // 5 % len(peers)].id)


async def round_trip(node, neighbour):
    """Milliseconds that a live neighbour takes to answer; 0: it did not. To look up a node that one knows is one PING."""
    began = ticks_ms()
    found = await node.lookup(neighbour)
    return ticks_diff(ticks_ms(), began) if found and found[0].id == neighbour else 0


async def find(node, wanted):
    """Look up one id and tell what came of it."""
    began = ticks_ms()
    found = await node.lookup(wanted)
    tell(find=hexlify(wanted[:4]).decode(), ok=any(peer.id == wanted for peer in found), ms=ticks_diff(ticks_ms(), began))


async def obey(node):
    """Carry out the commands, until the input ends."""
    while True:
        await readable(sys.stdin)
        words = sys.stdin.readline().split()
        if not words:
            return
        if words[0] == "find":
            asyncio.create_task(find(node, unhexlify(words[1])))
        elif words[0] == "echo":
            asyncio.create_task(echo(node, unhexlify(words[1])))
        elif words[0] == "talk":
            Talk.every_ms = int(words[1])


async def main(folder, host, port, bootstrap, *numbers):
    given = {"name": "", "what": "temperature", "every": "0"}
    given.update(number.split("=") for number in numbers)
    Talk.name, Talk.what, Talk.every_ms = given.pop("name"), given.pop("what"), int(given.pop("every"))
    changes = {name: int(value) for name, value in given.items()}
    known = [] if bootstrap == "-" else bootstrap.split(",")
    began = ticks_ms()
    async with Node(folder, profile=changes, host=host, port=int(port), bootstrap=known, name=Talk.name) as node:
        tell(id=hexlify(node.id).decode(), ms=ticks_diff(ticks_ms(), began))
        tasks = [asyncio.create_task(report(node))]
        if changes.get("links") != 0:
            node.log("%s measures %s" % (Talk.name, Talk.what))
            node.handle("/echo/1.0.0", answer)
            node.handle("heap", lambda caller, payload: b"%d" % heap_used())
            tasks += [asyncio.create_task(talk(node)), asyncio.create_task(hear(node))]
        await obey(node)
        for task in tasks:
            task.cancel()
        tell(end=state_of(node))


if len(sys.argv) < 5:
    print(__doc__ or "demo_node.py FOLDER HOST PORT BOOTSTRAP [name=value ...]")
    sys.exit(2)
asyncio.run(main(*sys.argv[1:]))
