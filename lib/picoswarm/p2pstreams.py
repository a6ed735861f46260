"""A libp2p connection that is set up: its socket, and what its user does with it (docs/libp2p.md). With net.py and
tcp.py all the sockets there are."""

import sys
from asyncio import Event, create_task

from .compat import (
    collect,
    const,
    forget_socket,
    readable,
    sleep_ms,
    ticks_diff,
    ticks_ms,
    writable,
)
from .p2plink import ID, PING, PUSH, P2pLink
from .sockets import read_into, write_from

_CHUNK = const(512)
_PAUSE_MS = const(20)
_MEMORY = const(5)  # see yamux.py
_LOST = const(3)
_PING = const(32)
REASONS = ("closed", "protocol error", "internal error", "connection lost", "too slow", "out of memory")


def fail(text, reason=_LOST):
    """Raise StreamError."""
    from .failures import StreamError

    raise StreamError(text, reason)


class P2pStream:
    """Bytes both ways with a libp2p peer (`peer`, its id as text), under the `name` of a protocol. Its methods raise
    StreamError once the other side, or the connection, has given it up."""

    def __init__(self, connection, stream, name):
        self.connection = connection
        self.name = name
        self.peer = connection.peer
        self._stream = stream
        self._changed = Event()
        stream.wake = self._changed.set

    def _check(self):
        if self._stream.is_reset:
            reason = self.connection.link.reason
            fail("the stream was reset" if reason is None else REASONS[reason], reason or 0)

    async def _wait(self):
        self._changed.clear()
        await self._changed.wait()

    async def read(self, n=_CHUNK):
        """The bytes that are there, 1 to `n`, once there are some; b"" at the end."""
        stream = self._stream
        while True:
            data = stream.read(n)
            if data:
                self.connection.turn()
                return bytes(data)
            if stream.is_ended and not stream.is_reset:
                return b""
            self._check()
            await self._wait()

    async def read_exactly(self, n):
        """The next `n` bytes. StreamError where the stream ends before."""
        data = b""
        while len(data) < n:
            part = await self.read(n - len(data))
            if not part:
                fail("the stream ended")
            data += part
        return data

    async def write(self, data):
        """Send bytes, or a text as UTF-8. It returns when the last of them are on their way, or stand in the queue."""
        if isinstance(data, str):
            data = data.encode()
        stream = self._stream
        at = 0
        data = memoryview(data)
        while at < len(data):
            n = stream.write(data[at:])
            at += n
            self.connection.turn()
            if not n:
                self._check()
                if stream.is_closed:
                    fail("the stream is closed", 0)
                await self._wait()

    def close(self):
        """Send no more; reading goes on until the other side does the same."""
        self._stream.close()
        self.connection.turn()

    def reset(self):
        """Give the stream up, both ways."""
        self._stream.reset()
        self.connection.turn()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, *rest):
        if kind is None:
            self.close()
        if kind or not self._stream.is_ended:
            self.reset()


async def _serve(host, handler, stream):
    try:
        await handler(stream)
        stream.close()
    except Exception as error:
        host.note(error)
        stream.reset()


class Connection:
    """One connection to a libp2p peer. `peer` is its id as text; `peer_id`, in bytes; `address` where it is, a multiaddress
    in bytes."""

    rest = writer = reader = None  # what the socket did not take yet; tasks

    def __init__(self, host, sock, ip, address, peer, setup, is_outbound):
        self.host = host
        self.sock = sock
        self.ip = ip
        self.address = address
        self.peer = peer
        self.peer_id = setup.peer
        self.is_outbound = is_outbound
        self.link = link = P2pLink(setup, self, ticks_ms(), host.buffer)
        link.record = host.record
        link.frame = host.frame
        link.streams_most = host.streams_most
        link.held_most = host.held_most
        link.queue_most = host.queue_most

    # What the link asks

    def serves(self, name):
        """Whether a protocol (bytes) is served."""
        return name in self.host.handlers

    def identity(self):
        """The message of identify for this peer."""
        from .identify import encode_identify

        host = self.host
        names = [str(name, "utf-8") for name in list(host.handlers) + [ID, PUSH, PING]]
        return encode_identify(host.public_key, host.addresses, names, self.address, host.agent)

    def begin(self, stream):
        """The peer opened a stream of a protocol that is served."""
        found = P2pStream(self, stream, str(stream.protocol, "utf-8"))
        create_task(_serve(self.host, self.host.handlers[stream.protocol], found))

    def news(self):
        """The link knows more of its peer, or is over."""

    # What the user asks

    def start(self):
        """Read from now on."""
        self.reader = create_task(self._read())

    async def _read(self):
        link = self.link
        try:
            link.start()
            self.turn()
            while link.reason is None:
                if link.is_full():
                    await sleep_ms(_PAUSE_MS)
                    continue
                await readable(self.sock)
                if link.reason is not None:
                    break
                n = read_into(self.sock, memoryview(link.buf)[link.fill :])
                if n == 0:
                    link.close(_LOST)
                elif n:
                    link.received(n, ticks_ms())
                self.turn()
        except MemoryError:
            collect()
            link.close(_MEMORY)
        except OSError:
            link.close(_LOST)
        self.turn()

    def turn(self):
        """Send what there is to be sent, as far as the socket takes it."""
        link = self.link
        if self.sock is None:
            return
        try:
            while link.out and self.rest is None:
                data = link.out.pop(0)
                n = write_from(self.sock, data) or 0
                self.sent(n)
                if n < len(data):
                    self.rest = memoryview(data)[n:]
                    self.writer = create_task(self._write_rest())
        except OSError:
            link.close(_LOST)
            link.out.clear()
        if link.reason is not None and (self.rest is None or link.reason >= _LOST):
            self._hang_up()

    def sent(self, n):
        """The socket took `n` bytes."""
        link = self.link
        was_full = not link.can_write()
        link.sent += n
        link.queued -= n
        if was_full and link.can_write():
            for stream in list(link.streams.values()):
                stream.changed()

    async def _write_rest(self):
        while self.rest is not None and self.sock:
            try:
                await writable(self.sock)
                n = write_from(self.sock, self.rest) or 0
            except OSError:
                self.link.close(_LOST)
                break
            self.sent(n)
            self.rest = self.rest[n:] if n < len(self.rest) else None
        self.turn()

    def _hang_up(self):
        if self.sock:
            forget_socket(self.sock)
            self.sock = None
            for task in (self.reader, self.writer):
                if task is not None:
                    try:
                        task.cancel()
                    except RuntimeError:
                        pass  # the task that runs now: it ends by itself
            self.host.lost(self)

    def close(self):
        """End it; the peer is told."""
        self.link.close()
        self.turn()

    @property
    def is_open(self):
        """Whether streams can be opened."""
        return self.link.reason is None

    async def open_stream(self, protocol):
        """A P2pStream for a protocol such as "/echo/1.0.0", or the first of a list that the peer has. Raises StreamError, at
        the latest after 15 s."""
        names = (protocol,) if isinstance(protocol, str) else protocol
        stream = self.link.dial([name.encode() for name in names])
        if stream is None:
            fail("the connection is closed")
        found = P2pStream(self, stream, "")
        self.turn()
        try:
            while not (stream.protocol or stream.is_reset):
                await found._wait()
        finally:
            if stream.protocol is None:
                found.reset()
        if stream.protocol is None:
            fail("no such protocol, or no answer")
        found.name = str(stream.protocol, "utf-8")
        return found

    async def ping(self):
        """Milliseconds until 32 bytes are back. Raises StreamError."""
        stream = await self.open_stream("/ipfs/ping/1.0.0")
        data = self.host.rng(_PING)
        began = ticks_ms()
        await stream.write(data)
        echo = await stream.read_exactly(_PING)
        taken = ticks_diff(ticks_ms(), began)
        stream.close()
        if echo != data:
            fail("the ping came back changed", 1)
        return taken

    async def identify(self):
        """What the peer says of itself (see identify.py). Raises StreamError."""
        link = self.link
        stream = link.identify()
        if stream is None:
            fail("the connection is closed")
        link.identified = None
        changed = Event()
        stream.wake = changed.set
        self.turn()
        stays = list(sys.modules)
        while not (link.identified or stream.is_reset):
            changed.clear()
            await changed.wait()
        self.host.forget(stays)
        if not link.identified:
            fail("the peer does not say who it is")
        return link.identified
