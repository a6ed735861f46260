# Both ends of the measurements of sealed records, on 32-bit MicroPython: sealed_bench.py WHAT PORT COUNT SIZE
#   send receive   measured, dial
#   sink source    their peers, listen at PORT and say so
# Records are those of a session: a Mux fills them, and Sealed seals and opens them in place. Only the handshake is missing.
import asyncio
import sys

from picoswarm.channel import Channel
from picoswarm.compat import readable, ticks_ms, writable
from picoswarm.mux import Mux
from picoswarm.profile import Profile
from picoswarm.sealed import Sealed
from picoswarm.sockets import accept_tcp, connect_tcp, listen_tcp, read_into
from picoswarm.wire import copy

CHANNEL = 40
LOOPBACK = b"\x7f\x00\x00\x01"
HEAD, TAG, FRAME = 2, 16, 3


class Link:
    """A Mux and the keys of both directions on a socket. `got`: messages that came in."""

    def __init__(self, sock, size, is_initiator):
        self.sock = sock
        self.got = 0
        record = max(64, size + FRAME)  # a message of the measured size fills one
        channels = (Channel(CHANNEL, 4, 32, 16384, size),)
        self.mux = Mux(Profile(record=record), channels, is_initiator, ticks_ms())
        self.mux.on_message = self.on_message
        self.mux.start(bytes((CHANNEL,)), record, ticks_ms())
        keys = bytes(range(32)), bytes(range(32, 64))
        self.sealer, self.opener = Sealed(keys[not is_initiator]), Sealed(keys[is_initiator])
        self.out = bytearray(HEAD + record + TAG)
        self.buf = bytearray(HEAD + record + TAG)
        self.space = memoryview(self.buf)
        self.fill = 0

    def on_message(self, channel, view):
        self.got += 1

    def next_record(self):
        """Fill and seal one into `out`. Returns its end, 0 for none."""
        out = self.out
        n = self.mux.fill(out, HEAD, len(out) - TAG, ticks_ms())
        return self.sealer.seal(out, 0, n) if n > HEAD else 0

    async def flush(self):
        """Send what is due. Returns whether something was."""
        n = self.next_record()
        if not n:
            return False
        while n:
            at = self.sock.write(self.out, 0, n) or 0
            while at < n:
                await writable(self.sock)
                at += self.sock.write(self.out, at, n - at) or 0
            n = self.next_record()
        return True

    def read(self):
        """Open what came, and hand it to the mux. False at the end."""
        n = read_into(self.sock, self.space[self.fill :] if self.fill else self.space)
        if n is None:
            return True
        buf = self.buf
        end = self.fill + n
        at = 0
        while end - at > HEAD:
            stop = at + HEAD + (buf[at] << 8 | buf[at + 1])
            if stop > end:
                break
            plain = self.opener.open(buf, at, stop)
            if plain < 0 or self.mux.receive(buf, at + HEAD, plain, ticks_ms()):
                raise ValueError
            at = stop
        end -= at
        if at and end:
            copy(buf, 0, buf, at, end)
        self.fill = end
        return n > 0


async def send(link, count, size):
    """As many messages, a record each, as fast as credit and socket take them."""
    data = bytes(size)
    mux = link.mux
    while count or mux.due(ticks_ms()) >= 0:
        while count and mux.try_send(CHANNEL, data):
            count -= 1
        mux.flush()
        if not await link.flush():
            await readable(link.sock)
            if not link.read():
                return


async def receive(link, count):
    while link.got < count:
        await link.flush()
        await readable(link.sock)
        if not link.read():
            return
    await link.flush()


async def main(what, port, count, size):
    if what in ("sink", "source"):
        listening = listen_tcp(LOOPBACK, port)
        print("ready")
        await readable(listening)
        sock = accept_tcp(listening)[0]
    else:
        sock = connect_tcp(LOOPBACK, port)
        await writable(sock)
    link = Link(sock, size, what in ("send", "receive"))
    try:
        if what in ("send", "source"):
            await send(link, count, size)
            while link.read():  # the other side closes when it has all
                await readable(sock)
        else:
            await receive(link, count)
    except OSError:
        pass  # it went at once
    if what in ("receive", "sink") and link.got != count:
        print("messages are missing")
    sock.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
