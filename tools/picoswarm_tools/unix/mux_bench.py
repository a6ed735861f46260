# Both ends of the mux's measurements: mux_bench.py WHAT PORT COUNT SIZE
#   on 32-bit MicroPython, measured:  send_each send_full receive echo    over a Mux
#                                     plain_send plain_receive plain_echo over asyncio's streams
#                                     alloc                               without sockets
#   on CPython, its peer:             sink source client, plain_sink plain_source plain_client; prints its port
# Records are a length and the plaintext: what a session costs without its cipher. Only measurements have this layer.
import asyncio
import gc
import sys

from picoswarm.channel import Channel
from picoswarm.compat import readable, ticks_ms, writable
from picoswarm.mux import Mux
from picoswarm.profile import Profile
from picoswarm.sockets import connect_tcp, read_into
from picoswarm.wire import copy


def write_on_host(sock):
    """What `write` of a MicroPython socket does: bytes taken, or None."""

    def write(buf, at, n):
        try:
            return sock.send(memoryview(buf)[at : at + n])
        except BlockingIOError:
            return None

    return write


CHANNEL = 40
LOOPBACK = b"\x7f\x00\x00\x01"
RECORD = 768
PROMPT = 5  # the priority from which on nothing waits for more


class PlainRecords:
    """A Mux on a socket, with no cipher between. `got`: messages that came in."""

    def __init__(self, sock, priority, is_initiator):
        self.sock = sock
        self.write = sock.write if sys.implementation.name == "micropython" else write_on_host(sock)
        self.got = 0
        channels = (Channel(CHANNEL, priority, 32, 16384, 4000),)
        self.mux = Mux(Profile(), channels, is_initiator, ticks_ms())
        self.mux.on_message = self.on_message
        self.mux.start(bytes((CHANNEL,)), RECORD, ticks_ms())
        self.out = bytearray(2 + RECORD)
        self.buf = bytearray(2 + RECORD)
        self.space = memoryview(self.buf)
        self.fill = 0
        self.filled = self.written = 2  # of what is to be written

    def on_message(self, channel, view):
        self.got += 1

    def flush(self):
        """Write what is due. False: nothing was, or the socket takes no more."""
        is_some = False
        while True:
            if self.written == self.filled:
                self.written = 0
                self.filled = self.mux.fill(self.out, 2, 2 + RECORD, ticks_ms())
                if self.filled == 2:
                    self.written = 2
                    return is_some
                self.out[0] = self.filled - 2 >> 8
                self.out[1] = self.filled - 2 & 0xFF
            n = self.write(self.out, self.written, self.filled - self.written)
            if not n:
                return False
            self.written += n
            is_some = True

    def read(self):
        """Hand what came in to the mux. False at the end."""
        n = read_into(self.sock, self.space[self.fill :] if self.fill else self.space)
        if n is None:
            return True
        buf = self.buf
        end = self.fill + n
        at = 0
        while end - at > 2:
            size = buf[at] << 8 | buf[at + 1]
            if at + 2 + size > end:
                break
            at += 2
            reason = self.mux.receive(buf, at, at + size, ticks_ms())
            if reason:
                raise ValueError(reason)
            at += size
        if at and at < end:
            copy(buf, 0, buf, at, end - at)
        self.fill = end - at
        return n > 0

    async def wait(self):
        """Until there is something to read, or room to write where that is wanted. False at the end."""
        if self.written < self.filled:
            await writable(self.sock)
            return True
        await readable(self.sock)
        return self.read()


# The next two are measured, and call nothing that they need not.


async def send(link, count, size, is_each):
    """Send messages: a record for each, or as many in a record as fit."""
    sock, mux, out = link.sock, link.mux, link.out
    data = bytes(size)
    while count or mux.due(ticks_ms()) >= 0:
        while count and mux.try_send(CHANNEL, data):
            count -= 1
            if is_each:
                break
        if not count:
            mux.flush()
        n = mux.fill(out, 2, 2 + RECORD, ticks_ms())
        if n == 2:
            await readable(sock)
            link.read()
        while n > 2:
            out[0] = n - 2 >> 8
            out[1] = n - 2 & 0xFF
            at = link.write(out, 0, n) or 0
            while at != n:
                await writable(sock)
                at += link.write(out, at, n - at) or 0
            n = 2 if is_each else mux.fill(out, 2, 2 + RECORD, ticks_ms())


def receive(link, count, size, is_echo):
    """Awaitable on MicroPython, written as its streams are: take what comes, and answer in the same turn."""
    queue = asyncio.core._io_queue
    sock, mux, buf, out, space = link.sock, link.mux, link.buf, link.out, link.space
    try_send = mux.try_send
    if is_echo:
        mux.on_message = lambda channel, view: try_send(channel, bytes(view))
    fill = 0
    while is_echo or link.got < count:
        yield queue.queue_read(sock)
        n = sock.readinto(space[fill:] if fill else space)
        if not n:
            return
        now = ticks_ms()
        end = fill + n
        at = 0
        while end - at > 2:
            n = at + 2 + (buf[at] << 8 | buf[at + 1])
            if n > end:
                break
            if mux.receive(buf, at + 2, n, now):
                raise ValueError
            at = n
        fill = end - at
        if fill:
            copy(buf, 0, buf, at, fill)
        n = mux.fill(out, 2, 2 + RECORD, now)
        while n > 2:
            out[0] = n - 2 >> 8
            out[1] = n - 2 & 0xFF
            at = link.write(out, 0, n) or 0
            while at != n:
                yield queue.queue_write(sock)
                at += link.write(out, at, n - at) or 0
            n = mux.fill(out, 2, 2 + RECORD, now) if n > RECORD - size else 2  # nothing else was ready


def client(sock, count, size):
    """Ask and wait, with the shortest code that speaks the protocol: what is measured is the other side. Prints how many
    milliseconds the longest round trip took."""
    from time import monotonic

    message = bytes((CHANNEL, 0x10 | size >> 8, size & 0xFF)) + bytes(size)
    credit = bytes((0, 0x10, 4, 3, CHANNEL)) + (200 * len(message)).to_bytes(2, "big")
    longest = 0
    for i in range(count):
        record = message if i % 200 else credit + message
        began = monotonic()
        sock.sendall(len(record).to_bytes(2, "big") + record)
        while True:
            n = int.from_bytes(sock.recv(2, 0x100), "big")  # MSG_WAITALL
            record = sock.recv(n, 0x100)
            if n >= len(message) and message in record:
                break
        longest = max(longest, monotonic() - began)
    print(int(longest * 1000))


async def measured(what, port, count, size):
    sock = connect_tcp(LOOPBACK, port)
    await writable(sock)
    link = PlainRecords(sock, PROMPT if what in ("send_each", "echo") else PROMPT - 1, True)
    link.flush()
    if what.startswith("send"):
        await send(link, count, size, what == "send_each")
    else:
        try:  # noqa: SIM105  (as below)
            await receive(link, count, size, what == "echo")
        except OSError:
            pass  # a peer that has its answers does not read what credit it is given
    sock.close()


async def measured_plain(what, port, count, size):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = bytes(size)
    if what == "plain_send":
        for _ in range(count):
            writer.write(data)
            await writer.drain()
    elif what == "plain_receive":
        for _ in range(count):
            await reader.readexactly(size)
    else:
        for _ in range(count):
            writer.write(await reader.readexactly(size))
            await writer.drain()
    writer.close()


def allocate(count, size, step):
    """Bytes that `count` messages take that pass from one Mux to another, in records of seven; each `step` bytes longer than
    the one before, modulo 64."""
    channels = (Channel(CHANNEL, 6, 32, 16384, 4000),)
    ends = [Mux(Profile(), channels, is_initiator, 0) for is_initiator in (True, False)]
    for mux in ends:
        mux.on_message = lambda channel, view: None
        mux.start(bytes((CHANNEL,)), RECORD, 0)
    out = bytearray(RECORD)
    data = [bytes(size + i * step % 64) for i in range(64)]

    def passed(messages):
        for turn in range(messages // 7):
            for i in range(7):
                ends[0].try_send(CHANNEL, data[(turn * 7 + i) % 64])
            for i in range(4):
                n = ends[i & 1].fill(out, 0, RECORD, 0)
                if n and ends[1 - (i & 1)].receive(out, 0, n, 0):
                    raise ValueError

    passed(70)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    passed(count)
    print(gc.mem_alloc() - before)


async def peer(what, count, size):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        sock = server.accept()[0]
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if what.startswith("plain"):
        if what == "plain_sink":
            while sock.recv(1 << 20):
                pass
        elif what == "plain_source":
            sock.sendall(bytes(size) * count)
            sock.recv(1)
        else:
            for _ in range(count):
                sock.sendall(bytes(size))
                sock.recv(size, socket.MSG_WAITALL)
        return
    if what == "client":
        return client(sock, count, size)
    sock.setblocking(False)
    link = PlainRecords(sock, PROMPT - 1, False)
    link.flush()
    if what == "sink":
        while await link.wait():
            link.flush()
    else:
        await send(link, count, size, False)
        await link.wait()


what, port, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
if what == "alloc":
    allocate(count, size, port)
elif what in ("sink", "source", "client", "plain_sink", "plain_source", "plain_client"):
    try:  # noqa: SIM105  (MicroPython has no contextlib)
        asyncio.run(peer(what, count, size))
    except ConnectionError:
        pass  # the other side is done, and closed before it read all
elif what.startswith("plain"):
    asyncio.run(measured_plain(what, port, count, size))
else:
    asyncio.run(measured(what, port, count, size))
