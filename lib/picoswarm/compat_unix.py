"""The half of compat.py that the unix port of MicroPython has for itself: socket addresses as C structures, IPv4 only."""

import socket

_raw = bytearray(socket.getaddrinfo("0.0.0.0", 0)[0][-1])  # the address that `sockaddr` gave last


def sockaddr(sock, ip, port):
    """What `sock.sendto` takes for `ip` and `port`, until the next call."""
    _raw[2] = port >> 8
    _raw[3] = port & 0xFF
    _raw[4:8] = ip
    return _raw


def from_sockaddr(address):
    """(ip, port) of what `recvfrom` gave."""
    return address[4:8], address[2] << 8 | address[3]


def own_ip():
    """This machine's first IPv4 address beyond loopback, 4 bytes; zeros while it has none."""
    found = "0.0.0.0"
    try:
        # There is no getsockname here. This table names each address a line above "host LOCAL".
        with open("/proc/net/fib_trie") as table:
            for line in table:
                if "|--" in line:
                    named = line.split()[-1]
                elif "host LOCAL" in line and not named.startswith("127."):
                    found = named
    except OSError:
        pass
    return bytes(map(int, found.split(".")))
