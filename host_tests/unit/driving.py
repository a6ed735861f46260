"""A driver (net.Driver) under test: around an engine that does as it is told, on sockets that do as they are told."""

import asyncio

from picoswarm.compat import sleep_ms, sockaddr, ticks_diff
from picoswarm.net import Driver

PEER = b"\x0a\x00\x00\x02"
PEER_PORT = 4321
EAGAIN = 11
ENODEV = 19
READ = 1  # what the reader task begins a turn with


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


def drive(scenario, *sockets, check=lambda: False):
    """Run `scenario(driver, engine)` on a driver that gets these sockets one after another, then none; an integer among them
    is an errno. The sockets never become readable: a scenario calls what the reader task calls. Gives the events."""
    waiting = list(sockets)

    def open_socket(ip, port):
        sock = waiting.pop(0) if waiting else ENODEV
        if isinstance(sock, int):
            raise OSError(sock, "")
        return sock

    async def silent():
        await sleep_ms(10_000)

    async def main():
        events = []
        engine = FakeEngine()
        driver = Driver(b"\0\0\0\0", 20742, 512, open_socket)
        driver.open()
        driver._read = silent
        driver.start(engine, events.append, check)
        await sleep_ms(5)
        await scenario(driver, engine)
        driver.stop()
        await sleep_ms(0)
        return events

    return asyncio.run(main())
