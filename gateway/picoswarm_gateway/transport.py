"""The gateway's sockets and records: what the device library does on a board, in the shape in which CPython does it fast.

Same bytes, same engines (swarm, mux, reactors). What differs: asyncio's protocols bring what a socket has, instead of a
task for each; whole records are opened from the bytes that came, by one call into `cryptography`; and one turn serves all
sockets that had something in the same round of the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from picoswarm.compat import format_ip, from_sockaddr, ticks_add, ticks_diff, ticks_ms
from picoswarm.errors import LocalError
from picoswarm.failures import StreamError
from picoswarm.handshake import Reception
from picoswarm.mux import Mux
from picoswarm.reasons import NAMES
from picoswarm.session import GREETING, STARTED, Session
from picoswarm.swarm import Swarm
from picoswarm.tcp import Links

REASONS = {name: number for number, name in enumerate(NAMES.split())}
MALFORMED, FORGED = REASONS["malformed"], REASONS["forged"]
HEAD = 2
TAG = 16
LEAST = 3 + TAG
PARTIAL_MS = 10_000
REKEY = 1 << 20  # records
BACKLOG = 1024
TIMER_MS = 50
AGAIN_S = 1.0  # to the next try to listen
MERE_SOCKETS = 256  # that may wait for their first message
DISPLACED_MS = 500
EPHEMERALS = 4096
UNFINISHED = 128  # opened handshakes without an end in a minute, and newcomers are challenged
UNFINISHED_MS = 60_000
SLICE_S = 0.005  # of handshakes in one turn
EARLY_MOST = 65536  # bytes that may come before a session is taken up


class Cipher:
    """One direction of a session (docs/protocol.md 4.4)."""

    __slots__ = ("_aead", "_count")

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(bytes(key))
        self._count = 0

    def _next(self) -> None:
        self._count += 1
        if not self._count % REKEY:
            key = self._aead.encrypt(b"\0\0\0\0" + b"\xff" * 8, bytes(32), b"")[:32]
            self._aead = ChaCha20Poly1305(key)

    def seal(self, plain: bytes) -> bytes:
        """The next record."""
        n = len(plain) + TAG
        head = n.to_bytes(HEAD, "big")
        sealed = self._aead.encrypt(b"\0\0\0\0" + self._count.to_bytes(8, "little"), plain, head)
        self._next()
        return head + sealed

    def open(self, head: bytes, sealed: bytes) -> bytes:
        """The plaintext of a record. Raises InvalidTag."""
        plain = self._aead.decrypt(b"\0\0\0\0" + self._count.to_bytes(8, "little"), sealed, head)
        self._next()
        return plain


class HostMux(Mux):
    """A Mux whose memory for streams comes with the first byte of one: a gateway lets each peer have many, and few do."""

    def start(self, channels: bytes, record: int, now: int) -> None:
        super().start(channels, record, now)
        self._size, self._pool = len(self._pool), b""

    def _look(self, buf: bytes, at: int, n: int) -> None:
        self._buf, self._at, self._view = buf, at, memoryview(buf)[at : at + n]  # bytes: nothing can be moved in them

    def _place(self, i: int) -> int:
        if not self._pool:
            self._pool = bytearray(self._size)
        return super()._place(i)


class HostSession(Session):
    """A Session that takes bytes as they come, in `data`, instead of a buffer of its own."""

    def __init__(self, swarm: HostSwarm, ip: bytes, port: int, link: Any) -> None:
        super().__init__(swarm, ip, port, link)
        self.data = b""  # what came and was not taken yet

    def start(self, profile: Any, channels: Any, now: int) -> None:
        handshake = self.handshake
        self.data = bytes(handshake.buf[: handshake.fill]) + self.data
        self.fill = len(self.data)
        self.buf = b""
        self._sealer = Cipher(handshake.send_key)
        self._opener = Cipher(handshake.receive_key)
        self.mux = HostMux(profile, channels, self.is_outbound, now)
        self.mux.on_message = self._on_message
        self.mux.start(self.hello.channels, min(self.hello.record, profile.record), now)

    def end(self, reason: int, now: int, ms: int) -> None:
        super().end(reason, now, ms)
        if not self.mux:
            self._sealer = Cipher(self.handshake.send_key)

    def receive(self, n: int) -> int:
        """Take the records in `data`; see Session.receive."""
        data = self.data
        end = len(data)
        at = 0
        most = self.swarm.profile.record + TAG
        take = self.mux.receive
        now = self.swarm.now
        reason = 0
        while end - at >= HEAD:
            n = data[at] << 8 | data[at + 1]
            if not LEAST <= n <= most:
                reason = MALFORMED
                break
            stop = at + HEAD + n
            if stop > end:
                break
            try:
                plain = self._opener.open(data[at : at + HEAD], data[at + HEAD : stop])
            except InvalidTag:
                reason = FORGED
                break
            reason = take(plain, 0, n - TAG, now)
            if reason:
                break
            at = stop
        if reason:
            return reason
        self.data = data[at:] if at < end else b""
        self.fill = end - at
        if at:
            self.is_read = True
            self.deadline = None
        if self.fill and self.deadline is None:
            self.limit(now, PARTIAL_MS)
        return 0 if at else -1

    def to_send(self, out: bytearray, now: int) -> bytes:
        """The bytes that are to be sent now, b"" for none; `out` is scratch."""
        if self.handshake:
            n = self.handshake.to_send(out)
            if self.stage >= STARTED:
                self.handshake = None  # that was its last message
            if n:
                return bytes(out[:n])
        if not self._sealer:
            return b""
        if self.mux:
            n = self.mux.fill(out, 0, len(out) - TAG - HEAD, now)
            return self._sealer.seal(bytes(out[:n])) if n else b""
        sealer, self._sealer = self._sealer, None
        return sealer.seal(bytes((0, 0x10, 2, 4, self.reason)))  # refused before there was any channel: GOAWAY alone


class WideReception(Reception):
    """The first messages of many handshakes at once: those of the last minutes are known again, and newcomers are challenged
    only while many came to no end."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[bytes, None] = {}

    def judge(self, buf: bytearray, at: int, now: int, is_challenged: bool, is_visit: bool) -> int:
        ephemeral = bytes(buf[at : at + 32])
        if ephemeral in self._known:
            return REASONS["replayed"]
        self._known[ephemeral] = None
        if len(self._known) > EPHEMERALS:
            del self._known[next(iter(self._known))]
        if self.is_full > is_visit:
            return REASONS["busy"]
        unfinished = self.unfinished
        while unfinished and not (0 <= ticks_diff(now, unfinished[0]) < UNFINISHED_MS and len(unfinished) < EPHEMERALS):
            unfinished.pop(0)
        if len(unfinished) >= UNFINISHED and not is_challenged:
            return -1
        unfinished.append(now)
        return 0


class HostSwarm(Swarm):
    """A Swarm with a wide door: many handshakes at once, which cost a computer half a millisecond each. A mere socket, whose
    first message did not open yet, has 2 s; where as many wait as may, the one that waits longest makes room after 0.5 s.
    The address of one that left without a message waits, as at a board's door."""

    make_session = HostSession

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._reception = WideReception()
        self._mere: dict[HostSession, int] = {}  # when they came, the oldest first
        self._due: deque[HostSession] = deque()  # handshakes with work

    def accepted(self, ip: bytes, port: int, now: int) -> HostSession | None:
        self.at(now)
        if self.is_closing or not self.manager.may_accept(ip) or self._door.is_held(ip, now):
            return None
        if len(self._mere) >= MERE_SOCKETS:
            oldest = next(iter(self._mere))
            if ticks_diff(now, self._mere[oldest]) < DISPLACED_MS:
                return None
            self._finish(oldest, REASONS["lost"])
        session = HostSession(self, ip, port, None)
        self._mere[session] = now
        self.sessions.append(session)
        self._greet(session)
        return session

    def received(self, session: HostSession, n: int, now: int) -> None:
        if session.stage == GREETING:
            self._due.append(session)
        super().received(session, n, now)

    def _greet(self, session: HostSession) -> None:
        super()._greet(session)
        self._due.append(session)

    def work(self, now: int) -> bool:
        """All the handshake work that there is, up to a slice of time; then that of the reactors."""
        self.at(now)
        until = time.perf_counter() + SLICE_S
        while self._due and time.perf_counter() < until:
            session = self._due.popleft()
            while session.stage == GREETING and session.handshake.has_work:
                try:
                    self._work_on(session)
                except Exception as error:
                    self._finish(session, self.note(error))
        self.is_busy = bool(self._due) or self._work_of_reactors()
        return self.is_busy

    def _work_on(self, session: HostSession) -> None:
        handshake = session.handshake
        is_mere = session in self._mere
        if is_mere:
            self._reception.is_full = self.manager.crowd(session.ip, self.now)
        handshake.work()
        session.fill = handshake.fill
        session.deadline = handshake.deadline
        session.touch()
        if is_mere and (handshake.stage == 1 or handshake.reason == REASONS["busy"]):
            del self._mere[session]
            self._door.forgive(session.ip)
        if handshake.stage == 3:
            self._finish(session, handshake.reason)
        elif handshake.stage == 2:
            self._prove(session)

    def _leave_door(self, session: HostSession) -> None:
        if self._mere.pop(session, None) is not None:
            self._door.hold(session.ip, self.now)


class Link(asyncio.Protocol):
    """One socket, as the loop tells of it."""

    def __init__(self, links: HostLinks, session: HostSession | None) -> None:
        self.links = links
        self.session = session  # of an inbound one: once it is let in
        self.transport: asyncio.Transport | None = None
        self.dialing: asyncio.Task | None = None
        self.is_full = False  # the socket takes no more for now

    @property
    def sock(self) -> Any:
        """The socket, for what the system knows of it; None before there is one."""
        return self.transport and self.transport.get_extra_info("socket")

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        if self.session is None:
            self.links.came(self)
        else:
            self.links.connected(self)

    def data_received(self, data: bytes) -> None:
        self.links.take(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        self.links.ended(self)

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.session.touch()
        self.links.soon()


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
                self.links.take(self, data)
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
        self._soon: asyncio.Handle | None = None

    def turn(self) -> None:
        self.soon()

    def soon(self) -> None:
        """One turn for whatever happens in this round of the loop."""
        if self._soon is None and self._timer is not None:
            self._soon = asyncio.get_running_loop().call_soon(self._now)

    def _now(self) -> None:
        self._soon = None
        if self._timer is None:
            return
        try:
            busy = self.swarm.is_busy and self.swarm.work(ticks_ms())
        except Exception as error:
            self._note(error)
            busy = False
        self._turn()
        if busy:
            self.soon()
        else:
            self._set_timer()

    def _turn(self) -> None:
        """As in Links, with one look at the clock."""
        swarm, self._is_turning = self.swarm, True
        now = ticks_ms()
        try:
            while True:
                while (event := swarm.next_event()) is not None:
                    self._take(event)
                self._on_turn()
                while (session := swarm.next_unsent(now)) is not None:
                    self._send(session, now)
                if not swarm.has_events:
                    break
        except Exception as error:
            self._note(error)
        self._is_turning = False

    def _set_timer(self) -> None:
        """What is due next is looked for among all sessions, so not at each turn: the timer comes soon enough to do it."""
        now = ticks_ms()
        wait = self.swarm.profile.flush_ms if self.swarm.unsent else TIMER_MS
        self._wake(ticks_add(now, wait))

    _after = soon

    # Sockets

    async def _listen(self) -> None:
        while self.port:
            try:
                if self._listening is None:
                    self.open()
                sock, self._listening = self._listening, None  # it is the server's from now on
                loop = asyncio.get_running_loop()
                server = await loop.create_server(lambda: Link(self, None), sock=sock, backlog=BACKLOG)
                await server.serve_forever()  # which closes it when this task is cancelled
            except OSError:  # the network is gone, or another program has the port
                await asyncio.sleep(AGAIN_S)

    def came(self, link: Link) -> None:
        """Somebody connected."""
        transport = link.transport
        ip, port = from_sockaddr(transport.get_extra_info("peername"))
        try:
            link.session = self.swarm.accepted(ip, port, ticks_ms())
        except Exception as error:
            self._note(error)
        if link.session is None:
            transport.abort()
            return
        self._links[link.session] = link
        self.soon()

    def add(self, pipe: Any) -> None:
        """A session whose bytes go through a stream."""
        self._links[pipe.session] = StreamLink(self, pipe)

    def _dial(self, session: HostSession) -> None:
        self._links[session] = link = Link(self, session)
        link.dialing = asyncio.ensure_future(self._connect(session, link))

    async def _connect(self, session: HostSession, link: Link) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: link, format_ip(session.ip), session.port)
        except OSError:
            self.swarm.lost(session, ticks_ms())
            self.soon()

    def connected(self, link: Link) -> None:
        """A dial came through."""
        if self._links.get(link.session) is not link:
            link.transport.abort()
            return
        self.swarm.connected(link.session, ticks_ms())
        self.soon()

    def ended(self, link: Link) -> None:
        """The socket is closed, whoever did it."""
        session = link.session
        if session is not None and self._links.get(session) is link:
            self.swarm.lost(session, ticks_ms())
            self.soon()

    def take(self, link: Link, data: bytes) -> None:
        """Bytes came."""
        session = link.session
        if self._links.get(session) is not link:
            return
        now = ticks_ms()
        try:
            if session.stage >= STARTED:
                session.data = session.data + data if session.data else data
                self.swarm.received(session, len(data), now)
            else:
                self._greeting(link, session, session.data + data, now)
        except Exception as error:
            self._fail(session, error)
        self.soon()

    def _greeting(self, link: Link, session: HostSession, data: bytes, now: int) -> None:
        """Bytes of a handshake, as many as its buffer takes; what follows it waits."""
        handshake = session.handshake
        n = min(len(data), len(handshake.buf) - handshake.fill) if session.stage == GREETING else 0
        session.data = data[n:]
        if len(session.data) > EARLY_MOST:
            self.swarm.end(session, MALFORMED)
            return
        if n:
            handshake.buf[handshake.fill : handshake.fill + n] = data[:n]
            self.swarm.received(session, n, now)

    def _close(self, link: Link) -> None:
        self._links.pop(link.session, None)
        if link.transport is not None:
            link.transport.close()
        elif link.dialing is not None:
            link.dialing.cancel()

    def _send(self, session: HostSession, now: int) -> None:
        """Write what the session has to send, as far as the socket takes it."""
        link = self._links.get(session)
        if link is None or link.transport is None or link.is_full:
            return
        swarm = self.swarm
        while not link.is_full:
            data = swarm.to_send(session, self.out, now)
            if not data:
                break
            link.transport.write(data)
            if session.due(now):
                break
