"""Streams as applications have them. Loaded with the first one: a node without streams has no memory in it."""

from asyncio import Event

from .compat import const

_CLOSED = const(4)  # events of the swarm
_RESET = const(9)
_BYE = const(0)  # see reasons.py
_CHUNK = const(256)


class Stream:
    """Bytes both ways between two nodes, under the name of a protocol. Its methods raise StreamError once the other side, or
    the connection, has given it up."""

    def __init__(self, services, session, channel, name):
        self.peer = session.id
        self.name = name
        self._services = services
        self._session = session
        self._channel = channel
        self._changed = Event()
        self._is_ended = self._is_closed = False  # nothing more comes; nothing more is sent
        self._is_left = False  # nobody reads any more
        self._is_over = False  # its id may be another stream's by now: there is nothing to read
        self._reason = -1  # why it was given up

    def _check(self):
        if self._reason >= 0:
            from .failures import StreamError

            raise StreamError("the stream was given up, reason %d" % self._reason, self._reason)

    def on_event(self, kind, extra):
        """The mux has news, or (CLOSED) the session ended: what came before can still be read."""
        if kind == _RESET or kind == _CLOSED:
            self._reason = extra
            self._is_over |= kind == _RESET
        elif kind == _RESET - 1:
            self._is_ended = True
        self._settle()
        self._changed.set()

    def _is_alive(self):
        return self._reason < 0 and not self._is_over

    def _settle(self):
        """Both halves have ended, and all is read: nobody asks for this stream any more."""
        if self._is_left and self._is_alive():
            out = bytearray(_CHUNK)
            while self._session.mux.read(self._channel, out, 0, _CHUNK):
                self._services.touch(self._session)
        if self._is_ended and self._is_closed and self._is_alive() and not self._session.mux.readable(self._channel):
            self._is_over = True
            self._services.forget(self._session, self._channel)

    def take(self, out):
        """Move what is there to `out`, as much as fits. Returns how many bytes."""
        count = self._session.mux.read(self._channel, out, 0, len(out)) if not self._is_over else 0
        if count:
            self._settle()
            self._services.touch(self._session)
        return count

    async def read(self, n=_CHUNK):
        """The bytes that are there, 1 to `n`, once there are some; b"" at the end. What came before a
        connection ended can still be read."""
        out = bytearray(n)
        while True:
            count = self.take(out)
            if count:
                return bytes(out[:count])
            if self._is_over or not self._is_ended:
                self._check()
            if self._is_ended:
                return b""
            self._changed.clear()
            await self._changed.wait()

    async def write(self, data):
        """Send bytes, or a text as UTF-8. It returns when the last of them stand in the queue, which waits for the peer to
        read."""
        if isinstance(data, str):
            data = data.encode()
        for at in range(0, len(data), _CHUNK):
            chunk = bytes(data[at : at + _CHUNK])
            while True:
                self._check()
                if self._is_closed:
                    from .errors import LocalError

                    raise LocalError("the stream is closed")
                if self._session.try_send(self._channel, chunk):
                    break
                self._changed.clear()
                await self._changed.wait()
            self._services.touch(self._session)

    def close(self):
        """Send no more; reading goes on until the other side does the same."""
        if self._reason < 0 and not self._is_closed:
            self._session.mux.close(self._channel)
            self._is_closed = True  # now: for the end, too, memory may be short
            self._services.touch(self._session)
            self._settle()
            self._changed.set()

    def leave(self):
        """Send no more, and throw away what still comes."""
        self._is_left = True
        self.close()
        self._settle()

    def reset(self, reason=_BYE):
        """Give the stream up, both ways."""
        if self._is_alive():
            self._reason = reason = reason & 0xFF
            self._is_over = True
            self._changed.set()
            self._session.mux.reset(self._channel, reason)
            self._services.forget(self._session, self._channel)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, *rest):
        if kind is None:
            self.leave()
        else:
            self.reset()
