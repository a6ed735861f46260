"""The sockets of the swarm: listens, dials, reads and writes for a `Swarm` engine (docs/architecture.md). With net.py and
store.py all the I/O there is.

One task listens, one keeps the time, and one reads each socket: the swarm's reader is what holds a slow application back
(row T4). A record leaves in one write. What a socket does not take at once is kept for it, and nothing more is asked of
that session until it is gone.

Nobody starts the first two again, so nothing but `stop` may end them: with a full heap even a call can raise.
"""

from asyncio import create_task

from .compat import (
    collect,
    const,
    forget_socket,
    hasten,
    readable,
    sleep_ms,
    ticks_add,
    ticks_diff,
    ticks_ms,
    writable,
)
from .pace import LINKS, READER, Pace
from .sockets import accept_tcp, connect_tcp, listen_tcp, read_into, write_from

_DIAL = const(1)  # events of the swarm
_HANG_UP = const(2)
_MEMORY = const(16)  # see reasons.py
_READS = const(2)  # in one turn of a link, so that others come to theirs
_PAUSE_MS = const(20)  # of a reader whose session takes nothing
_AGAIN_MS = const(1000)  # after something failed that would fail again at once
_EAGAIN = const(11)
_SET_UP = const(164)  # bytes of the longest message of a handshake
_MOST_MS = const(10_000)  # between two turns of the timer
_LATE_MS = const(8)
_LONG_MS = const(4)  # a tick as long as that is a turn of its own


class Connection:
    """One socket and its tasks. What goes through a gateway is no socket, see relay.py."""

    writer = None  # who sees to the rest

    def __init__(self, session, sock):
        self.session = session
        self.sock = sock
        self.reader = None
        self.rest = None  # what the socket did not take yet; b"": it is cut, and nothing more is read or written

    def readable(self):
        """Awaitable: until bytes may be there."""
        return readable(self.sock)

    def writable(self):
        """Awaitable: until it takes bytes, or failed."""
        return writable(self.sock)


class Links:
    """Runs one Swarm on TCP sockets. Who calls the swarm from outside then calls `turn`."""

    def __init__(self, ip, port, record):
        """`ip`, `port`: where to listen, port 0 for not at all. `record`: bytes of the longest plaintext of a record."""
        self.port = port
        self.swarm = None
        self.pace = Pace()
        # Here and not in the class: to store them later would need memory, when there is none.
        self.out_of_memory = 0  # turns cut short because the heap was full
        self.faults = 0  # turns cut short by any other exception: a bug, kept in `fault`
        self.fault = None
        self._ip = ip
        self._listening = None
        self._links = {}  # by session
        self.out = bytearray(max(record + 18, _SET_UP))  # every session writes through it
        self._view = memoryview(self.out)
        self._listener = self._timer = None
        self._wake_at = 0
        self._is_turning = False
        self._is_wanted = False  # who called `turn` waits for one
        self._has_cut = False  # a link is cut whose session did not end for want of memory

    def open(self):
        """Listen. Raises OSError."""
        if self.port:
            self._listening = listen_tcp(self._ip, self.port)

    def start(self, swarm, on_event, on_turn):
        """Start the tasks. `on_event(event)` gets each event that is not for the sockets, `on_turn()` is called after each
        turn; neither may block."""
        self.swarm = swarm
        swarm.wake = self.turn
        self._on_event = on_event
        self._on_turn = on_turn
        self._wake_at = ticks_ms()
        self._timer = create_task(self._run())
        self._listener = create_task(self._listen())

    def stop(self):
        """End every task and close every socket. What the sessions have to say last is sent as far as the sockets take
        it."""
        try:
            self.swarm.close(ticks_ms())
        except Exception as error:
            self._note(error)
        self._turn()
        self._timer.cancel()
        self._timer = None
        self._hang_up()

    def restart(self):
        """The interface has another address: every connection is lost, and the listening socket is made anew."""
        for session in list(self.swarm.sessions):
            self.swarm.lost(session, ticks_ms())
        self._turn()
        self._hang_up()
        self._listener = create_task(self._listen())

    def _hang_up(self):
        self._listener.cancel()
        if self._listening:
            forget_socket(self._listening)
            self._listening = None
        for link in list(self._links.values()):
            self._close(link)

    def turn(self):
        """Have a turn soon."""
        self._is_wanted = True
        if self._timer is not None and not self._is_turning:
            now = ticks_ms()
            self.swarm.at(now)
            self._wake(now)

    def _wake(self, at):
        if ticks_diff(at, self._wake_at) < 0:
            try:
                if not hasten(self._timer, ticks_diff(at, ticks_ms())):
                    timer = create_task(self._run())
                    self._timer.cancel()
                    self._timer = timer
                self._wake_at = at
            except MemoryError:
                pass  # it comes later

    async def _run(self):
        """The timer: ticks, slices of public-key work, and whatever else a turn does."""
        swarm = self.swarm
        pace = self.pace
        busy = waits = False  # the work: there is more of it; it waits for its next turn
        owes = False  # what it left waits for one
        ticked = 0
        while True:
            await sleep_ms(max(0, ticks_diff(self._wake_at, ticks_ms())))
            due = self._wake_at
            if not busy and ticks_diff(ticks_ms(), due) > _LATE_MS:
                due = ticks_ms()
                await sleep_ms(0)  # others had a long turn: who waits comes first
            while due := pace.holds(LINKS, due):
                await sleep_ms(0)
            began = now = ticks_ms()
            cuts = self.out_of_memory
            self._wake_at = ticks_add(now, _AGAIN_MS)  # unless this turn comes to its end
            self._is_turning = True
            try:
                # Between the slices of a key agreement little is due: a look each 128 ms costs half a handshake less. Such a
                # slice, a tick that took long, and what they left have turns of their own.
                is_due = owes or not busy or (now ^ ticked) >> 7
                if is_due and not owes:
                    ticked = now
                    swarm.tick(now)
                waits = owes or not waits and is_due and (busy or ticks_diff(ticks_ms(), now) > _LONG_MS)
                if not waits:
                    busy = False
                    busy = swarm.work(now) or swarm.prepare()
                elif not owes:
                    busy = True
            except Exception as error:
                self._note(error)
            try:
                if is_due or self._is_wanted or swarm.unsent or swarm.events:
                    owes = not owes and ticks_diff(ticks_ms(), now) > _LONG_MS
                    if not owes:
                        self._turn()
                # What found no memory finds none a moment later, and looking for it takes all the time that others have.
                if self.out_of_memory == cuts:
                    now = ticks_ms()
                    self._wake_at = now if busy or owes else self._next(now)
            except Exception as error:
                self._note(error)
            pace.ended(LINKS, began, ticks_ms())
            self._is_turning = False

    def _next(self, now):
        due = self.swarm.next_time(now)
        most = ticks_add(now, _MOST_MS)
        if due is None or ticks_diff(due, most) > 0:
            return most
        return due if ticks_diff(due, now) > 0 else ticks_add(now, 1)

    def _turn(self):
        """Whatever the last input left: events, sockets to open and close, bytes to write."""
        swarm = self.swarm
        self._is_turning = True
        self._is_wanted = False
        try:
            while True:
                event = swarm.next_event()
                while event is not None:
                    self._take(event)
                    event = swarm.next_event()
                self._on_turn()
                session = swarm.next_unsent(ticks_ms())
                while session is not None:
                    self._flush(session)
                    session = swarm.next_unsent(ticks_ms())
                if self._has_cut:
                    self._end_cut()
                if not swarm.events:  # some end with their last record
                    break
        except Exception as error:
            self._note(error)
        self._is_turning = False

    def _take(self, event):
        session = event[1]
        if event[0] == _HANG_UP:
            link = self._links.get(session)
            if link:
                self._close(link)
            return
        try:
            if event[0] == _DIAL:
                self._dial(session)
            else:
                self._on_event(event)
        except Exception as error:
            self._fail(session, error)

    def _after(self):
        """A turn that another task took; the timer must know what it left."""
        self._turn()
        if self._timer is not None:
            try:
                now = ticks_ms()
                self._wake(now if self.swarm.is_busy else self._next(now))
            except Exception as error:
                self._note(error)

    def _note(self, error, is_paid=False):
        """Something failed. `is_paid`: for want of memory there goes the session that it was about, and no other one."""
        if isinstance(error, MemoryError):
            self.out_of_memory += 1
            collect()
            if is_paid:
                return
            try:
                self.swarm.trim(ticks_ms())  # the rest goes on without it (row L17)
            except MemoryError:
                pass  # whoever comes next tries again
        else:
            self.faults += 1
            self.fault = error

    # Sockets

    async def _listen(self):
        while self.port:
            try:
                if self._listening is None:
                    self.open()
                await readable(self._listening)
                self._accept()
            except Exception as error:  # no socket or no memory was left, or the one who came is gone, or the network is
                if not isinstance(error, OSError):
                    self._note(error)
                elif self._listening and error.errno != _EAGAIN:
                    forget_socket(self._listening)
                    self._listening = None
                await sleep_ms(_AGAIN_MS)

    def _accept(self):
        sock, ip, port = accept_tcp(self._listening)
        try:
            session = self.swarm.accepted(ip, port, ticks_ms())
            if session is None:
                sock.close()
            else:
                self.add(Connection(session, sock))
        except Exception:
            sock.close()
            raise
        self._after()

    def _dial(self, session):
        try:
            self.add(Connection(session, connect_tcp(session.ip, session.port)))
        except OSError:
            self.swarm.lost(session, ticks_ms())

    def add(self, link):
        """Read a Connection, and write to it, until its session is over."""
        self._links[link.session] = link
        link.reader = create_task(self._read(link))

    def _close(self, link):
        self._links.pop(link.session, None)
        for task in (link.reader, link.writer):
            if task is not None:
                try:
                    task.cancel()
                except RuntimeError:
                    pass  # the task that runs now: it ends by itself
        forget_socket(link.sock)

    async def _read(self, link):
        """Read one socket until its session is over."""
        session = link.session
        if session.is_outbound:
            await link.writable()
            try:
                read_into(link.sock, self._view[:1])  # raises where nobody took it; nobody speaks before message 1
                self.swarm.connected(session, ticks_ms())
            except OSError as error:
                self._cut(session, error)
            except Exception as error:
                self._fail(session, error)
            self._after()
        left = due = 0
        while session in self._links and link.rest != b"":
            if not left:
                due = ticks_ms()
                try:
                    await link.readable()
                except Exception as error:  # even to wait takes memory
                    self._cut(session, error)
                    return self._after()
                left = _READS
            left -= 1
            while due := self.pace.holds(READER, due):
                await sleep_ms(0)
            began = ticks_ms()
            n = self._receive(link)
            if self.pace.ended(READER, began, ticks_ms()) or n < 1:
                left = 0
            if n < 0:
                await sleep_ms(_PAUSE_MS)

    def _fail(self, session, error):
        """A peer that makes us fail loses its session, and nobody else's."""
        self._note(error, True)
        try:
            self.swarm.end(session, _MEMORY)
        except MemoryError as error:
            self._cut(session, error)

    def _cut(self, session, error):
        """What stands half in the socket, or was half understood, nobody can go on with."""
        if not isinstance(error, OSError):
            self._note(error, True)
        link = self._links.get(session)
        if link:
            link.rest = b""
        try:
            self.swarm.lost(session, ticks_ms())
        except MemoryError:
            self._has_cut = True  # each turn tries again

    def _end_cut(self):
        """What `_cut` did not come to the end of."""
        for session in self._links:
            if self._links[session].rest == b"":
                try:
                    self.swarm.lost(session, ticks_ms())
                except MemoryError as error:
                    return self._note(error, True)
        self._has_cut = False

    def _receive(self, link):
        """Read what the socket has. Returns 1, 0 where it has nothing, -1 where there is no room. No coroutine: its frame
        would hold on to the buffer."""
        session = link.session
        began = ticks_ms()
        try:
            if not session.room(began):
                return -1
            n = read_into(link.sock, memoryview(session.buf)[session.fill :])
        except MemoryError as error:  # nothing is lost: it waits in the socket
            self._note(error)
            return -1
        except OSError:
            n = 0
        if n is None:
            return 0
        self._is_turning = True  # what this leaves to send has its turn below
        try:
            if n:
                self.swarm.received(session, n, began)
            else:
                self.swarm.lost(session, began)
        except Exception as error:
            self._fail(session, error)
        self._is_turning = False
        if ticks_diff(ticks_ms(), began) > _LONG_MS:
            self.turn()  # of its own
        else:
            self._after()
        return 1

    def _flush(self, session):
        """Write what the session has to send now, as far as the socket takes it."""
        link = self._links.get(session)
        if link is None or link.rest is not None:
            return
        swarm = self.swarm
        try:
            while True:
                n = swarm.to_send(session, self.out, ticks_ms())
                if not n:
                    return
                taken = write_from(link.sock, self._view[:n]) or 0
                if taken < n:
                    link.rest = bytes(self._view[taken:n])
                    link.writer = create_task(self._write_rest(link))
                    return
        except Exception as error:
            self._cut(session, error)

    async def _write_rest(self, link):
        """The socket is full: go on when it takes bytes again."""
        while link.rest:
            try:
                await link.writable()
                if link.rest:  # or it was cut meanwhile
                    taken = write_from(link.sock, link.rest) or 0
                    link.rest = link.rest[taken:] if taken < len(link.rest) else None
            except Exception as error:
                self._cut(link.session, error)
                break
        link.writer = None
        link.session.touch()
        self._after()
