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
VAULT = False
_MAPPED = bytes(10) + b"\xff\xff"  # before an IPv4 address in an IPv6 one
DATAGRAMS = 64  # to read at a time
_OTHERS = 4  # ports that are tried besides, where any will do


def const(value):
    """CPython's stand-in for MicroPython's compile-time constant."""
    return value


def collect():
    """Nothing: what nobody refers to is gone already, and a look at all of a computer's heap would hold the loop."""


def heap_used():
    """0: the heap of CPython says nothing about a board's."""
    return 0


def threshold(_garbage=0):
    """-1: as `collect`, it is nobody's business."""
    return -1


def sleep_ms(ms):
    """An awaitable that lets other tasks run for `ms` milliseconds; 0: those that are ready now."""
    return asyncio.sleep(ms / 1000)


def parse_ip(text):
    """The 4 or 16 bytes of an IP address, IPv6 without its scope. Raises ValueError."""
    return ip_address(text.split("%")[0]).packed


def format_ip(ip):
    """An IP address as text."""
    return socket.inet_ntoa(ip) if len(ip) == 4 else str(IPv6Address(bytes(ip)))


async def resolve(name):
    """The address of a host, 4 bytes where it has one of IPv4, else 16. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return parse_ip(found[0][4][0])


def open_udp(ip, port):
    """A non-blocking UDP socket bound to `ip` (4 or 16 bytes) and `port`, which may broadcast; for port 0 one that nobody
    has for TCP either, since a node listens at both. Raises OSError."""
    sock = _bound_udp(ip, port)
    for _ in range(0 if port else _OTHERS):
        try:
            listen_tcp(ip, sock.getsockname()[1]).close()
            break
        except OSError:
            sock.close()
            sock = _bound_udp(ip, port)
    return sock


def _bound_udp(ip, port):
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
    text = address[0]
    if ":" not in text:
        return socket.inet_aton(text), address[1]
    ip = socket.inet_pton(socket.AF_INET6, text.split("%")[0])
    return ip[12:] if ip[:12] == _MAPPED else ip, address[1]


_waits = {}  # by (number of a socket, whether for writing): the future that is awaited


async def _ready(sock, is_writing):
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    # As a number: whoever cancels this wait may have closed the socket already, and a new one may have its number.
    fd = sock.fileno()
    (loop.add_writer if is_writing else loop.add_reader)(fd, lambda: ready.done() or ready.set_result(None))
    _waits[fd, is_writing] = ready
    try:
        await ready
    finally:
        if _waits.get((fd, is_writing)) is ready:
            del _waits[fd, is_writing]
            (loop.remove_writer if is_writing else loop.remove_reader)(fd)


def readable(sock):
    """Awaitable: until something can be read from `sock`."""
    return _ready(sock, False)


def writable(sock):
    """Awaitable: until `sock` takes bytes, is connected, or failed."""
    return _ready(sock, True)


def hasten(task, ms):
    """Let a task that sleeps longer go on in `ms`. False: that cannot be done, and another task has to take over."""
    return False


def forget_socket(sock):
    """Close a socket on which tasks may wait."""
    loop = asyncio.get_running_loop()
    fd = sock.fileno()
    if fd >= 0:
        loop.remove_reader(fd)
        loop.remove_writer(fd)
        _waits.pop((fd, False), None)
        _waits.pop((fd, True), None)
    sock.close()


def _tcp(sock):
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def listen_tcp(ip, port):
    """A non-blocking listening socket, for IPv4 too where `ip` has 16 bytes. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if len(ip) == 16 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if len(ip) == 16:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((format_ip(ip), port))
        sock.listen(128)
        sock.settimeout(0)
    except OSError:
        sock.close()
        raise
    return sock


def accept_tcp(sock):
    """(socket, ip, port) of a connection that waits. Raises OSError where none does."""
    link, address = sock.accept()
    return (_tcp(link), *from_sockaddr(address))


def connect_tcp(ip, port):
    """A socket on its way to ip:port; it is connected when it takes bytes. Raises OSError."""
    sock = _tcp(socket.socket(socket.AF_INET6 if len(ip) == 16 else socket.AF_INET, socket.SOCK_STREAM))
    try:
        sock.connect((format_ip(ip), port))
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock


def read_into(sock, view):
    """Read what is there into `view`. Returns the count of bytes, 0 at the end, None where nothing is there. Raises
    OSError."""
    try:
        return sock.recv_into(view)
    except BlockingIOError:
        return None


def write_from(sock, view):
    """Hand bytes to the socket. Returns how many it took, None for none. Raises OSError."""
    try:
        return sock.send(view)
    except BlockingIOError:
        return None


def own_ip():
    """This node's IPv4 address on the network that leads out, 4 bytes; zeros while it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a route and sends nothing
            return socket.inet_aton(probe.getsockname()[0])
        except OSError:
            return bytes(4)
