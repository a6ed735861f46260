"""Sessions through a gateway, for nodes that cannot connect to each other (docs/protocol.md 7.7). Loaded when one is needed.

A gateway that has a session with both joins two streams: /relay/1 from the one that asks, and /relayed/1 to the other. Over
their bytes the two run an ordinary session, with its own handshake. It takes a link, as every session does, and no socket.
"""

from hashlib import sha256

from .compat import const, sleep_ms, ticks_add, ticks_diff, ticks_ms
from .connmgr import Link
from .tcp import Connection

_GATEWAY = const(2)  # in the capabilities of a HELLO, and in the flags of a record
_TCP = const(58)  # in a record of the table
_FLAGS = const(64)
_BOOK_FLAGS = const(3)  # in a record of the address book
_BOOK_ID = const(4)

_PENDING = const(3)
_ESTABLISHED = const(4)
_OPEN = const(4)  # a session's stage

_BUSY = const(1)  # see reasons.py
_SELF = const(4)
_BANNED = const(8)
_STREAM_REASON = const(14)
_SLOW = const(19)

_ID = const(32)
_CHUNK = const(256)
_HELD = const(256)  # beyond what a peer may be worth: the connection manager never lets it go
_RETRY_MS = const(50)
_BUSY_MS = const(300)  # before who was told that there is no room asks again
_PATIENCE_MS = const(4000)  # for what comes first on a stream
_KEEP_MS = const(1000)


class Pipe(Connection):
    """A Connection whose bytes go through a stream to a gateway; it is its own socket (see compat.py)."""

    def __init__(self, session, stream):
        super().__init__(session, self)
        self.stream = stream
        self._is_closed = False
        _hold(stream._services, stream.peer, _HELD)

    def _is_at_end(self):
        return self.stream._is_ended or self.stream._reason >= 0

    async def readable(self):
        stream = self.stream
        while not (self._is_at_end() or stream._session.mux.readable(stream._channel)):
            stream._changed.clear()
            await stream._changed.wait()

    async def writable(self):
        stream = self.stream
        while not (self._is_at_end() or stream._session.can_send(stream._channel)):
            stream._changed.clear()
            await stream._changed.wait()

    def readinto(self, view):
        """As a socket does: how many bytes, 0 at the end, None where there are none."""
        return self.stream.take(view) or (0 if self._is_at_end() else None)

    def write(self, data):
        """As a socket does: how many bytes it took. Raises OSError when the other side is gone."""
        stream = self.stream
        if self._is_at_end():
            raise OSError
        n = 0
        while n < len(data):
            part = bytes(data[n : n + _CHUNK])
            if not stream._session.try_send(stream._channel, part):
                break
            n += len(part)
        stream._services.touch(stream._session)
        return n

    def close(self):
        """What was written still goes."""
        if not self._is_closed:
            self._is_closed = True
            _hold(self.stream._services, self.stream.peer, -_HELD)
            self.stream.leave()

    # What a socket of CPython has in their place.
    recv_into = readinto
    send = write

    def fileno(self):
        """There is none."""
        return -1


def _hold(services, id32, more):
    """While somebody needs a gateway, the session with it makes no room for others."""
    values = services.swarm.manager.values
    value = values.get(id32, 0)
    if more > 0 or value >= _HELD:  # the user may have given it another value meanwhile
        values[id32] = value + more
        if not values[id32]:
            del values[id32]


def _address(id32):
    """What stands for the address of a peer behind a gateway: none that can be, and another one for nearly every peer."""
    return b"\0" + id32[:3]


async def _first(stream, n, ms):
    """The next `n` bytes of a stream. Raises StreamError, `slow` when they do not come in time."""
    deadline = ticks_add(ticks_ms(), ms)
    data = b""
    while len(data) < n:
        out = bytearray(n - len(data))
        count = stream.take(out)
        data += out[:count]
        if not count:
            if stream._is_ended or ticks_diff(deadline, ticks_ms()) <= 0:
                stream.reset(_SLOW)
            stream._check()
            await sleep_ms(_RETRY_MS)
    return data


def gateways(services, id32):
    """Ids of the gateways that can be asked for the node `id32`: first those with which there is a session, and of these and
    of the others the one first that the node itself prefers."""
    swarm = services.swarm
    known = {}
    table = swarm._discovery.table
    for at in range(0, len(table.pool), table.step):
        if table.pool[at + _FLAGS] & _GATEWAY and table.is_live(at) and (table.pool[at + _TCP] or table.pool[at + _TCP + 1]):
            known[bytes(table.pool[at : at + _ID])] = 0
    book = swarm.book
    for at in range(0, len(book.pool) if book else 0, book.step if book else 1):
        if book.pool[at] and book.pool[at + _BOOK_FLAGS] & _GATEWAY:
            known[bytes(book.pool[at + _BOOK_ID : at + _BOOK_ID + _ID])] = 0
    for session in swarm.peers.values():
        if session.stage == _OPEN and session.hello.capabilities & _GATEWAY and session.port:
            known[session.id] = 1
    ranked = [(is_near, sha256(gateway + id32).digest(), gateway) for gateway, is_near in known.items()]
    return [each[2] for each in sorted(ranked, reverse=True)]


async def reach(services, id32, deadline):
    """Ask the gateways for an open session with a node, each once, until there is one. Returns (the session or None, what to
    tell a person when there is none)."""
    why = "; no gateway is known"
    found = [gateway for gateway in gateways(services, id32) if gateway != id32]
    while True:
        session = services.swarm.peers.get(id32)
        if session and session.stage == _OPEN:
            return session, ""
        left = ticks_diff(deadline, ticks_ms())
        if not found or left <= 0:
            return None, why
        gateway = found.pop(0)
        why = await _ask(services, gateway, id32, left >> 1 if found else left) or why


async def _ask(services, gateway, id32, ms):
    """Try to have a session with a node through one gateway, for `ms`. Returns why there is none, or nothing."""
    from .failures import RequestError, StreamError
    from .reasons import name

    deadline = ticks_add(ticks_ms(), ms)
    reason = 0
    text = "; through gateway %s: " % "".join(["%02x" % byte for byte in gateway[:4]])
    try:
        near = await services.session(gateway, ms, True)
        while reason <= _BUSY and ticks_diff(deadline, ticks_ms()) > 0:
            stream = services.stream(near, "/relay/1")
            pipe = None
            try:
                await stream.write(id32)
                await _first(stream, 1, min(_PATIENCE_MS, ms))
                pipe, reason = _enter(services, stream, id32)
            except StreamError as error:
                reason = error.reason
            finally:
                if pipe is None:
                    stream.reset()
            if pipe:
                reason = await _greet(services, pipe, deadline)
                if not reason:
                    return None
            await sleep_ms(_BUSY_MS)
    except RequestError as error:
        return text + str(error)
    return text + name(reason or _SLOW)


def _enter(services, stream, id32):
    """Begin a session over a stream that somebody took up at the other end. Returns (its Pipe, 0) or (None, reason)."""
    swarm = services.swarm
    manager = swarm.manager
    now = ticks_ms()
    link = Link(id32, _address(id32), 0, True)
    if manager.is_banned(id32, link.ip) or manager.allow and not manager.allow("dial", id32, link.ip):
        return None, _BANNED
    if not manager.fits(link, True, True, now):
        return None, _BUSY
    session = swarm.make_session(swarm, link.ip, 0, link)
    session.limit(now, _PATIENCE_MS)
    pipe = Pipe(session, stream)
    link.state = _PENDING
    link.callers = 1
    swarm.sessions.append(session)
    manager.links.append(link)
    services.links.add(pipe)
    return pipe, 0


async def _greet(services, pipe, deadline):
    """Wait until the session of a pipe is open. Returns 0, or the reason why it is not."""
    session = pipe.session
    try:
        while session.stage < _OPEN and ticks_diff(deadline, ticks_ms()) > 0:
            await sleep_ms(_RETRY_MS)
    finally:
        if session.link.state != _ESTABLISHED:
            services.swarm.manager.cancel(session.link)
    return 0 if session.stage == _OPEN else session.reason or _SLOW


async def accept(stream):
    """A gateway brings a node that asks for this one. Returns the stream where it becomes a session."""
    services = stream._services
    swarm = services.swarm
    manager = swarm.manager
    near = stream._session
    if not (near.hello.capabilities & _GATEWAY and near.port):  # nor through a second gateway
        return stream.reset(_STREAM_REASON)
    asker = await _first(stream, _ID, _PATIENCE_MS)
    ip = _address(asker)
    if asker == services._node.id:
        return stream.reset(_SELF)
    if manager.is_banned(asker, ip):
        return stream.reset(_BANNED)
    session = None
    if asker in swarm.peers or manager.may_enter(None):
        session = swarm.accepted(ip, 0, ticks_ms())
    if session is None:
        return stream.reset(_BUSY)
    services.links.add(Pipe(session, stream))
    await stream.write(b"\0")
    return stream


async def keep(services):
    """A node that takes no connections keeps a session with a gateway, where others can ask for it."""
    from .failures import RequestError

    swarm = services.swarm
    held = None
    while not swarm.is_closing:
        try:
            await sleep_ms(_KEEP_MS)
            if held and held.stage != _OPEN:
                _hold(services, held.id, -_HELD)
                held = None
            for gateway in [] if held else gateways(services, services._node.id):
                try:
                    held = await services.session(gateway, 2 * _PATIENCE_MS, True)
                    _hold(services, held.id, _HELD)
                    break
                except RequestError:
                    pass  # the next one
        except Exception as error:
            if not swarm.is_closing:
                services.faults += 1
                services.fault = error
