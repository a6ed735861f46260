"""A driver (net.Driver) under test: around an engine that does as it is told, on sockets that do as they are told."""

import asyncio
import sys

from picoswarm import net
from picoswarm.compat import sleep_ms, sockaddr, ticks_diff

PEER = b"\x0a\x00\x00\x02"
PEER_PORT = 4321
EAGAIN = 11
ENODEV = 19


class FakeSocket:
    """Gives the datagrams of `inbox`, then raises `empty`; raises `refuse`, if set, when sending."""

    family = 0

    def __init__(self, inbox=(), empty=EAGAIN, refuse=0):
        self.inbox = list(inbox)
        self.empty = empty
        self.refuse = refuse
        self.sent = []
        self.timeouts = []
        self.is_closed = False
        self.asked = 0
        self.is_waited_for = False

    async def readable(self):
        """Until a datagram waits, or an error other than that there is none."""
        self.is_waited_for = True
        await sleep_ms(0)
        while not self.inbox and self.empty == EAGAIN:
            await sleep_ms(1)

    def recvfrom(self, n):
        self.asked = n
        if not self.inbox:
            raise OSError(self.empty, "")
        source = sockaddr(self, PEER, PEER_PORT)
        return self.inbox.pop(0), source if isinstance(source, tuple) else bytes(source)

    def sendto(self, data, address):
        if self.refuse:
            raise OSError(self.refuse, "")
        self.sent.append(bytes(data))

    def settimeout(self, seconds):
        self.timeouts.append(seconds)

    def close(self):
        self.is_closed = True


class FakeEngine:
    """Sends what stands in `outbox`; wants `work_n` slices; is due at `due`. `failure`, if set, is raised by `receive`."""

    def __init__(self):
        self.outbox = []
        self.events = []
        self.received = []
        self.ticked = []
        self.due = None
        self.work_n = 0
        self.failure = None
        self.source = None
        self.to_ip = PEER
        self.to_port = PEER_PORT

    def receive(self, buf, n, ip, port, now):
        if self.failure:
            raise self.failure
        self.received.append(bytes(buf[:n]))
        self.events.append((1, n))
        self.source = (bytes(ip), port)

    def to_send(self, out):
        if not self.outbox:
            return 0
        data = self.outbox.pop(0)
        out[: len(data)] = data
        return len(data)

    def next_event(self):
        return self.events.pop(0) if self.events else None

    def next_time(self):
        return self.due

    def tick(self, now):
        self.ticked.append(now)
        if self.due is not None and ticks_diff(now, self.due) >= 0:
            self.due = None

    def work(self):
        self.work_n -= self.work_n > 0
        return self.work_n > 0


async def settle():
    """Long enough for every turn that is due."""
    await sleep_ms(10)


def drive(scenario, *sockets, check=lambda: False):
    """Run `scenario(driver, engine)` on a driver that gets these sockets one after another, then none; an integer among them
    is an errno. Gives the events."""
    waiting = list(sockets)

    def open_socket(ip, port):
        sock = waiting.pop(0) if waiting else ENODEV
        if isinstance(sock, int):
            raise OSError(sock, "")
        return sock

    async def main():
        events = []
        engine = FakeEngine()
        driver = net.Driver(b"\0\0\0\0", 20742, 512, open_socket)
        driver.open()
        driver.start(engine, events.append, check)
        await settle()
        await scenario(driver, engine)
        driver.stop()
        await sleep_ms(0)
        return events

    real = net.readable
    # In the files of a board net.py stands in the bundle of node.py.
    homes = [module for module in (net, sys.modules.get("picoswarm.node")) if module]
    for module in homes:
        module.readable = lambda sock: sock.readable()
    try:
        return asyncio.run(main())
    finally:
        for module in homes:
            module.readable = real
