"""The UDP socket of a node (net.UdpPort): whatever the network does, a datagram is delivered, or lost and counted."""

from picoswarm.compat import MICROPYTHON
from picoswarm.net import UdpPort
from support import Skip, raises

_PEER = b"\x0a\x00\x00\x02"
_ENOMEM = 12
_ENETUNREACH = 101
_EHOSTUNREACH = 113
_EAGAIN = 11
_EBADF = 9
_ECONNRESET = 104


class FakeSocket:
    """Gives the datagrams of `inbox`, then raises `empty`; raises `refuse`, if set, when sending."""

    def __init__(self, inbox=(), empty=_EAGAIN, refuse=0):
        self.inbox = list(inbox)
        self.empty = empty
        self.refuse = refuse
        self.sent = []
        self.timeouts = []
        self.is_closed = False
        self.asked = 0

    def recvfrom(self, n):
        self.asked = n
        if not self.inbox:
            raise OSError(self.empty, "")
        return self.inbox.pop(0), ("10.0.0.2", 4321)

    def sendto(self, data, address):
        if self.refuse:
            raise OSError(self.refuse, "")
        self.sent.append(bytes(data))

    def settimeout(self, seconds):
        self.timeouts.append(seconds)

    def close(self):
        self.is_closed = True


def port_on(*sockets):
    """An open UdpPort that gets these sockets one after another; an integer among them is an errno of `open`."""
    waiting = list(sockets)

    def open_socket(ip, port):
        sock = waiting.pop(0)
        if isinstance(sock, int):
            raise OSError(sock, "")
        return sock

    port = UdpPort(b"\0\0\0\0", 20742, 512, open_socket)
    port.open()
    return port


def test_datagram_comes_with_its_source():
    port = port_on(FakeSocket([b"hello"]))
    buf = bytearray(512)
    assert port.receive(buf) == 5
    assert buf[:5] == b"hello" and port.from_ip == _PEER and port.from_port == 4321
    assert port.receive(buf) == 0 and not port.is_broken


def test_oversize_datagram_is_counted_and_the_next_one_delivered():
    sock = FakeSocket([b"x" * 513, b"", b"y" * 512])
    port = port_on(sock)
    buf = bytearray(512)
    assert port.receive(buf) == 512 and buf[0] == 0x79
    assert port.oversize == 1
    assert sock.asked == 600  # more than a datagram may have, or an oversize one would look like one of 512 bytes


def test_every_refused_send_is_a_lost_datagram():
    for errno in (_ENOMEM, _ENETUNREACH, _EHOSTUNREACH, _EAGAIN):
        port = port_on(FakeSocket(refuse=errno))
        assert not port.send(b"x", _PEER, 1234)
        assert port.unsent == 1 and not port.is_broken


def test_send_makes_the_socket_non_blocking_again():
    sock = FakeSocket()
    assert port_on(sock).send(b"x", _PEER, 1234)
    assert sock.timeouts == [0] and sock.sent == [b"x"]


def test_closed_port_of_a_peer_is_no_failure_of_our_socket():
    port = port_on(FakeSocket(empty=_ECONNRESET))
    assert port.receive(bytearray(512)) == 0 and not port.is_broken


def test_bad_socket_is_replaced():
    bad = FakeSocket(empty=_EBADF)
    port = port_on(bad, _ENOMEM, FakeSocket([b"back"]))
    buf = bytearray(512)
    assert port.receive(buf) == 0 and port.is_broken
    assert raises(OSError, port.open).errno == _ENOMEM
    assert bad.is_closed and port.is_broken
    assert not port.send(b"x", _PEER, 1234) and port.unsent == 1  # no socket at all: lost, like any other
    port.open()
    assert not port.is_broken and port.receive(buf) == 4


def test_ipv4_peer_of_an_ipv6_socket_is_named_in_mapped_form():
    if MICROPYTHON:
        raise Skip("sockets of a board are IPv4")
    named = []
    sock = FakeSocket()
    sock.sendto = lambda data, address: named.append(address)
    port = UdpPort(bytes(16), 20742, 512, lambda ip, port: sock)
    port.open()
    assert port.send(b"x", _PEER, 1234)
    assert named == [("::ffff:10.0.0.2", 1234)]
