"""The half of compat.py that CPython has for itself. No board loads or installs it."""

import asyncio
import socket
from ipaddress import IPv6Address, ip_address

try:
    import cryptography  # noqa: F401

    KERNELS = "host"
except ImportError:
    KERNELS = "int"

FILES = "host"  # which file layer a Store takes
DATAGRAMS = 64  # to read at a time


def const(value):
    """CPython's stand-in for MicroPython's compile-time constant."""
    return value


def heap_used():
    """0: the heap of CPython says nothing about a board's."""
    return 0


def sleep_ms(ms):
    """An awaitable that lets other tasks run for `ms` milliseconds; 0: those that are ready now."""
    return asyncio.sleep(ms / 1000)


def parse_ip(text):
    """The 4 or 16 bytes of an IP address, IPv6 without its scope. Raises ValueError."""
    return ip_address(text.split("%")[0]).packed


def format_ip(ip):
    """An IP address as text."""
    return str(ip_address(bytes(ip)))


def open_udp(ip, port):
    """A non-blocking UDP socket bound to `ip` (4 or 16 bytes) and `port`, which may broadcast. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if len(ip) == 16 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if len(ip) == 16:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # IPv4 peers appear as ::ffff:a.b.c.d
        sock.bind((format_ip(ip), port))
        sock.settimeout(0)
    except OSError:
        sock.close()
        raise
    return sock


def sockaddr(sock, ip, port):
    """What `sock.sendto` takes for `ip` (4 or 16 bytes) and `port`: for an IPv6 socket an IPv4 address in mapped form."""
    text = format_ip(ip)
    return ("::ffff:" + text if len(ip) == 4 and sock.family == socket.AF_INET6 else text), port


def from_sockaddr(address):
    """(ip, port) of what `recvfrom` gave. One address has one form: a mapped IPv4 address is 4 bytes."""
    ip = ip_address(address[0].split("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.packed, address[1]


async def readable(sock):
    """Wait until a datagram waits in `sock`."""
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
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a route and sends nothing
            return socket.inet_aton(probe.getsockname()[0])
        except OSError:
            return bytes(4)
