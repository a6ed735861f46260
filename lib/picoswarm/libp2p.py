"""libp2p from a node, with no gateway in between: `node.libp2p` (docs/libp2p.md). Loaded when somebody asks for it.

The node key is the identity. What a set-up needs is loaded for it and forgotten, before what a connection needs is loaded.
"""

import sys
from asyncio import create_task

from .compat import collect, const, forget_socket, readable, sleep_ms, ticks_ms, unload
from .sockets import accept_tcp, connect_tcp, listen_tcp

_TICK_MS = const(5000)
_PAUSE_MS = const(20)
_SET_UP_MS = const(10000)
# Modules of one set-up.
_ONCE = """peerkey steering slots files store nodedb multiaddr p2pdial p2psetup p2pkey peerid
identify ed25519 ed25519base_viper ed25519sign_viper ed25519verify_viper ed25519_int sha512 sha512_viper sha512_int"""


class Libp2p:
    """A node's libp2p. `peer_id` is its id there, as text.

    `await dial("/ip4/192.168.1.5/tcp/4001/p2p/12D3Koo...")` gives a Connection; without the last part any peer will do.
    `handle("/echo/1.0.0", handler)` serves a protocol by a coroutine function of a P2pStream. `await listen(4001)` takes
    inbound connections, `inbound_most` at a time: whoever connects then learns the node's id, member or not.
    """

    inbound_most = 1
    record = 8192  # bytes of the longest Noise record that is taken: what a peer writes at once
    buffer = 1024  # bytes that are read at once
    set_up_buffer = 512  # bytes of the longest message of a set-up
    frame = 512
    streams_most = 8  # of each peer's
    held_most = 2048
    queue_most = 2048
    verify = None  # of keys other than Ed25519
    agent = "picoswarm"

    def __init__(self, identity, rng, folder, is_over=None):
        """`identity` has `id`, `static_private` and `static_public`; `rng(n)` gives random bytes; `folder` is the node's;
        `is_over()` says that its node is closed."""
        stays = [name for name in sys.modules if name != "picoswarm.steering"]  # which brought us here
        from .peerid import peer_text
        from .peerkey import encode_key, peer_id

        self.rng = rng
        self.keys = None
        self.connections = []
        self.handlers = {}
        self.addresses = []  # own ones, in bytes, while it listens
        self.fault = None  # the last exception of a handler
        self.public_key = encode_key(identity.id)
        self.peer_id = peer_text(peer_id(self.public_key))
        self._is_over = is_over or bool
        self._identity = identity
        self._folder = folder
        self._listening = self._listener = self._ticker = None
        self._is_busy = False  # with a set-up: one at a time
        encode_key = peer_id = peer_text = None
        self.forget(stays)

    def forget(self, stays):
        """Let go of the modules that were loaded for once, but those in `stays`."""
        unload(stays + [name for name in sys.modules if name.rpartition(".")[2] not in _ONCE.split()])
        collect()

    async def _prepare(self):
        if self.keys is None:
            stays = list(sys.modules)
            from .p2pkey import take_keys

            try:
                self.keys = await take_keys(self._identity, self.public_key, self._folder)
            finally:
                self.forget(stays)
        if self._ticker is None:
            self._ticker = create_task(self._tick())

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
        stays = list(sys.modules)
        from .multiaddr import parse_address, tcp_address

        parts = parse_address(address)
        found = tcp_address(parts) if parts else None
        self.forget(stays)
        is_named = found is not None and parts[0][0][:3] == "dns"
        stays = parts = parse_address = tcp_address = None
        if found is None or is_named:
            from .errors import LocalError

            raise LocalError("not an address of a libp2p peer over TCP: " + address)
        for connection in self.connections:
            if connection.peer_id == found[2] and connection.is_open:
                return connection
        while self._is_busy:
            await sleep_ms(_PAUSE_MS)
        await self._prepare()
        try:
            return await self._begin(connect_tcp(found[0], found[1]), found[0], found[1], found[2], True, ms)
        except OSError as error:
            from .failures import StreamError

            raise StreamError("no connection: %r" % error, 3)

    async def _begin(self, sock, ip, port, dialed, is_outbound, ms):
        """From a socket to a Connection. Raises StreamError, OSError."""
        stays = list(sys.modules)
        self._is_busy = True
        setup = None
        try:
            from .p2pdial import set_up

            setup = await set_up(self, sock, is_outbound, dialed, ms)
            from .multiaddr import encode_address
            from .peerid import peer_text

            address = encode_address((("ip4" if len(ip) == 4 else "ip6", ip), ("tcp", port)))
            peer = peer_text(setup.peer)
            set_up = encode_address = peer_text = None
        finally:
            self._is_busy = False
            if setup is None:
                forget_socket(sock)
            self.forget(stays)
        from .p2pstreams import Connection

        connection = Connection(self, sock, ip, address, peer, setup, is_outbound)
        self.connections.append(connection)
        connection.start()
        return connection

    def handle(self, protocol, handler):
        """Serve a protocol; None: not any more. Peers that are connected are not told."""
        if handler:
            self.handlers[protocol.encode()] = handler
        else:
            self.handlers.pop(protocol.encode(), None)

    async def listen(self, port, ip=b""):
        """Take inbound connections at a port. `ip`: the address that peers are told, and are to come to; without it they are
        told none. Raises OSError."""
        await self._prepare()
        if self._listening is None:
            self._listening = listen_tcp(ip or bytes(4), port)
            if ip:
                from .multiaddr import encode_address

                self.addresses = [encode_address((("ip4" if len(ip) == 4 else "ip6", ip), ("tcp", port)))]
            self._listener = create_task(self._accept())

    async def _accept(self):
        while self._listening:
            try:
                await readable(self._listening)
                sock, ip, port = accept_tcp(self._listening)
                inbound = [each for each in self.connections if not each.is_outbound]
                if self._is_busy or len(inbound) >= self.inbound_most:
                    sock.close()
                    continue
                await self._begin(sock, ip, port, None, False, _SET_UP_MS)
            except Exception:  # a stranger's set-up failed: nobody here waits for it
                collect()
                await sleep_ms(_PAUSE_MS)

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

    def note(self, error):
        """A handler failed."""
        self.fault = error

    def lost(self, connection):
        """A connection is over."""
        if connection in self.connections:
            self.connections.remove(connection)


def of(node):
    """The Libp2p of a running node."""
    engine = node._discovery
    return Libp2p(engine.agreements._identity, engine.rng, node._folder, lambda: node._driver is None)
