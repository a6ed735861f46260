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
_SPECIAL = b"\xc0\x00\x00\xc0\x00\x02\xc0\x58\x63\xc6\x33\x64\xcb\x00\x71"


def unwrap(ip):
    """An IPv4-mapped IPv6 address as its 4 bytes, every other address as it is: one address has one form."""
    if len(ip) == 16 and ip[10] == 0xFF and ip[:12] == _MAPPED:
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
        if a == 0 or a >= 224 or (a == 198 and b & 0xFE == 18):
            return _INVALID
        for i in range(0, len(_SPECIAL), 3):
            if a == _SPECIAL[i] and b == _SPECIAL[i + 1] and ip[2] == _SPECIAL[i + 2]:
                return _INVALID
        return _GLOBAL
    if a & 0xE0 == 0x20:
        return _INVALID if a == 0x20 and b == 1 and ip[2] == 0x0D and ip[3] == 0xB8 else _GLOBAL
    if a & 0xFE == 0xFC or (a == 0xFE and b & 0xC0 == 0x80):
        return _LAN
    for i in range(15):
        if ip[i]:
            return _INVALID
    return _LOOPBACK if ip[15] == 1 else _INVALID


def may_name(namer_scope, ip_scope):
    """Whether an address of `ip_scope` is credible from, or useful to, a peer at an address of `namer_scope`."""
    if ip_scope == _LOOPBACK:
        return namer_scope == _LOOPBACK
    if ip_scope == _LAN:
        return namer_scope == _LOOPBACK or namer_scope == _LAN
    return ip_scope == _GLOBAL


def is_open_port(port):
    """Whether a datagram may go to this port: the well-known ports belong to services that never asked for it."""
    return port > _LOW_PORTS


class Site:
    """The network that this node stands in: its own address and the length of its prefix in bits."""

    def __init__(self, ip, prefix=0):
        self.ip = unwrap(ip)
        self.prefix = prefix or (24 if len(self.ip) == 4 else 64)

    def is_onlink(self, ip):
        """Whether an unwrapped address is reached without a router. Loopback is."""
        own = self.ip
        kind = scope(ip)
        if kind != _LAN and kind != _GLOBAL:
            return kind == _LOOPBACK
        if len(ip) != len(own):
            return False
        whole = self.prefix >> 3
        for i in range(whole):
            if ip[i] != own[i]:
                return False
        rest = self.prefix & 7
        return not rest or (ip[whole] ^ own[whole]) >> (8 - rest) == 0

    def is_broadcast(self, ip):
        """Whether an IPv4 address is the first or the last one of this node's own network."""
        if len(ip) != 4 or self.prefix > 30 or not self.is_onlink(ip) or scope(ip) == _LOOPBACK:
            return False
        ones = zeros = True
        for bit in range(self.prefix, 32):
            if ip[bit >> 3] >> (7 - (bit & 7)) & 1:
                zeros = False
            else:
                ones = False
        return ones or zeros
