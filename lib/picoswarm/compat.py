"""What differs between MicroPython and CPython, decided once. No other module asks which runtime it is on.

A board gets what stands here; the unix port (tests and demo) and CPython get the halves that differ from compat_unix.py
and compat_host.py, so that no board carries them.

Ticks are milliseconds modulo 2**30 on every runtime, so that code which forgets the wrap fails on the host as it would on
a board after 12.4 days. Only differences of less than 2**29 ms (6.2 days) mean anything: ages are kept in uptime seconds.
"""

import sys
from hashlib import sha256  # noqa: F401  (part of this module's interface)

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    from micropython import const

    # Viper works on machine words: with 64-bit words its 32-bit rotations are silently wrong, so viper is taken only where
    # small ints have 31 bits and the firmware can load native code.
    FILES = "board"
    VAULT = sys.platform == "esp32"  # there is a place for keys beside the file system
    KERNELS = "viper" if getattr(sys.implementation, "_mpy", 0) >> 10 and sys.maxsize == 0x7FFFFFFF else "int"
else:
    from .compat_host import FILES, KERNELS, VAULT, const  # noqa: F401

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)

if MICROPYTHON and sys.maxsize == 0x7FFFFFFF:
    from time import ticks_add, ticks_diff, ticks_ms
else:
    import time

    def ticks_ms():
        """Milliseconds of a monotonic clock, modulo 2**30."""
        # MicroPython with 64-bit words has ticks of another period, and no monotonic_ns.
        return (time.ticks_ms() if MICROPYTHON else time.monotonic_ns() // 1_000_000) & _MASK

    def ticks_add(ticks, delta):
        """`ticks` moved by `delta` milliseconds (either sign), modulo 2**30."""
        return (ticks + delta) & _MASK

    def ticks_diff(a, b):
        """Milliseconds from `b` to `a`, in [-2**29, 2**29)."""
        return ((a - b + _HALF) & _MASK) - _HALF


def unload(before):
    """Forget the modules of this package that are not among the names `before`, and that no user has a name from: their
    memory is free after the next collection, and who needs one again imports it again. Nothing on CPython."""
    package = sys.modules["picoswarm"]
    for name in list(sys.modules) if MICROPYTHON else ():
        if name.startswith("picoswarm.") and name not in before and name[10:] not in package.handed_out:
            # A dict of MicroPython keeps in its place what is deleted, until something else comes there.
            sys.modules[name] = None
            del sys.modules[name]
            setattr(package, name[10:], None)
            delattr(package, name[10:])


if MICROPYTHON:
    import gc
    from gc import mem_alloc as heap_used  # bytes allocated on the MicroPython heap
    from gc import threshold  # bytes of garbage after which it is collected, -1: when the heap is full

    try:
        from asyncio import core, sleep_ms  # the latter lets other tasks run for so many milliseconds; 0: those ready now

        # Its loop asks for this builtin at each turn, and looks for it in its own names first: a table that is full, so that
        # MicroPython looks at all of it for what is not there (docs/architecture.md).
        core.max = max
    except ImportError:
        pass  # firmware without sockets, such as that of the emulator, has no asyncio either

    DATAGRAMS = const(1)  # to read at a time: `recvfrom` makes its buffer anew even when nothing waits

    def collect():
        """Run the garbage collector twice: the second pass frees what finalisers of the first let go. On CPython nothing."""
        gc.collect()
        gc.collect()

    def parse_ip(text):
        """The 4 bytes of an IPv4 address. Raises ValueError."""
        ip = bytes(map(int, text.split(".")))
        if len(ip) != 4:
            raise ValueError
        return ip

    def format_ip(ip):
        """An IPv4 address as text."""
        return "%d.%d.%d.%d" % tuple(ip)

    def open_udp(ip, port):
        """A non-blocking UDP socket bound to `ip` (4 bytes) and `port`, which may broadcast. Raises OSError."""
        import socket

        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_BROADCAST", 0x20), 1)  # some boards lack the name
            sock.bind(sockaddr(sock, ip, port))
            sock.settimeout(0)
        except OSError:
            sock.close()
            raise
        return sock

    class _Wait:
        """Until a socket is ready. One object serves all tasks, as with asyncio's own `sleep_ms`: who asks for it awaits it
        at once. A generator in its place would stay on the heap with each socket that waits."""

        sock = None  # not waited for yet
        is_writing = False

        def __iter__(self):
            return self

        def __next__(self):
            sock = self.sock
            if sock is None:
                raise StopIteration
            self.sock = None
            # asyncio has no public name for this; its own streams do the same.
            queue = core._io_queue
            try:
                (queue.queue_write if self.is_writing else queue.queue_read)(sock)
            except MemoryError:
                # It says that the socket is waited for before it has the memory for that, and would believe it next time.
                queue.map.pop(id(sock), None)
                raise

    _wait = _Wait()

    def readable(sock):
        """Awaitable: until something can be read from `sock`, or its interface failed."""
        _wait.sock = sock
        _wait.is_writing = False
        return _wait

    def writable(sock):
        """Awaitable: until `sock` takes bytes, is connected, or failed."""
        _wait.sock = sock
        _wait.is_writing = True
        return _wait

    def hasten(task, ms):
        """Let a task that sleeps longer go on in `ms`. False: that cannot be done, and another task has to take over."""
        # asyncio has no public name for this; `Task.cancel` does the same. Another task each time would take 300 bytes, and
        # those that were cancelled stay: asyncio's queue forgets the last neighbor of a task late.
        core._task_queue.remove(task)
        core._task_queue.push(task, core.ticks_add(core.ticks(), max(0, ms)))
        return True

    def forget_socket(sock):
        """Close a socket on which tasks may wait."""
        core._io_queue.remove(sock)
        sock.close()


if not MICROPYTHON:
    from .compat_host import (  # noqa: F401
        DATAGRAMS,
        collect,
        forget_socket,
        format_ip,
        from_sockaddr,
        hasten,
        heap_used,
        open_udp,
        own_ip,
        parse_ip,
        readable,
        sleep_ms,
        sockaddr,
        threshold,
        writable,
    )
elif sys.platform in ("linux", "darwin"):
    from .compat_unix import from_sockaddr, own_ip, sockaddr  # noqa: F401
else:

    def sockaddr(sock, ip, port):
        """What `sock.sendto` takes for `ip` and `port`, until the next call."""
        return format_ip(ip), port

    def from_sockaddr(address):
        """(ip, port) of what `recvfrom` gave."""
        return parse_ip(address[0]), address[1]

    def own_ip():
        """This node's IPv4 address on the network it joined, 4 bytes; zeros while it has none."""
        from network import AP_IF, STA_IF, WLAN

        found = "0.0.0.0"
        if WLAN(AP_IF).active():
            found = WLAN(AP_IF).ifconfig()[0]
        if WLAN(STA_IF).isconnected():
            found = WLAN(STA_IF).ifconfig()[0]
        return parse_ip(found)
