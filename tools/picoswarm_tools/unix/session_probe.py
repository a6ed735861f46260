# A whole node under measurement, on 32-bit MicroPython: session_probe.py FOLDER PORT [name=value ...]
# Its user adds own=N channels that nobody speaks on. It uses each service once. Says what it costs, one JSON object a line,
# and obeys on standard input:
#   meet ID ...  a request to each of these nodes, which opens a session where there is none
#   stream ID    opens a stream to this node, and closes it
#   heap         what the library and the node hold after two collections, and what more there was before the overlays went
#                that a node keeps until memory is short; the channels of each open session
#   comb N       from now on no free piece of the heap is longer than N bytes
#   dump         where each module and class is, and the heap itself: for heap_audit.py
#   names NAME ...  what each name is as a word of memory
#   wanted       the largest piece that was not to be had, in bytes, turns of the driver that wanted memory, and sessions
import gc
import sys


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


bare = used()

import asyncio  # noqa: E402
import json  # noqa: E402
from binascii import hexlify, unhexlify  # noqa: E402

from picoswarm import Channel, Node, Reactor, RequestError  # noqa: E402
from picoswarm.compat import readable  # noqa: E402

imported = used()
WAIT_MS = 4000
OWN_CHANNEL = 40  # and those above it


class Deaf(Reactor):
    """The user's own protocol."""

    def __init__(self, count):
        self.channels = tuple([Channel(OWN_CHANNEL + i, 1, 2, 256, 256) for i in range(count)])

    def receive(self, peer, channel, view):
        return 0


class Wanted:
    """What the full heap refused."""

    most = 0
    teeth = ()


def note(error, is_paid=False):
    """What a turn of the node ended with."""
    text = str(error)
    if isinstance(error, MemoryError):
        Wanted.most = max(Wanted.most, int(text.split()[-2]) if text.endswith("bytes") else 1)
    else:
        sys.print_exception(error)


def comb(longest):
    """Fill every free piece of the heap that is longer, and leave every second one of that size free, for good."""
    Wanted.teeth = teeth = [None] * (gc.mem_free() // longest + 1)
    gc.collect()
    try:
        for i in range(len(teeth)):
            teeth[i] = bytearray(longest)
    except MemoryError:
        pass
    for i in range(1, len(teeth), 2):
        teeth[i] = None
    gc.collect()


def tell(**facts):
    print(json.dumps(facts))


def dump(node):
    """Roots as JSON, then the map of MicroPython, whose first lines say where the heap begins, then its bytes in
    hexadecimal, a line for each 1,024."""
    import micropython
    from picoswarm.compat import collect
    from uctypes import bytearray_at

    collect()
    tell(modules={name: id(module) for name, module in sys.modules.items()}, dict=id(dict), node=id(node))
    micropython.mem_info(1)
    print("end")
    at = int(sys.stdin.readline())
    blocks = int(sys.stdin.readline())
    for _ in range(0, blocks, 64):
        print(hexlify(bytearray_at(at, 1024)).decode())
        at += 1024
    print("end")


def words_of(names):
    """What each name is as a word of memory."""
    found = {}
    exec("".join([name + "=0;" for name in names]), found)
    return [[name, id(name)] for name in found]


async def hear(node):
    async for _ in node.subscribe("probe/#"):
        pass


async def meet(node, ids):
    answered = 0
    for id_text in ids:
        try:
            await node.request(unhexlify(id_text), "probe", b"", WAIT_MS)
            answered += 1
        except RequestError as error:
            print(repr(error))
    if node.sessions():
        await node.publish("probe/reading", bytes(32))
    return answered


async def main(folder, port, *numbers):
    changes = {name: int(value) for name, value in [number.split("=") for number in numbers]}
    own_channels = changes.pop("own")
    from picoswarm.compat import collect

    program = used() - imported
    node = Node(folder, profile=changes, host="127.0.0.1", port=int(port))
    del changes
    if own_channels:
        node.register(Deaf(own_channels))
    async with node:
        services = node._services
        services.links._note = note
        note_of_swarm = services.swarm.note

        def note_too(error):
            note(error)
            return note_of_swarm(error)

        services.swarm.note = note_too
        node.handle("probe", lambda caller, payload: payload)
        hearing = asyncio.create_task(hear(node))
        tell(id=hexlify(node.id).decode())
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                hearing.cancel()
                return
            if words[0] == "meet":
                tell(answered=await meet(node, words[1:]))
            elif words[0] == "stream":
                async with await node.open_stream(unhexlify(words[1]), "/probe/1") as stream:
                    tell(stream=stream.name)
            elif words[0] == "heap":
                served = services.swarm._by_channel
                channels = []
                for session in services.swarm.peers.values():
                    channels.append(sum([channel in served for channel in session.hello.channels]))
                with_overlays = used()
                collect()  # lets go of the overlays that a node keeps until memory is short
                tell(heap=used() - bare - program, momentary=with_overlays - used(), channels=channels, stats=node.stats())
            elif words[0] == "comb":
                comb(int(words[1]))
                tell(free=gc.mem_free())
            elif words[0] == "dump":
                dump(node)
            elif words[0] == "names":
                tell(names=words_of(words[1:]))
            elif words[0] == "wanted":
                tell(wanted=Wanted.most, sessions=len(services.swarm.peers), refused=node._driver.out_of_memory)


asyncio.run(main(*sys.argv[1:]))
