"""The driver: all asyncio, sockets and clock of a node, around one sans-I/O engine (docs/architecture.md).

Rules. Every input (datagrams, the timer, a call of the user) gets one turn: the input, at most one slice of public-key
work, the events, what the engine wants to send, the timer. Between two turns every other task may run, so nothing waits
longer than one batch of datagrams and one slice take. One task waits for the socket, one for the time.

The network never raises here. A datagram that cannot be sent is a lost datagram, and counted; the protocol above repeats
what matters. A socket that has gone bad, or an address that has changed, gets a new socket.
"""

from asyncio import create_task

from .address import unwrap
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
_BEYOND = const(88)  # bytes read beyond the longest datagram, so that a longer one shows
_CHECK_MS = const(10_000)  # between two looks at address and socket
_DEAF_CHECKS = const(6)  # a minute of sending with no answer: the socket may be dead (seen on ESP32-S3)
_FAULT_MS = const(1_000)  # pause after an exception, so that one that repeats does not eat the processor
_PASSING = (11, 35, 10035, 4, 104, 111, 10054)  # errno: would block, interrupted, a peer's port is closed; by system
_MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


class UdpPort:
    """One non-blocking UDP socket that outlives its failures."""

    def __init__(self, ip, port, size, open_socket=open_udp):
        """`ip`: the address to bind, all zeros for every interface. `size`: bytes of the longest datagram."""
        self.ip = ip
        self.port = port
        self.sock = None
        self.from_ip = b""  # source of the datagram that `receive` gave last
        self.from_port = 0
        self.unsent = 0  # datagrams that the network refused
        self.oversize = 0  # datagrams longer than any of ours
        self.is_broken = False  # only a new socket helps
        self._read_n = size + _BEYOND
        self._open_socket = open_socket

    def open(self):
        """A new socket in place of the present one. Raises OSError; then there is none."""
        self.close()
        self.is_broken = True
        self.sock = self._open_socket(self.ip, self.port)
        self.is_broken = False
        if not self.port:
            self.port = self.sock.getsockname()[1]  # CPython only: on a board, name a port

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def receive(self, buf):
        """Bytes of the next datagram, which is copied to `buf`; 0 when none waits."""
        while True:
            try:
                data, address = self.sock.recvfrom(self._read_n)
            except OSError as error:
                if error.errno not in _PASSING:
                    self.is_broken = True
                return 0
            n = len(data)
            if 0 < n <= len(buf):
                ip, self.from_port = from_sockaddr(address)
                self.from_ip = unwrap(ip)
                buf[:n] = data
                return n
            self.oversize += n > 0

    def send(self, view, ip, port):
        """Send a datagram, or lose and count it: ENOMEM (an ESP32 that waits for ARP), no route and no interface alike."""
        if len(ip) < len(self.ip):
            ip = _MAPPED + ip
        try:
            if self.sock is not None:
                self.sock.sendto(view, sockaddr(ip, port))
                self.sock.settimeout(0)  # on ESP32-S3 a send can make the socket block again
                return True
        except OSError:
            pass
        self.unsent += 1
        return False


class Driver:
    """Runs one datagram engine on one open UdpPort. Who calls the engine from outside then calls `turn`."""

    def __init__(self, engine, port, size, on_event, on_check=None):
        """`on_event(event)` gets each event and must not block. `on_check(now)` is called every 10 s; it returns True when
        it found that the own address has changed, so that a new socket is needed."""
        self.engine = engine
        self.port = port
        self.sent = 0
        self.received = 0
        self.reopened = 0
        self.out_of_memory = 0  # turns cut short because the heap was full
        self.faults = 0  # turns cut short by any other exception: a bug, kept in `fault`
        self.fault = None
        self.hold_ms = 0  # the longest turn: what every other task had to wait
        self._on_event = on_event
        self._on_check = on_check
        self._buf = bytearray(size)  # for both ways: the engine keeps no view of a datagram
        self._view = memoryview(self._buf)
        self._reader = None
        self._timer = None
        self._is_turning = False
        self._is_asleep = False  # the timer task, until `_wake_at`
        self._wake_at = 0
        self._check_at = ticks_add(ticks_ms(), _CHECK_MS)
        self._sent_before = 0  # at the last check
        self._received_before = 0
        self._deaf = 0  # checks in a row that saw sending and no answer

    def start(self):
        """Start both tasks."""
        self._reader = create_task(self._read())
        self._timer = create_task(self._keep_time(0))

    def stop(self):
        """End both tasks and close the socket."""
        for task in (self._reader, self._timer):
            if task is not None:
                task.cancel()
        self._reader = self._timer = None
        self.port.close()

    def turn(self):
        """Do what the engine wants done after a call from outside."""
        if self._timer is not None and not self._is_turning:
            self._turn(_CALL)

    async def _read(self):
        """The reader task. It ends with its socket; the next check starts another."""
        while not self.port.is_broken:
            await readable(self.port.sock)
            self._turn(_READ)

    async def _keep_time(self, delay):
        """The timer task."""
        while True:
            self._is_asleep = True
            await sleep_ms(delay)
            self._is_asleep = False
            self._turn(_TICK)
            delay = max(0, ticks_diff(self._wake_at, ticks_ms()))

    def _turn(self, begin):
        began = ticks_ms()
        self._is_turning = True
        busy = False
        least = 1  # what is due and stays due has had its tick: the clock moves on first
        try:
            if begin == _READ:
                self._take(began)
            elif begin == _TICK:
                self.engine.tick(began)
                if ticks_diff(began, self._check_at) >= 0:
                    self._check(began)
            busy = self.engine.work()
            self._flush()
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
        self._arm(now, 0 if busy else least)

    def _take(self, now):
        port = self.port
        for _ in range(DATAGRAMS):
            n = port.receive(self._buf)
            if not n:
                return
            self.received += 1
            self.engine.receive(self._buf, n, port.from_ip, port.from_port, now)

    def _flush(self):
        engine = self.engine
        event = engine.next_event()
        while event is not None:
            self._on_event(event)
            event = engine.next_event()
        for _ in range(_BURST):
            n = engine.to_send(self._buf)
            if not n:
                return
            self.sent += self.port.send(self._view[:n], engine.to_ip, engine.to_port)

    def _arm(self, now, least):
        """Let the timer task run in `least` ms, or when the engine wants to be called, or for the next check."""
        delay = ticks_diff(self._check_at, now)
        due = self.engine.next_time()
        if due is not None:
            delay = min(delay, ticks_diff(due, now))
        delay = max(delay, least) if least else 0
        at = ticks_add(now, delay)
        if not self._is_asleep:
            self._wake_at = at
        elif ticks_diff(at, self._wake_at) < 0:
            # A sleep cannot be shortened from outside, so another task takes over. (Waking early needs nothing.)
            self._wake_at = at
            self._timer.cancel()
            self._timer = create_task(self._keep_time(delay))

    def _check(self, now):
        """Look after the socket, and let the owner look after the rest."""
        self._check_at = ticks_add(now, _CHECK_MS)
        if self.received > self._received_before:
            self._deaf = 0
        elif self.sent > self._sent_before:
            self._deaf += 1
        self._sent_before = self.sent
        self._received_before = self.received
        is_moved = self._on_check is not None and self._on_check(now)
        if is_moved or self.port.is_broken or self._deaf >= _DEAF_CHECKS:
            self._reopen()

    def _reopen(self):
        """A new socket and a new reader. Where that fails, the next check tries again."""
        self._deaf = 0
        self.reopened += 1
        self._reader.cancel()
        try:
            self.port.open()
        except OSError:
            return
        self._reader = create_task(self._read())
