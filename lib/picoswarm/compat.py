"""What differs between MicroPython and CPython, decided once. No other module asks which runtime it is on.

Ticks are milliseconds modulo 2**30 on every runtime, so that code which forgets the wrap fails on the host as it would on
a board after 12.4 days. Only differences of less than 2**29 ms (6.2 days) mean anything: ages are kept in uptime seconds.
"""

import gc
import os
import sys
import time
from hashlib import sha256  # noqa: F401  (part of this module's interface)
from os import urandom as random_bytes  # noqa: F401

try:
    from micropython import const
except ImportError:

    def const(value):
        """CPython's stand-in for MicroPython's compile-time constant."""
        return value


_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)

MICROPYTHON = sys.implementation.name == "micropython"


def _pick_kernels():
    """Which cryptographic kernels this runtime loads: "host", "viper" or "int".

    Viper works on machine words: with 64-bit words its 32-bit rotations are silently wrong, so viper is taken only where
    small ints have 31 bits and the firmware can load native code.
    """
    if not MICROPYTHON:
        try:
            import cryptography  # noqa: F401
        except ImportError:
            return "int"
        return "host"
    loads_native = getattr(sys.implementation, "_mpy", 0) >> 10
    return "viper" if loads_native and sys.maxsize == 0x7FFFFFFF else "int"


KERNELS = _pick_kernels()

if MICROPYTHON and sys.maxsize == 0x7FFFFFFF:
    from time import ticks_add, ticks_diff, ticks_ms
else:

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


def collect():
    """Run the garbage collector twice: the second pass frees what finalisers of the first let go."""
    gc.collect()
    gc.collect()


def bound_garbage(n):
    """Collect after every `n` bytes of allocation, unless the program has set a threshold of its own: what lives long then
    stands together, and large blocks stay to be had. Nothing on CPython."""
    if MICROPYTHON and gc.threshold() < 0:
        gc.threshold(n)


def loaded():
    """Names of the modules that are loaded now, for `unload`."""
    return list(sys.modules)


def unload(package, before):
    """Forget the modules of `package` that were loaded since `loaded` gave `before`: their memory is free after the next
    collection, and who needs one again imports it again. Nothing on CPython."""
    prefix = package + "."
    for name in loaded() if MICROPYTHON else ():
        if name.startswith(prefix) and name not in before:
            del sys.modules[name]
            delattr(sys.modules[package], name[len(prefix) :])


def heap_used():
    """Bytes allocated on the MicroPython heap; 0 on CPython, whose heap says nothing about a board's."""
    return gc.mem_alloc() if MICROPYTHON else 0


if MICROPYTHON:

    def create_file(path):
        """A new or emptied file, open for writing bytes."""
        return open(path, "wb")

    def sync_file(file):
        """Force what was written to a file to its medium."""
        file.flush()  # the unix port's flush calls fsync; littlefs and FAT sync the file

    def sync_folder(path):
        """Force the names in a folder to its medium."""
        sync = getattr(os, "sync", None)  # littlefs and FAT have done it already; the unix port cannot
        if sync:
            sync()

    def make_folder(path):
        """A new folder."""
        os.mkdir(path)

    def is_wide(path):
        """Whether other users may open a file or folder: boards have none, and the unix port cannot ask."""
        return False

else:

    def create_file(path):
        """A new or emptied file for its owner only (mode 0600), open for writing bytes."""
        return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))

    def sync_file(file):
        """Force what was written to a file to its medium."""
        file.flush()
        os.fsync(file.fileno())

    def sync_folder(path):
        """Force the names in a folder to its medium."""
        if os.name != "posix":
            return  # a folder cannot be opened there
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def make_folder(path):
        """A new folder for its owner only (mode 0700)."""
        os.mkdir(path, 0o700)

    def is_wide(path):
        """Whether group or others have any right to a file or folder."""
        return os.name == "posix" and os.stat(path).st_mode & 0o077 != 0


def board_id():
    """Bytes that differ between two boards flashed with one image, as far as the runtime knows any; may be empty."""
    try:
        from machine import unique_id
    except ImportError:
        return b""
    return bytes(unique_id())


def jitter(n):
    """`n` readings of the fastest clock, a byte each, with work of uneven length between them: weak entropy, but none that
    a flash image carries."""
    ticks = time.ticks_us if MICROPYTHON else time.perf_counter_ns
    out = bytearray(n)
    for i in range(n):
        sha256(out).digest()
        out[i] = ticks() & 0xFF
    return bytes(out)


def sleep_ms(ms):
    """An awaitable that lets other tasks run for `ms` milliseconds; 0: those that are ready now."""
    import asyncio

    return asyncio.sleep_ms(ms) if MICROPYTHON else asyncio.sleep(ms / 1000)


def open_udp(ip, port):
    """A non-blocking UDP socket bound to `ip` (4 or 16 bytes) and `port`, which may broadcast. Raises OSError."""
    import socket

    sock = socket.socket(socket.AF_INET6 if len(ip) == 16 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_BROADCAST", 0x20), 1)  # some boards lack the name
        if len(ip) == 16:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # IPv4 peers appear as ::ffff:a.b.c.d
        sock.bind(sockaddr(ip, port))
        sock.settimeout(0)
    except OSError:
        sock.close()
        raise
    return sock


if MICROPYTHON:

    def parse_ip(text):
        """The 4 bytes of an IPv4 address. Raises ValueError."""
        ip = bytes([int(part) for part in text.split(".")])
        if len(ip) != 4:
            raise ValueError("not an IPv4 address: " + text)
        return ip

    def format_ip(ip):
        """An IPv4 address as text."""
        return "%d.%d.%d.%d" % (ip[0], ip[1], ip[2], ip[3])

    DATAGRAMS = 1  # to read at a time: `recvfrom` makes its buffer anew even when nothing waits

    _raw = None  # the unix port's address of the last `sockaddr`

    def sockaddr(ip, port):
        """What `bind` and `sendto` take for `ip` (4 bytes) and `port`, until the next call. The unix port wants the C
        structure."""
        global _raw
        if sys.platform not in ("linux", "darwin"):
            return format_ip(ip), port
        if _raw is None:
            import socket

            _raw = bytearray(socket.getaddrinfo("0.0.0.0", 0)[0][-1])
        _raw[2] = port >> 8
        _raw[3] = port & 0xFF
        _raw[4:8] = ip
        return _raw

    def from_sockaddr(address):
        """(ip, port) of what `recvfrom` gave: a tuple on boards, the C structure on the unix port."""
        if isinstance(address, tuple):
            return parse_ip(address[0]), address[1]
        return address[4:8], address[2] << 8 | address[3]

    def readable(sock):
        """Awaitable: until a datagram waits in `sock`, or its interface failed."""
        from asyncio import core

        yield core._io_queue.queue_read(sock)  # asyncio has no public name for this; its own streams do the same

    def own_ip():
        """This node's IPv4 address on the network it joined, 4 bytes; zeros while it has none."""
        found = "0.0.0.0"
        try:
            from network import AP_IF, STA_IF, WLAN

            if WLAN(AP_IF).active():
                found = WLAN(AP_IF).ifconfig()[0]
            if WLAN(STA_IF).isconnected():
                found = WLAN(STA_IF).ifconfig()[0]
        except ImportError:
            try:
                # The unix port has no getsockname. This table names each address a line above "host LOCAL".
                with open("/proc/net/fib_trie") as table:
                    for line in table:
                        if "|--" in line:
                            named = line.split()[-1]
                        elif "host LOCAL" in line and not named.startswith("127."):
                            found = named
            except OSError:
                pass
        return parse_ip(found)

else:
    DATAGRAMS = 64

    def parse_ip(text):
        """The 4 or 16 bytes of an IP address, IPv6 without its scope. Raises ValueError."""
        from ipaddress import ip_address

        return ip_address(text.split("%")[0]).packed

    def format_ip(ip):
        """An IP address as text."""
        from socket import AF_INET, AF_INET6, inet_ntop

        return inet_ntop(AF_INET6 if len(ip) == 16 else AF_INET, bytes(ip))

    def sockaddr(ip, port):
        """What `bind` and `sendto` take for `ip` (4 or 16 bytes) and `port`."""
        return format_ip(ip), port

    def from_sockaddr(address):
        """(ip, port) of what `recvfrom` gave."""
        return parse_ip(address[0]), address[1]

    async def readable(sock):
        """Wait until a datagram waits in `sock`."""
        import asyncio

        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        fd = sock.fileno()  # as a number: whoever cancels this wait may have closed the socket already
        loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(fd)

    def own_ip():
        """This node's IPv4 address on the network that leads out, 4 bytes; zeros while it has none."""
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # chooses a route and sends nothing
                return socket.inet_aton(probe.getsockname()[0])
            except OSError:
                return bytes(4)
