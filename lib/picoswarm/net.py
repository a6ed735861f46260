"""The driver: all asyncio, sockets and clock of a node, around one sans-I/O engine (docs/architecture.md).

Rules. Every input (datagrams, the timer, a call of the user) gets one turn: the input, at most one step of a lookup or
slice of public-key work, the events, what the engine wants to send, the timer. Between two turns every other task may run,
so nothing waits longer than one batch of datagrams and one slice take. One task waits for the socket, one for the time.

The network never raises here. A datagram that cannot be sent is a lost datagram, and counted; the protocol above repeats
what matters. A socket that has gone bad, or an address that has changed, gets a new socket.
"""

from asyncio import create_task

from .compat import (
    DATAGRAMS,
    collect,
    const,
    from_sockaddr,
    hasten,
    open_udp,
    readable,
    sleep_ms,
    sockaddr,
    ticks_add,
    ticks_diff,
    ticks_ms,
)

_READ = const(1)  # what a task waits for
_TICK = const(2)

LONGEST = 512  # bytes of a datagram
_SHORTER = const(87)  # read while the heap is too broken up for more: PINGs and PONGs have no more than 86
_BURST = const(32)  # datagrams sent in one turn
_LONG_MS = const(4)  # of a turn, after which others come to theirs
_WHOLE_MS = const(10)  # of a tick that leaves no time to send
_CHECK_MS = const(10_000)  # between two looks at address and socket
_DEAF_CHECKS = const(6)  # a minute of sending with no answer: the socket may be dead (seen on ESP32-S3)
_FULL_MS = const(100)
_FAULT_MS = const(1_000)  # pause after an exception, so that one that repeats does not eat the processor
# errno: would block, interrupted, a peer's port is closed, too long (Windows); by system
_PASSING = (11, 35, 10035, 4, 104, 111, 10054, 10040)


class Driver:
    """Runs one datagram engine on one UDP socket, which it replaces when it fails. Who calls the engine from outside then
    calls `turn`."""

    pace = None  # that of the sessions, see pace.py
    _open_socket = None  # in the place of open_udp

    def __init__(self, ip, port, heard, open_socket=None):
        """`ip`: the address to bind, all zeros for every interface. `heard`: bytes of the longest datagram that is read."""
        self.port = port
        self.ip = ip
        self.engine = None
        self.received = 0
        self.unsent = 0  # datagrams that the network refused
        self.faults = 0  # turns cut short by an exception other than of a full heap: a bug, kept in `fault`
        self.fault = None
        self.oversize = 0  # datagrams longer than what is read
        self.reopened = 0
        self.out_of_memory = 0  # turns cut short because the heap was full
        self.hold_ms = 0  # the longest turn: what every other task had to wait
        if open_socket:
            self._open_socket = open_socket
        self._sock = None
        self._is_broken = False  # only a new socket helps
        self.buf = bytearray(LONGEST)  # for both ways: the engine keeps no view of a datagram
        self._most = heard
        self._read_n = heard + 1  # so that a longer one shows
        self._reader = self._timer = None
        self._is_turning = False
        self._deaf = 0  # checks in a row that saw sending and no answer
        self._has_sent = False  # since the last check
        self._heard = 0  # `received` at the last check

    def open(self):
        """A new socket in place of the present one. Raises OSError; then there is none."""
        self._is_broken = True
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self._sock = (self._open_socket or open_udp)(self.ip, self.port)
        self._is_broken = False
        if not self.port:
            self.port = self._sock.getsockname()[1]  # CPython only: on a board, name a port

    def start(self, engine, on_event, on_check):
        """Start both tasks on the open socket. `on_event(event)` gets each event, and None for a turn
        that a full heap cut short, when it may allocate nothing; it must not block. `on_check()` is called
        every 10 s; it returns True when it found that the own address has changed, so that a new socket is needed."""
        self.engine = engine
        self._on_event = on_event
        self._on_check = on_check
        self._wake_at = now = ticks_ms()
        self._check_at = ticks_add(now, _CHECK_MS)
        self._reader = create_task(self._run(_READ))
        self._timer = create_task(self._run(_TICK))

    def stop(self):
        """End both tasks and close the socket."""
        self._reader.cancel()
        self._timer.cancel()
        self._timer = None
        if self._sock is not None:
            self._sock.close()

    def turn(self):
        """Have a turn soon. Within a turn nothing is to do: it goes on to what this call left."""
        if self._timer is not None and not self._is_turning:
            self._wake(ticks_ms())

    def _wake(self, at):
        """Let the timer task run at `at`, if it would sleep longer. (Waking early needs nothing.)"""
        if ticks_diff(at, self._wake_at) < 0:
            try:
                if not hasten(self._timer, ticks_diff(at, ticks_ms())):
                    timer = create_task(self._run(_TICK))
                    self._timer.cancel()
                    self._timer = timer
                self._wake_at = at
            except MemoryError:
                pass  # it comes later

    def _take(self):
        """Bytes of the next datagram, which is copied to the buffer; 0: not for us. Raises OSError where none waits."""
        read_n = self._read_n
        data, address = self._sock.recvfrom(read_n)
        self._read_n = self._most + 1
        n = len(data)
        if n >= read_n:
            self.oversize += 1
            return 0
        self.buf[:n] = data
        self._from_ip, self._from_port = from_sockaddr(address)
        self.received += n > 0
        return n

    async def _run(self, wait_for):
        """The reader task, which ends with its socket (the next check starts another), and the timer task: one turn after
        another. All of a turn stands here because the frame of a task is made once: MicroPython would take the frame of a
        function of this size from the heap, at each call. But a datagram must not stand in a frame that stays."""
        engine = self.engine
        buf = self.buf
        view = memoryview(buf)
        left = held = 0  # datagrams to take before the next wait; ms that the last turn took
        waits = False  # the work, for its next turn
        due = 0  # since when this task waits for a turn; a reader that had to wait for data counts as late
        while wait_for == _TICK or not self._is_broken:
            if wait_for == _READ:
                if not left:
                    due = ticks_ms()
                    try:
                        await readable(self._sock)
                    except MemoryError:  # even to wait takes memory: it looks now and then
                        self.out_of_memory += 1
                        await sleep_ms(_FULL_MS)
                    left = DATAGRAMS
                elif held > _LONG_MS:
                    due = ticks_ms()
                    await sleep_ms(0)
            else:
                await sleep_ms(ticks_diff(self._wake_at, ticks_ms()))
                due = self._wake_at
            while self.pace and (due := self.pace.holds(wait_for, due)):
                await sleep_ms(0)
            self._is_turning = True
            began = ticks_ms()
            busy = is_cut = False
            least = 1  # what is due and stays due has had its tick: the clock moves on first
            try:
                if wait_for == _TICK:
                    try:
                        engine.tick(began)
                    except MemoryError:  # what is due stays due, and keeps nothing else back
                        collect()
                        is_cut = True
                    if ticks_diff(began, self._check_at) >= 0:
                        self._check(began)
                else:
                    left -= 1
                    try:
                        n = self._take()
                    except OSError as error:
                        self._is_broken = error.errno not in _PASSING
                        n = left = 0
                    if n:
                        engine.receive(buf, n, self._from_ip, self._from_port, began)
                # A tick that took long is a turn of its own; the work has the next one, and if need be what is sent, too.
                held = ticks_diff(ticks_ms(), began)
                busy = waits = wait_for == _TICK and not waits and held > _LONG_MS
                if not waits:
                    try:
                        busy = engine.work()
                    except MemoryError:  # it is done again; what is to be sent goes all the same
                        collect()
                        is_cut = True
                event = engine.next_event()
                while event is not None:
                    self._on_event(event)
                    event = engine.next_event()
                sock = self._sock
                for _ in range(0 if waits and held > _WHOLE_MS else _BURST):
                    n = engine.to_send(buf)
                    if not n:
                        break
                    try:
                        if sock is None:  # none could be had
                            raise OSError
                        sock.sendto(view[:n], sockaddr(sock, engine.to_ip, engine.to_port))
                        sock.settimeout(0)  # on ESP32-S3 a send can make the socket block again
                        self._has_sent = True
                    except OSError:  # ENOMEM (an ESP32 that waits for ARP), no route, no interface: lost
                        self.unsent += 1
            except MemoryError:
                self._read_n = _SHORTER  # or what waits at the socket would never go
                collect()
                is_cut = True
            except Exception as error:  # a node in a wall must outlive our mistakes
                self.faults += 1
                self.fault = error
                least = _FAULT_MS
            self._is_turning = False
            self.out_of_memory += is_cut
            now = ticks_ms()
            held = ticks_diff(now, began)
            if self.pace:
                self.pace.ended(wait_for, began, now)
            if held > self.hold_ms:
                self.hold_ms = held
            # The timer runs when there is work, when the engine wants to be called, or for the next check; soon where a turn
            # was cut short.
            due = None
            try:
                if is_cut:
                    self._on_event(None)
                due = engine.next_time()
            except MemoryError:  # to call what an overlay has takes some
                is_cut = True
            latest = self._check_at
            if is_cut:  # what is due stays due, and finds no memory a moment later
                least = _FULL_MS
                latest = ticks_add(now, least)
            if due is None or ticks_diff(due, latest) > 0:
                due = latest
            if busy:
                due = now
            elif ticks_diff(due, now) < least:
                due = ticks_add(now, least)
            if wait_for == _TICK:
                self._wake_at = due
            else:
                self._wake(due)

    def _check(self, now):
        """Let the owner look after itself, and look after the socket. Where a new one cannot be had, the next check tries
        again."""
        self._check_at = ticks_add(now, _CHECK_MS)
        self._deaf = self._deaf + self._has_sent if self.received == self._heard else 0
        self._has_sent = False
        self._heard = self.received
        if self._on_check() or self._is_broken or self._deaf >= _DEAF_CHECKS:
            self._deaf = 0
            self.reopened += 1
            self._reader.cancel()
            try:
                self.open()
            except OSError:
                return
            self._reader = create_task(self._run(_READ))
