"""A node under measurement on an emulated Pico. `run(...)` says what it costs, one JSON object a line, and obeys on the
serial port:

    heap        free bytes after two collections, sessions with the channels that both sides serve, counters
    meet ID     a request to this node, which opens a session where there is none
    leave ID    ends the session
    hold        the longest time that a task had to wait for its turn since the last such question, and what a collection
                of garbage takes, in ms
    end
"""

import asyncio
import gc
import json
import sys
from asyncio import sleep_ms
from binascii import hexlify, unhexlify
from select import POLLIN, poll
from time import ticks_diff, ticks_ms


def free():
    gc.collect()
    gc.collect()
    return gc.mem_free()


def link_up(seconds=30):
    """Bring PPP up. Returns (the link, own address). Raises OSError."""
    import time

    from machine import UART
    from network import PPP
    from swarmboard.line import Line

    ppp = PPP(Line(UART(1, 921600, tx=4, rx=5, rxbuf=8192, txbuf=4096)))
    ppp.connect()
    began = ticks_ms()
    while not ppp.isconnected():
        time.sleep_ms(5)
        if ticks_diff(ticks_ms(), began) > seconds * 1000:
            raise OSError("nobody answers on the serial line")
    return ppp, ppp.ifconfig()[0]


class Held:
    """How late a task came to its turn."""

    most = 0
    begun = {}  # by address: when it was dialed, None where it dialed
    handshakes = []  # ms


async def mind():
    while True:
        before = ticks_ms()
        await sleep_ms(2)
        late = ticks_diff(ticks_ms(), before) - 2
        if late > Held.most:
            Held.most = late


def allow(stage, id32, ip):
    """Note when a dial begins, and when its node is proven. Where that has dialed too, nobody knows whose handshake ends: it
    does not count."""
    if stage == "accept":
        Held.begun[ip] = None
    elif stage == "dial":
        if Held.begun.get(ip, 0) is not None:
            Held.begun[ip] = ticks_ms()  # asked also for whom it only thinks of: the last time counts
    else:
        began = Held.begun.pop(ip, None)
        if began is not None:
            Held.handshakes.append(ticks_diff(ticks_ms(), began))
    return True


async def obey(node, tell, RequestError):
    from picoswarm.compat import collect

    waiting = poll()
    waiting.register(sys.stdin, POLLIN)
    while True:
        while not waiting.poll(0):
            await sleep_ms(20)
        words = sys.stdin.readline().split()
        if not words or words[0] == "end":
            return
        if words[0] == "meet":
            try:
                answer = await node.request(unhexlify(words[1]), "probe", b"x", 10_000)
                tell(answered=len(answer))
            except RequestError as error:
                tell(answered=0, why=repr(error))
        elif words[0] == "leave":
            tell(left=node.disconnect(unhexlify(words[1])))
        elif words[0] == "hold":
            most, began = Held.most, ticks_ms()
            gc.collect()
            tell(hold_ms=most, handshakes=Held.handshakes, collect_ms=ticks_diff(ticks_ms(), began))
            await sleep_ms(50)
            Held.most = 0
        elif words[0] == "heap":
            collect()  # lets go of the overlays that a node keeps until memory is short
            tell(free=free(), sessions=len(node.sessions()), stats=node.stats())


async def main(numbers, bootstrap, own, is_minded):
    def tell(**facts):
        print(json.dumps(facts))

    tell(free=free())
    ppp, ip = link_up()
    tell(free=free(), ip=ip)
    began = ticks_ms()
    from picoswarm import Channel, Node, Reactor, RequestError

    tell(free=free(), import_ms=ticks_diff(ticks_ms(), began))
    began = ticks_ms()
    node = Node("swarm", profile=numbers, host=ip, bootstrap=bootstrap, name="emu", allow=allow if is_minded else None)

    class Deaf(Reactor):
        channels = tuple([Channel(40 + i, 1, 2, 256, 256) for i in range(own)])

        def receive(self, peer, channel, view):
            return 0

    if own:
        node.register(Deaf())
    minding = asyncio.create_task(mind()) if is_minded else None
    async with node:
        tell(id=hexlify(node.id).decode(), start_ms=ticks_diff(ticks_ms(), began), free=free())

        async def hear():
            async for _message in node.subscribe("probe/#"):
                pass

        node.handle("probe", lambda caller, payload: payload)
        hearing = asyncio.create_task(hear())
        while not node.sessions():
            await asyncio.sleep_ms(10)
        await node.publish("probe/reading", b"20.5", wait_ms=2000)
        tell(joined_ms=ticks_diff(ticks_ms(), began), start_hold_ms=Held.most, free=free())
        await asyncio.sleep_ms(50)  # what `tell` took is over
        Held.most = 0
        await obey(node, tell, RequestError)
        hearing.cancel()
        if minding:
            minding.cancel()


def run(numbers, bootstrap, own=0, is_minded=False):
    """`numbers` change the profile; `own`: channels of the user's, that nobody speaks on; `is_minded`: handshakes and
    waiting times are measured, which costs heap."""
    asyncio.run(main(numbers, bootstrap, own, is_minded))
