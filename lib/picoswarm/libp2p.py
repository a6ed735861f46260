"""libp2p from a node, with no gateway in between: `node.libp2p` (docs/libp2p.md). Loaded when somebody asks for it.

The node key is the identity. One task reads each connection; what a socket does not take is kept for it. A connection that
nobody reads holds its peer back by TCP.
"""

import sys
from asyncio import Event, create_task

from .compat import (
    accept_tcp,
    collect,
    connect_tcp,
    const,
    forget_socket,
    listen_tcp,
    own_ip,
    read_into,
    readable,
    sleep_ms,
    ticks_add,
    ticks_diff,
    ticks_ms,
    unload,
    writable,
    write_from,
)
from .identify import PING, encode_identify
from .multiaddr import encode, parse, tcp_address, text
from .p2plink import P2pLink
from .peerid import encode_key, peer_id, peer_text

_CHUNK = const(512)
_TICK_MS = const(5000)
_LOOK_MS = const(10)
_PAUSE_MS = const(20)
_MEMORY = const(5)  # see yamux.py
_LOST = const(3)
_ANSWER_MS = const(10000)
_PING = const(32)
_REASONS = ("closed", "protocol error", "internal error", "connection lost", "too slow", "out of memory")
_ONCE = ("p2psetup", "ed25519", "ed25519_viper", "ed25519_int", "sha512", "sha512_viper", "sha512_int", "p2pkey")


def _fail(text, reason=_LOST):
    from .failures import StreamError

    raise StreamError(text, reason)


class P2pStream:
    """Bytes both ways with a libp2p peer (`peer`, its id as text), under the name of a protocol. Its methods raise StreamError
    once the other side, or the connection, has given it up."""

    def __init__(self, connection, stream, name):
        self.connection = connection
        self.name = name
        self.peer = connection.peer
        self._stream = stream
        self._changed = Event()
        stream.wake = self._changed.set

    def _check(self):
        if self._stream.is_reset:
            link = self.connection.link
            _fail("the stream was reset" if link.reason is None else _REASONS[link.reason], link.reason or 0)

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
            if stream.is_ended:
                return b""
            self._check()
            await self._wait()

    async def read_exactly(self, n):
        """The next `n` bytes; StreamError where the stream ends before."""
        data = b""
        while len(data) < n:
            part = await self.read(n - len(data))
            if not part:
                _fail("the stream ended")
            data += part
        return data

    async def write(self, data):
        """Send bytes. It returns when the last of them are on their way, or stand in the queue."""
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
                    _fail("the stream is closed", 0)
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


class Connection:
    """One connection to a libp2p peer. `peer` is its id as text, `address` where it is as a multiaddress."""

    link = None  # once it is set up
    peer = ""
    rest = None  # what the socket did not take yet

    def __init__(self, host, sock, ip, port, is_outbound):
        self.host = host
        self.sock = sock
        self.address = (("ip4" if len(ip) == 4 else "ip6", ip), ("tcp", port))
        self.is_outbound = is_outbound
        self._is_held = False  # somebody may wait for the queue

    async def set_up(self, dialed, ms):
        """From a socket on its way to a connection. Raises StreamError."""
        deadline = ticks_add(ticks_ms(), ms)
        stays = list(sys.modules)
        try:
            from .p2psetup import P2pSetup

            setup = P2pSetup(self.host.keys, self.host.rng, self.is_outbound, dialed, self.host.verify)
            if self.is_outbound:
                await writable(self.sock)
            while setup.stage < 2:
                while setup.work():
                    await self._send(setup)
                    await sleep_ms(0)
                await self._send(setup)
                if setup.stage < 2 and not self._receive(setup):
                    if ticks_diff(deadline, ticks_ms()) <= 0:
                        setup.reason = "no answer in time"
                        break
                    await sleep_ms(_LOOK_MS)
            if setup.stage != 2:
                _fail("no connection: " + (setup.reason or "refused"))
            self.peer = peer_text(setup.peer)
            self.link = self.host.make_link(self, setup)
        except OSError as error:
            _fail("no connection: %r" % error)
        finally:
            setup = None
            self.host.forget(stays)
            if self.link is None:
                forget_socket(self.sock)

    def _receive(self, setup):
        n = read_into(self.sock, memoryview(setup.buf)[setup.fill :]) if setup.room() else 0
        if n == 0:
            _fail("no connection: the peer closed it")
        if n:
            setup.receive(n)
        return n

    async def _send(self, setup):
        while setup.out:
            n = write_from(self.sock, setup.out) or 0
            setup.out = setup.out[n:]
            if setup.out:
                await sleep_ms(_LOOK_MS)

    def start(self):
        """Read from now on."""
        create_task(self._read())

    async def _read(self):
        link = self.link
        try:
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
                self._sent(n)
                if n < len(data):
                    self.rest = memoryview(data)[n:]
                    create_task(self._write_rest())
        except OSError:
            link.close(_LOST)
            link.out.clear()
        if link.reason is not None and self.rest is None:
            self._hang_up()

    def _sent(self, n):
        link = self.link
        link.sent += n
        link.queued -= n
        if self._is_held and link.can_write():
            self._is_held = False
            for stream in list(link.streams.values()):
                stream.changed()
        elif not link.can_write():
            self._is_held = True

    async def _write_rest(self):
        while self.rest is not None and self.sock:
            try:
                await writable(self.sock)
                n = write_from(self.sock, self.rest) or 0
            except OSError:
                self.link.close(_LOST)
                n = len(self.rest)
            self._sent(n)
            self.rest = self.rest[n:] if n < len(self.rest) else None
        self.turn()

    def _hang_up(self):
        if self.sock:
            forget_socket(self.sock)
            self.sock = None
            self.host.lost(self)

    def close(self):
        """End it; the peer is told."""
        self.link.close()
        self.turn()

    @property
    def is_open(self):
        """Whether streams can be opened."""
        return self.link is not None and self.link.reason is None

    async def open_stream(self, protocol, ms=_ANSWER_MS):
        """A P2pStream for a protocol such as "/echo/1.0.0", or the first of a list that the peer has. Raises StreamError."""
        names = (protocol,) if isinstance(protocol, str) else protocol
        stream = self.link.dial([name.encode() for name in names])
        if stream is None:
            _fail("the connection is closed")
        found = P2pStream(self, stream, "")
        self.turn()
        await self.host.within(ms, stream)
        if stream.protocol is None:
            stream.reset()
            self.turn()
            _fail("no such protocol, or no answer")
        found.name = str(stream.protocol, "utf-8")
        return found

    async def ping(self):
        """Milliseconds until 32 bytes are back. Raises StreamError."""
        stream = await self.open_stream(str(PING, "utf-8"))
        data = self.host.rng(_PING)
        began = ticks_ms()
        await stream.write(data)
        echo = await stream.read_exactly(_PING)
        taken = ticks_diff(ticks_ms(), began)
        stream.close()
        if echo != data:
            _fail("the ping came back changed", 1)
        return taken

    async def identify(self):
        """What the peer says of itself, an Identified. Raises StreamError."""
        stream = self.link.identify()
        if stream is None:
            _fail("the connection is closed")
        self.link.identified = None
        self.turn()
        await self.host.within(_ANSWER_MS, stream, lambda: self.link.identified)
        if not self.link.identified:
            _fail("the peer does not say who it is")
        return self.link.identified


class Libp2p:
    """A node's libp2p. `peer_id` is its id there, as text.

    `await dial("/ip4/192.168.1.5/tcp/4001/p2p/12D3Koo...")` gives a Connection; without the last part any peer will do.
    `handle("/echo/1.0.0", handler)` serves a protocol by a coroutine function of a P2pStream. `await listen(4001)` takes
    inbound connections, `inbound_most` at a time: whoever connects then learns the node's id, member or not.
    """

    inbound_most = 1
    record = 8192  # bytes of the longest Noise record that is taken: what a peer writes at once
    frame = 512
    streams_most = 4
    held_most = 2048
    queue_most = 2048
    verify = None  # of keys other than Ed25519
    agent = "picoswarm"

    def __init__(self, identity, rng, folder, is_over=None):
        """`identity` has `id`, `static_private` and `static_public`; `rng(n)` gives random bytes; `folder` is the node's;
        `is_over()` says that its node is closed."""
        self.rng = rng
        self._is_over = is_over or bool
        self.keys = None
        self.connections = []
        self.port = 0
        self.public_key = encode_key(identity.id)
        self.id = peer_id(self.public_key)
        self.peer_id = peer_text(self.id)
        self._identity = identity
        self._folder = folder
        self._handlers = {}
        self._listening = self._listener = self._ticker = None

    async def _prepare(self):
        if self.keys is None:
            stays = list(sys.modules)
            from .p2pkey import Keys

            self.keys = await Keys(self._identity, self.public_key).take(self._folder)
            self.forget(stays)
        if self._ticker is None:
            self._ticker = create_task(self._tick())

    def forget(self, stays):
        """Let go of what a set-up loaded."""
        stays = stays + [name for name in sys.modules if name.rpartition(".")[2] not in _ONCE]
        unload(stays)
        collect()

    async def _tick(self):
        while not self._is_over():
            await sleep_ms(_TICK_MS)
            for connection in list(self.connections):
                connection.link.tick(ticks_ms())
                connection.turn()
        self._ticker = None
        self.close()

    async def dial(self, address, ms=20000):
        """A Connection to a multiaddress; the one that there is to that peer. Raises StreamError, LocalError."""
        parts = parse(address)
        found = tcp_address(parts) if parts else None
        if found is None or isinstance(found[0], str):
            from .errors import LocalError

            raise LocalError("not an address of a libp2p peer over TCP: " + address)
        ip, port, peer = found
        for connection in self.connections:
            if peer and connection.link.peer == peer and connection.is_open:
                return connection
        await self._prepare()
        try:
            sock = connect_tcp(ip, port)
        except OSError as error:
            _fail("no connection: %r" % error)
        connection = Connection(self, sock, ip, port, True)
        await connection.set_up(peer, ms)
        self._keep(connection)
        return connection

    def _keep(self, connection):
        self.connections.append(connection)
        connection.start()

    def make_link(self, connection, setup):
        """The engine of a connection, with the limits of this host."""
        link = P2pLink(self, setup, ticks_ms())
        link.owner = connection
        link.record = self.record
        link.frame = self.frame
        link.streams_most = self.streams_most
        link.held_most = self.held_most
        link.queue_most = self.queue_most
        return link

    def handle(self, protocol, handler):
        """Serve a protocol; None: not any more."""
        if handler:
            self._handlers[protocol.encode()] = handler
        else:
            self._handlers.pop(protocol.encode(), None)

    async def listen(self, port):
        """Take inbound connections. Raises OSError."""
        await self._prepare()
        if self._listening is None:
            self._listening = listen_tcp(bytes(4), port)
            self.port = port
            self._listener = create_task(self._accept())

    async def _accept(self):
        while self._listening:
            await readable(self._listening)
            try:
                sock, ip, port = accept_tcp(self._listening)
            except OSError:
                await sleep_ms(_PAUSE_MS)
                continue
            if len([each for each in self.connections if not each.is_outbound]) >= self.inbound_most:
                sock.close()
                continue
            connection = Connection(self, sock, ip, port, False)
            try:
                await connection.set_up(None, _ANSWER_MS)
                self._keep(connection)
            except Exception:
                collect()  # a stranger's set-up failed: nobody here waits for it

    def close(self):
        """End all connections, and listen no more."""
        for connection in list(self.connections):
            connection.close()
        for task in (self._listener, self._ticker):
            if task:
                task.cancel()
        if self._listening:
            forget_socket(self._listening)
        self._listening = self._listener = self._ticker = None

    async def within(self, ms, stream, is_done=None):
        """Wait for a choice of protocol, or for `is_done`, at most `ms`."""
        deadline = ticks_add(ticks_ms(), ms)
        while not (is_done() if is_done else stream.protocol) and not stream.is_reset:
            if ticks_diff(deadline, ticks_ms()) <= 0:
                return
            await sleep_ms(_LOOK_MS)

    # What the links ask

    def serves(self, name):
        """Whether there is a handler for a protocol."""
        return name in self._handlers

    def protocols(self):
        """The names of all protocols that are served."""
        return [str(name, "utf-8") for name in self._handlers] + ["/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"]

    def addresses(self):
        """Own addresses, as texts."""
        ip = own_ip()
        return [text((("ip4", ip), ("tcp", self.port), ("p2p", self.id)))] if self.port and any(ip) else []

    def identity(self, link):
        """The message of identify for a peer."""
        own = [encode(parse(each)[:2]) for each in self.addresses()]
        return encode_identify(self.public_key, own, self.protocols(), encode(link.owner.address), self.agent)

    def begin(self, link, stream):
        """A peer opened a stream of a protocol that is served."""
        name = str(stream.protocol, "utf-8")
        create_task(self._serve(self._handlers[stream.protocol], P2pStream(link.owner, stream, name)))

    async def _serve(self, handler, stream):
        try:
            await handler(stream)
            stream.close()
        except Exception:
            stream.reset()

    def news(self, link):
        """A link knows more of its peer, or is over."""

    def lost(self, connection):
        """A connection is over."""
        if connection in self.connections:
            self.connections.remove(connection)


def of(node):
    """The Libp2p of a running node."""
    engine = node._discovery
    return Libp2p(engine.agreements._identity, engine.rng, node._folder, lambda: node._driver is None)
