"""The gateway's sockets: what tcp.py does on a board, on asyncio's protocols in the place of tasks. What comes is answered
at once, in the same call; one turn of the loop later goes what else it set off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from picoswarm import handshake
from picoswarm.compat import format_ip, from_sockaddr, ticks_diff, ticks_ms
from picoswarm.errors import LocalError
from picoswarm.failures import StreamError
from picoswarm.session import OPEN, OVER
from picoswarm.tcp import Links

from .session import HostSession
from .swarm import EARLY_MOST, HostSwarm

BACKLOG = 1024
ACCEPTS = 4  # in one go, so that others come to their turn
LOOK_MS = 20  # to the next look whether there is a place, at most: a message may open at any time
FIRST = 1 + 2 + handshake._SIZES[0]  # bytes of the first message, at least
AGAIN_S = 1.0  # to the next try to listen
LINGER_S = 1.0  # for the last record, before a socket is cut
READ = 16384  # bytes at a time
AT_ONCE = 32  # sessions that are written to in one go
WRITE = 0  # bytes beyond which a transport that waits for its peer takes no more: what can go, goes at once


def wake_at(sock: socket.socket, n: int) -> None:
    """So many bytes have to be there, or the end, before the loop is woken; systems that cannot do that wake it for each."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n)


class Link(asyncio.Protocol):
    """One socket, as the loop tells of it."""

    def __init__(self, links: HostLinks, session: HostSession) -> None:
        self.links = links
        self.session = session
        self.transport: asyncio.Transport | None = None
        self.mere: socket.socket | None = None  # of one that came, before its first message is there
        self.opening: asyncio.Task | None = None
        self.is_full = False  # the socket takes no more for now

    @property
    def sock(self) -> Any:
        """The socket, for what the system knows of it; None before there is one."""
        return self.transport and self.transport.get_extra_info("socket")

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(WRITE)
        self.links.connected(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came. What they set off goes in the next turn, with what others set off."""
        links = self.links
        if links.next_turn is None:
            links.send_soon()  # so the clock is looked at once for all that comes in this round of the loop
        try:
            self.session.take(data)
        except Exception as error:
            links._fail(self.session, error)
        if len(links.swarm.unsent) >= links.enough:
            links.send_some()

    def connection_lost(self, error: Exception | None) -> None:
        self.links.ended(self)

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.session.touch()
        self.links.soon()

    def close(self) -> None:
        """Let the socket go; what was written has a second to leave."""
        if self.transport is not None:
            self.transport.close()
            if self.transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)
        elif self.mere is not None:
            asyncio.get_running_loop().remove_reader(self.mere)
            self.mere.close()
        elif self.opening is not None and self.session.is_outbound:
            self.opening.cancel()  # one that came has a socket: it is cut when the loop has taken it over


class BufferedLink(Link, asyncio.BufferedProtocol):
    """The same for asyncio's own loop, which takes memory for the most that may come each time that something comes; uvloop
    does not, and a buffer of ours would cost it more."""

    def get_buffer(self, _size: int) -> memoryview:
        return self.links.read

    def buffer_updated(self, n: int) -> None:
        self.data_received(bytes(self.links.read[:n]))


class StreamLink(Link):
    """A session through another gateway: a stream in the place of a socket (`picoswarm.relay.Pipe`). It is its own
    transport, and full while one record is on its way."""

    def __init__(self, links: HostLinks, pipe: Any) -> None:
        super().__init__(links, pipe.session)
        self.transport = self
        self._pipe = pipe
        self._rest = b""  # what the stream did not take yet
        self._is_closing = False
        self._reader = asyncio.ensure_future(self._read())
        self._writer: asyncio.Task | None = None

    async def _read(self) -> None:
        if self.session.is_outbound:
            self.links.connected(self)
        try:
            while data := await self._pipe.stream.read(EARLY_MOST):
                self.data_received(data)
        except StreamError:
            pass
        self.links.ended(self)

    def write(self, data: bytes) -> None:
        self._rest += data
        self.is_full = True
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        try:
            while self._rest:
                data, self._rest = self._rest, b""
                await self._pipe.stream.write(data)
        except (StreamError, LocalError):
            self._rest = b""  # the reader finds the end
        self._writer = None
        if self._is_closing:
            self._pipe.close()
        else:
            self.resume_writing()

    def close(self) -> None:
        """The last record still goes."""
        self._is_closing = True
        self._reader.cancel()
        if self._writer is None:
            self._pipe.close()

    abort = close

    def get_extra_info(self, _name: str) -> None:
        """There is no socket."""


class HostLinks(Links):
    """Runs one HostSwarm on asyncio's transports."""

    def __init__(self, ip: bytes, port: int, record: int) -> None:
        super().__init__(ip, port, record)
        self.read = memoryview(bytearray(READ))  # what came last, of any socket
        self.next_turn: asyncio.Handle | None = None
        self.enough = AT_ONCE  # so many with something to send, and no turn is waited for
        self._is_whole = False  # the next turn: whatever is due, not only what is to be sent
        self._later: asyncio.TimerHandle | None = None

    def start(self, swarm: HostSwarm, *told: Any) -> None:
        super().start(swarm, *told)
        swarm.wake = self.send_soon  # no more than that: most of it is called where a turn is due anyway

    # Turns

    def turn(self) -> None:
        self.soon()

    def soon(self) -> None:
        """One turn for whatever happens in this round of the loop."""
        self._is_whole = True
        self.send_soon()

    _after = soon

    def send_soon(self) -> None:
        """The same, where nothing is to be done but to send."""
        if self.next_turn is None and self._timer is not None:
            self.next_turn = asyncio.get_running_loop().call_soon(self._now)
            self.swarm.at(ticks_ms())
            self.enough = len(self.swarm.unsent) + AT_ONCE

    def _now(self) -> None:
        self.next_turn = None
        if self._timer is None:
            return
        swarm = self.swarm
        busy = False
        if self._is_whole or swarm.has_news or swarm.is_busy or swarm.events:
            self._is_whole = swarm.has_news = False
            try:
                busy = swarm.is_busy and swarm.work(ticks_ms())
            except Exception as error:
                self._note(error)
            self._turn()
        else:
            self._send_all(ticks_ms())
        if busy or swarm.events:
            self.soon()
        elif swarm.unsent and self._later is None:  # records that wait for more to go with them
            self._later = asyncio.get_running_loop().call_later(swarm.profile.flush_ms / 1000, self._flush_later)

    def _flush_later(self) -> None:
        self._later = None
        self.soon()

    def _turn(self) -> None:
        """As in Links, with one look at the clock."""
        swarm = self.swarm
        now = ticks_ms()
        try:
            while True:
                while (event := swarm.next_event()) is not None:
                    self._take(event)
                self._on_turn()
                self._send_all(now)
                if not swarm.events:
                    break
        except Exception as error:
            self._note(error)
            self.soon()

    async def _run(self) -> None:
        """The timer: ticks, and a turn after each."""
        swarm = self.swarm
        while True:
            now = ticks_ms()
            try:
                swarm.tick(now)
                self.soon()
                wait = max(1, ticks_diff(swarm.next_time(now), ticks_ms()))
            except Exception as error:
                self._note(error)
                wait = 1000
            await asyncio.sleep(wait / 1000)

    # Sockets

    def _link(self, session: HostSession) -> Link:
        is_asyncio = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
        return (BufferedLink if is_asyncio else Link)(self, session)

    async def _listen(self) -> None:
        """Take connections, a few at a time. Those for whom there is no place wait where the system has them."""
        loop = asyncio.get_running_loop()
        while self.port:
            try:
                if self._listening is None:
                    self.open()
                self._listening.listen(BACKLOG)
                failed = loop.create_future()
                self._hear(failed)
                await failed  # no file or no memory is left, the network is gone, or another program has the port
            except OSError as error:
                self.fault = error
            if self._listening is not None:
                loop.remove_reader(self._listening)
            await asyncio.sleep(AGAIN_S)

    def _hear(self, failed: asyncio.Future) -> None:
        if not failed.done():
            asyncio.get_running_loop().add_reader(self._listening, self._accept_some, failed)

    def _accept_some(self, failed: asyncio.Future) -> None:
        try:
            for _ in range(ACCEPTS):
                wait = self.swarm.wait_ms(ticks_ms())
                if wait:
                    loop = asyncio.get_running_loop()
                    loop.remove_reader(self._listening)
                    loop.call_later(min(wait, LOOK_MS) / 1000, self._hear, failed)
                    return
                self._accept_one(*self._listening.accept())
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except Exception as error:
            if not failed.done():
                failed.set_exception(error if isinstance(error, OSError) else OSError(str(error)))

    def _accept_one(self, sock: socket.socket, address: tuple) -> None:
        session = None
        try:
            session = self.swarm.accepted(*from_sockaddr(address), ticks_ms())
        except Exception as error:
            self._note(error)
        if session is None:
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wake_at(sock, FIRST)
        link = self._add(session, self._link(session))
        link.mere = sock
        asyncio.get_running_loop().add_reader(sock, self._take_over, link)
        self.soon()

    def _take_over(self, link: Link) -> None:
        """The first message of a mere socket is there, or its end is. Strangers that say less have cost no transport."""
        sock = link.mere
        try:
            is_there = sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            is_there = b""
        if not is_there:
            self.swarm.lost(link.session, ticks_ms())  # which closes it
            self.soon()
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)
        link.mere = None
        wake_at(sock, 1)
        link.opening = asyncio.ensure_future(self._open(link, loop.connect_accepted_socket, sock))

    def add(self, pipe: Any) -> None:
        """A session whose bytes go through a stream."""
        self._add(pipe.session, StreamLink(self, pipe))

    def _add(self, session: HostSession, link: Link) -> Link:
        self._links[session] = session.socket = link
        return link

    def _dial(self, session: HostSession) -> None:
        link = self._add(session, self._link(session))
        loop = asyncio.get_running_loop()
        link.opening = asyncio.ensure_future(self._open(link, loop.create_connection, format_ip(session.ip), session.port))

    async def _open(self, link: Link, opens: Callable, *where: Any) -> None:
        try:
            await opens(lambda: link, *where)
        except OSError:
            self.swarm.lost(link.session, ticks_ms())
            self.soon()

    def connected(self, link: Link) -> None:
        """The loop has taken a socket over."""
        link.opening = None
        if self._links.get(link.session) is not link:
            link.transport.abort()
        elif link.session.is_outbound:
            self.swarm.connected(link.session, ticks_ms())
            self.soon()

    def ended(self, link: Link) -> None:
        """The socket is closed, whoever did it."""
        if self._links.get(link.session) is link:
            self.swarm.lost(link.session, ticks_ms())
            self.soon()

    def _close(self, link: Link) -> None:
        self._links.pop(link.session, None)
        link.session.socket = None
        link.close()

    def _send_all(self, now: int) -> None:
        """Write what the sessions have to send: after all that came in this round was taken, since each write may wake its
        reader, in our place. What waits for more to go with it is on the list again. An error ends the session that it is
        about; the others are served."""
        unsent, self.swarm.unsent = self.swarm.unsent, []
        self._send(unsent, now)

    def send_some(self) -> None:
        """The same of those that have something to send since this round began. What the processor keeps at hand of a
        session is still there, which it is no more when a thousand others have had their turn."""
        unsent = self.swarm.unsent
        first = self.enough - AT_ONCE
        some = unsent[first:]
        del unsent[first:]
        self._send(some, self.swarm.now)
        self.enough = len(unsent) + AT_ONCE

    def _send(self, sessions: list[HostSession], now: int) -> None:
        out = self.out
        for session in sessions:
            session.is_unsent = False
            link = session.socket
            if link is None or link.transport is None or link.is_full or session.stage == OVER:
                continue
            try:
                while data := session.to_send(out, now):
                    link.transport.write(data)
                    if link.is_full or session.stage == OPEN and session.mux.is_done():  # as nearly always
                        break
                else:
                    self.swarm.sent(session, now)
            except Exception as error:
                self._cut(session, error)

    def _cut(self, session: HostSession, error: Exception) -> None:
        """Writing failed, see Links; where even the end of the session fails, its socket goes all the same."""
        try:
            super()._cut(session, error)
        except Exception as another:
            self._note(another)
            self._links[session].transport.abort()
