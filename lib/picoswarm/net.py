"""The driver: all asyncio, sockets and clock of a node, around one sans-I/O engine (docs/architecture.md).

Rules. Every input (datagrams, the timer, a call of the user) gets one turn: the input, at most one slice of public-key
work, the events, what the engine wants to send, the timer. Between two turns every other task may run, so nothing waits
longer than one batch of datagrams and one slice take. One task waits for the socket, one for the time.

The network never raises here. A datagram that cannot be sent is a lost datagram, and counted; the protocol above repeats
what matters. A socket that has gone bad, or an address that has changed, gets a new socket.
"""

from asyncio import create_task

from .compat import (
    DATAGRAMS,
    collect,
    const,
    from_sockaddr,
    open_udp,
    readable,
    sleep_ms,
    sockaddr,
    ticks_add,
    ticks_diff,
    ticks_ms,
)

_READ = const(1)  # what a turn begins with
_TICK = const(2)
_CALL = const(3)

_BURST = const(32)  # datagrams sent in one turn
_BEYOND = const(1)  # bytes read beyond the longest datagram, so that a longer one shows
_CHECK_MS = const(10_000)  # between two looks at address and socket
_DEAF_CHECKS = const(6)  # a minute of sending with no answer: the socket may be dead (seen on ESP32-S3)
_FAULT_MS = const(1_000)  # pause after an exception, so that one that repeats does not eat the processor
# errno: would block, interrupted, a peer's port is closed, too long (Windows); by system
_PASSING = (11, 35, 10035, 4, 104, 111, 10054, 10040)


class Driver:
    """Runs one datagram engine on one UDP socket, which it replaces when it fails. Who calls the engine from outside then
    calls `turn`."""

    def __init__(self, ip, port, size, open_socket=open_udp):
        """`ip`: the address to bind, all zeros for every interface. `size`: bytes of the longest datagram."""
        self.port = port
        self.engine = None
        self.received = 0
        self.unsent = 0  # datagrams that the network refused
        self.oversize = 0  # datagrams longer than any of ours
        self.reopened = 0
        self.out_of_memory = 0  # turns cut short because the heap was full
        self.faults = 0  # turns cut short by any other exception: a bug, kept in `fault`
        self.fault = None
        self.hold_ms = 0  # the longest turn: what every other task had to wait
        self._ip = ip
        self._open_socket = open_socket
        self._sock = None
        self._is_broken = False  # only a new socket helps
        self._buf = bytearray(size)  # for both ways: the engine keeps no view of a datagram
        self._view = memoryview(self._buf)
        self._reader = self._timer = None
        self._is_turning = False
        self._deaf = 0  # checks in a row that saw sending and no answer
        self._has_sent = False  # since the last datagram that came, or the last check

    def open(self):
        """A new socket in place of the present one. Raises OSError; then there is none."""
        self._is_broken = True
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self._sock = self._open_socket(self._ip, self.port)
        self._is_broken = False
        if not self.port:
            self.port = self._sock.getsockname()[1]  # CPython only: on a board, name a port

    def start(self, engine, on_event, on_check):
        """Start both tasks on the open socket. `on_event(event)` gets each event and must not block. `on_check()` is called
        every 10 s; it returns True when it found that the own address has changed, so that a new socket is needed."""
        self.engine = engine
        self._on_event = on_event
        self._on_check = on_check
        self._wake_at = now = ticks_ms()
        self._check_at = ticks_add(now, _CHECK_MS)
        self._reader = create_task(self._read())
        self._timer = create_task(self._keep_time())

    def stop(self):
        """End both tasks and close the socket."""
        self._reader.cancel()
        self._timer.cancel()
        self._timer = None
        if self._sock is not None:
            self._sock.close()

    async def _read(self):
        """The reader task. It ends with its socket; the next check starts another."""
        while not self._is_broken:
            await readable(self._sock)
            self.turn(_READ)

    async def _keep_time(self):
        """The timer task."""
        while True:
            await sleep_ms(ticks_diff(self._wake_at, ticks_ms()))
            self.turn(_TICK)

    def turn(self, begin=_CALL):
        """Take in what there is, and do what the engine then wants done. Nothing within a turn, or before `start`."""
        if self._is_turning or self._timer is None:
            return
        self._is_turning = True
        engine = self.engine
        began = ticks_ms()
        busy = False
        least = 1  # what is due and stays due has had its tick: the clock moves on first
        try:
            if begin == _READ:
                self._receive(began)
            elif begin == _TICK:
                engine.tick(began)
                if ticks_diff(began, self._check_at) >= 0:
                    self._check(began)
            busy = engine.work()
            event = engine.next_event()
            while event is not None:
                self._on_event(event)
                event = engine.next_event()
            self._send(engine)
        except MemoryError:
            self.out_of_memory += 1
            collect()
        except Exception as error:  # a node in a wall must outlive our mistakes
            self.faults += 1
            self.fault = error
            least = _FAULT_MS
        self._is_turning = False
        now = ticks_ms()
        self.hold_ms = max(self.hold_ms, ticks_diff(now, began))
        # The timer runs when there is work, when the engine wants to be called, or for the next check.
        delay = ticks_diff(self._check_at, now)
        due = engine.next_time()
        if due is not None:
            delay = min(delay, ticks_diff(due, now))
        wake_at = ticks_add(now, 0 if busy else max(delay, least))
        if begin == _TICK:
            self._wake_at = wake_at
        elif ticks_diff(wake_at, self._wake_at) < 0:
            # A sleep cannot be shortened from outside, so another task takes over. (Waking early needs nothing.)
            self._wake_at = wake_at
            self._timer.cancel()
            self._timer = create_task(self._keep_time())

    def _receive(self, now):
        """Give the engine the datagrams that wait, a bounded number."""
        buf = self._buf
        for _ in range(DATAGRAMS):
            try:
                data, address = self._sock.recvfrom(len(buf) + _BEYOND)
            except OSError as error:
                if error.errno not in _PASSING:
                    self._is_broken = True
                return
            n = len(data)
            if 0 < n <= len(buf):
                buf[:n] = data
                self.received += 1
                self._deaf = 0
                self._has_sent = False
                ip, port = from_sockaddr(address)
                self.engine.receive(buf, n, ip, port, now)
            else:
                self.oversize += n > 0

    def _send(self, engine):
        """Send what the engine has, or lose and count it: ENOMEM (an ESP32 that waits for ARP), no route, no interface."""
        for _ in range(_BURST):
            n = engine.to_send(self._buf)
            if not n:
                return
            try:
                if self._sock is None:  # none could be had
                    raise OSError
                self._sock.sendto(self._view[:n], sockaddr(self._sock, engine.to_ip, engine.to_port))
                self._sock.settimeout(0)  # on ESP32-S3 a send can make the socket block again
                self._has_sent = True
            except OSError:
                self.unsent += 1

    def _check(self, now):
        """Let the owner look after itself, and look after the socket. Where a new one cannot be had, the next check tries
        again."""
        self._check_at = ticks_add(now, _CHECK_MS)
        self._deaf += self._has_sent
        self._has_sent = False
        if self._on_check() or self._is_broken or self._deaf >= _DEAF_CHECKS:
            self._deaf = 0
            self.reopened += 1
            self._reader.cancel()
            try:
                self.open()
            except OSError:
                return
            self._reader = create_task(self._read())
