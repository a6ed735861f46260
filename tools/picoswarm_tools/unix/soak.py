# A day of a small mesh in virtual time, on 32-bit MicroPython: soak.py HOURS. Real engines, drivers and asyncio; only the
# clock and the sockets are not real. One node reboots each hour, all look random ids up, 5 % of the datagrams are lost.
# Says once an hour what is allocated after two collections, the mean of readings with every task parked and nothing under
# way, and at the end how much the drivers moved. Random, and the same each time.
import asyncio
import gc
import json
import sys
from asyncio import core

import picoswarm.compat as compat
import picoswarm.net as net
import picoswarm.node as node
from picoswarm.compat import sha256, sleep_ms, ticks_add
from picoswarm.crypto import run
from picoswarm.discovery import Discovery
from picoswarm.entropy import Pool
from picoswarm.membership import Membership, NetworkKey
from picoswarm.nodekey import Create
from picoswarm.profile import Profile

NODES = 5
LOSS = 13  # of 256
HOUR_MS = 3600000
PORT = 20000
LOOPBACK = b"\x7f\x00\x00\x01"


class Network:
    """The virtual clock, and what asyncio waits for: it moves the clock to the next deadline instead of sleeping."""

    def __init__(self):
        self.now = core.ticks()  # within 6 days of the real clock, which asyncio's own C code still reads
        self.map = {}  # port -> task that waits for a datagram; asyncio asks whether it is empty
        self.sockets = {}
        self.seed = 1

    def ticks(self):
        return self.now

    def wait_io_event(self, dt):
        is_ready = False
        for port in self.sockets:
            task = self.map.get(port)
            if task is not None and self.sockets[port].inbox:
                self.map[port] = None
                core._task_queue.push(task)
                is_ready = True
        if dt > 0 and not is_ready:
            self.now = ticks_add(self.now, dt)

    def queue_read(self, sock):
        self.map[sock.port] = core.cur_task
        core.cur_task.data = self

    def remove(self, task):
        for port in self.map:
            if self.map[port] is task:
                self.map[port] = None

    def is_lost(self):
        self.seed = (self.seed * 1103515245 + 12345) & 0x3FFFFFFF
        return (self.seed >> 16) & 255 < LOSS


class Socket:
    def __init__(self, network, port):
        self.network = network
        self.port = port
        self.inbox = []
        network.sockets[port] = self

    def recvfrom(self, n):
        if not self.inbox:
            raise OSError(11)
        return self.inbox.pop(0)

    def sendto(self, view, address):
        port = address[2] << 8 | address[3]
        target = self.network.sockets.get(port)
        if target is not None and not self.network.is_lost():
            target.inbox.append((bytes(view), bytes((2, 0, self.port >> 8, self.port & 255)) + LOOPBACK))

    def settimeout(self, seconds):
        pass

    def close(self):
        self.network.sockets.pop(self.port, None)


class Random:
    """Bytes that look random."""

    def __init__(self):
        self.state = b""

    def draw(self, n):
        out = b""
        while len(out) < n:
            self.state = sha256(self.state).digest()
            out += self.state
        return out[:n]


def boot(network, rng, identity, membership, i, first):
    """A driver that runs, as after the power came."""
    driver = net.Driver(LOOPBACK, PORT + i, 512, lambda ip, port: Socket(network, port))
    driver.open()
    profile = Profile(beacon=0)
    engine = Discovery(profile, identity, membership, rng, network.now, LOOPBACK, PORT + i)
    if i:
        engine.add_bootstrap(LOOPBACK, PORT, first)
    driver.start(engine, lambda event: None, lambda: False)
    return driver


def used():
    compat.collect()  # lets go of the overlays that a node keeps until memory is short
    compat.collect()
    return gc.mem_alloc()


async def reading(drivers):
    """Bytes allocated, once no node waits for an answer."""
    while any(request.state for driver in drivers for request in driver.engine.requests.pool):
        await sleep_ms(100)
    return used()


async def main(network, hours):
    rng = Random().draw
    membership = Membership(NetworkKey(bytes(range(32)), 0))
    identities = []
    for _ in range(NODES):
        pool = Pool(rng(32))
        while not pool.ready:
            pool.feed(rng(128))
        identities.append(run(Create(pool)))
    drivers = [boot(network, rng, identities[i], membership, i, identities[0].id) for i in range(NODES)]
    moved = faults = 0
    for hour in range(1, hours + 1):
        readings = 0
        for minute in range(60):
            await sleep_ms(60000)
            if minute % 10 == 5:
                driver = drivers[minute // 10 % NODES]
                driver.engine.find(rng(32), network.now, minute > 30)
                driver.turn()
            if minute == 20:  # all but the first, in turn
                i = 1 + hour % (NODES - 1)
                moved += drivers[i].received
                faults += drivers[i].faults
                drivers[i].stop()
                drivers[i] = None
                await sleep_ms(90000)
                drivers[i] = boot(network, rng, identities[i], membership, i, identities[0].id)
            if minute >= 30:
                readings += await reading(drivers)
        live = [driver.engine.table.live() for driver in drivers]
        print(json.dumps({"hour": hour, "heap": readings / 30, "live": live}))
    for driver in drivers:
        moved += driver.received
        faults += driver.faults + driver.out_of_memory
    print(json.dumps({"datagrams": moved, "faults": faults, "fault": repr([driver.fault for driver in drivers])}))


network = Network()
core.ticks = net.ticks_ms = node.ticks_ms = network.ticks  # with -O3 the module net is part of the module node
core._io_queue = network
asyncio.run(main(network, int(sys.argv[1])))
