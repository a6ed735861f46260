"""IP addresses as bytes (4 or 16): what network one belongs to, and who may name it to whom (rows D17, D18). Pure.

A node that names an address makes others send to it. So an address travels only towards places from which it means the
same thing: loopback addresses to loopback, addresses of a LAN to a LAN, special ones nowhere.
"""

from .compat import const

_INVALID = const(0)  # unspecified, multicast, broadcast, documentation, reserved
_LOOPBACK = const(1)
_LAN = const(2)  # private and link-local networks
_GLOBAL = const(3)

_LOW_PORTS = const(1024)
_MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"  # ::ffff:0:0/96

# Networks of 24 bits that nobody is reached at: protocol assignments, documentation, 6to4 relays.
_SPECIAL = (b"\xc0\x00\x00", b"\xc0\x00\x02", b"\xc0\x58\x63", b"\xc6\x33\x64", b"\xcb\x00\x71")


def unwrap(ip):
    """An IPv4-mapped IPv6 address as its 4 bytes, every other address as it is: one address has one form."""
    if len(ip) == 16 and ip[:12] == _MAPPED:
        return bytes(ip[12:])
    return ip


def scope(ip):
    """0 invalid, 1 loopback, 2 LAN or 3 global: what an unwrapped address is."""
    a = ip[0]
    b = ip[1]
    if len(ip) == 4:
        if a == 127:
            return _LOOPBACK
        if a == 10 or (a == 172 and b & 0xF0 == 16) or (a == 192 and b == 168) or (a == 169 and b == 254):
            return _LAN
        if a == 0 or a >= 224 or (a == 198 and b & 0xFE == 18) or (a >= 192 and bytes(ip[:3]) in _SPECIAL):
            return _INVALID
        return _GLOBAL
    if a & 0xE0 == 0x20:
        return _INVALID if ip[:4] == b"\x20\x01\x0d\xb8" else _GLOBAL
    if a & 0xFE == 0xFC or (a == 0xFE and b & 0xC0 == 0x80):
        return _LAN
    return _LOOPBACK if ip[:15] == bytes(15) and ip[15] == 1 else _INVALID


def may_name(namer_scope, ip_scope):
    """Whether an address of `ip_scope` is credible from, or useful to, a peer at an address of `namer_scope`."""
    if ip_scope == _LAN:
        return namer_scope == _LOOPBACK or namer_scope == _LAN
    return ip_scope == _GLOBAL or ip_scope == namer_scope == _LOOPBACK


def group(ip):
    """The part of an unwrapped address that one owner is likely to hold whole: /16 of IPv4 and /32 of IPv6 beyond the LAN,
    one address in it (row B13)."""
    return bytes(ip if scope(ip) != _GLOBAL else ip[: 2 if len(ip) == 4 else 4])


def is_open_port(port):
    """Whether a datagram may go to this port: the well-known ports belong to services that never asked for it."""
    return port > _LOW_PORTS


class Site:
    """The network that this node stands in: its own address and the length of its prefix in bits."""

    def __init__(self, ip, prefix=0):
        self.ip = ip = unwrap(ip)
        self._host_bits = 8 * len(ip) - (prefix or (24 if len(ip) == 4 else 64))

    def is_onlink(self, ip):
        """Whether an unwrapped address is reached without a router. Loopback is."""
        kind = scope(ip)
        if kind != _LAN and kind != _GLOBAL:
            return kind == _LOOPBACK
        n = self._host_bits
        return len(ip) == len(self.ip) and int.from_bytes(ip, "big") >> n == int.from_bytes(self.ip, "big") >> n

    def is_broadcast(self, ip):
        """Whether an IPv4 address is the first or the last one of this node's own network."""
        last = (1 << self._host_bits) - 1
        return len(ip) == 4 and last > 1 and self.is_onlink(ip) and int.from_bytes(ip, "big") & last in (0, last)
