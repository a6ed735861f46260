"""The UDP socket of a node (net.Driver): whatever the network does, a datagram is delivered, or lost and counted."""

from driving import PEER, PEER_PORT, READ, FakeSocket, drive
from picoswarm.compat import DATAGRAMS, MICROPYTHON, open_udp, sockaddr, ticks_ms
from picoswarm.net import Driver
from support import Skip, raises

_ENOMEM = 12
_ENETUNREACH = 101
_EHOSTUNREACH = 113
_EAGAIN = 11
_EBADF = 9
_ECONNRESET = 104


def test_datagram_comes_with_its_source():
    async def scenario(driver, engine):
        driver.turn(READ)
        assert engine.received == [b"hello"] and engine.source == (PEER, PEER_PORT)
        driver.turn(READ)
        assert len(engine.received) == 1 and driver.reopened == 0

    drive(scenario, FakeSocket([b"hello"]))


def test_oversize_datagram_is_counted_and_the_next_one_delivered():
    sock = FakeSocket([b"x" * 513, b"", b"y" * 512])

    async def scenario(driver, engine):
        for _ in range(3):
            driver.turn(READ)
        assert engine.received == [b"y" * 512] and driver.oversize == 1
        assert sock.asked > 512  # or an oversize one would look like one of 512 bytes

    drive(scenario, sock)


def test_every_refused_send_is_a_lost_datagram():
    for errno in (_ENOMEM, _ENETUNREACH, _EHOSTUNREACH, _EAGAIN):
        sock = FakeSocket(refuse=errno)

        async def scenario(driver, engine):
            engine.outbox = [b"a", b"b"]
            driver.turn()
            assert driver.unsent == 2 and driver.faults == 0
            sock.refuse = 0
            engine.outbox = [b"c"]
            driver.turn()
            driver._check(ticks_ms())
            assert sock.sent == [b"c"] and driver.reopened == 0

        drive(scenario, sock)


def test_send_makes_the_socket_non_blocking_again():
    sock = FakeSocket()

    async def scenario(driver, engine):
        engine.outbox = [b"x"]
        driver.turn()
        assert sock.timeouts == [0] and sock.sent == [b"x"]

    drive(scenario, sock)


def test_closed_port_of_a_peer_is_no_failure_of_our_socket():
    async def scenario(driver, engine):
        driver.turn(READ)
        driver._check(ticks_ms())
        assert driver.reopened == 0

    drive(scenario, FakeSocket(empty=_ECONNRESET))


def test_bad_socket_is_replaced_when_the_network_comes_back():
    bad = FakeSocket(empty=_EBADF)
    good = FakeSocket([b"back"])

    async def scenario(driver, engine):
        driver.turn(READ)
        driver._check(ticks_ms())
        assert bad.is_closed and driver.reopened == 1
        engine.outbox = [b"lost"]
        driver.turn()
        assert driver.unsent == 1 and driver.faults == 0  # no socket at all: lost, like any other
        driver._check(ticks_ms())
        engine.outbox = [b"again"]
        driver.turn(READ)
        assert driver.reopened == 2 and engine.received == [b"back"] and good.sent == [b"again"]
        driver._check(ticks_ms())
        assert driver.reopened == 2

    drive(scenario, bad, _ENOMEM, good)


def test_new_address_gets_a_new_socket():
    first, second = FakeSocket(), FakeSocket()
    moved = [True]

    async def scenario(driver, engine):
        driver._check(ticks_ms())
        driver._check(ticks_ms())
        engine.outbox = [b"x"]
        driver.turn()
        assert driver.reopened == 1 and first.is_closed and second.sent == [b"x"]

    drive(scenario, first, second, check=lambda: bool(moved) and moved.pop())


def test_deaf_socket_is_replaced_after_a_minute():
    async def scenario(driver, engine):
        for check in range(6):
            assert driver.reopened == 0
            engine.outbox = [b"anybody?"]
            driver.turn()
            driver._check(ticks_ms())
        assert driver.reopened == 1

    drive(scenario, FakeSocket(), FakeSocket())


def test_socket_that_hears_is_kept():
    sock = FakeSocket()

    async def scenario(driver, engine):
        for check in range(20):
            if check % 5 == 4:
                sock.inbox = [b"here"] * DATAGRAMS
            engine.outbox = [b"anybody?"]
            driver.turn(READ)
            driver._check(ticks_ms())
        assert driver.reopened == 0

    drive(scenario, sock)


def test_silent_node_keeps_its_socket():
    async def scenario(driver, engine):
        for _ in range(20):
            driver._check(ticks_ms())
        assert driver.reopened == 0

    drive(scenario, FakeSocket())


def test_socket_that_cannot_be_had_at_the_start_is_an_error():
    def open_socket(ip, port):
        raise OSError(_ENOMEM, "")

    assert raises(OSError, Driver(b"\0\0\0\0", 20742, 512, open_socket).open).errno == _ENOMEM


def test_real_sockets_carry_a_datagram_and_its_source():
    loopback = b"\x7f\0\0\x01"
    here = 20000 + ticks_ms() % 20000
    a, b = open_udp(loopback, here), open_udp(loopback, here + 1)
    got = []

    class Listener:
        def receive(self, buf, n, ip, port, now):
            got.append((bytes(buf[:n]), bytes(ip), port))

    driver = Driver(loopback, here + 1, 512, lambda ip, port: b)
    driver.open()
    driver.engine = Listener()
    a.sendto(b"over the wire", sockaddr(a, loopback, here + 1))
    driver._receive(0)
    driver._receive(0)
    a.close()
    b.close()
    assert got == [(b"over the wire", loopback, here)]


def test_ipv4_peer_of_an_ipv6_socket_has_one_form_here_and_another_there():
    if MICROPYTHON:
        raise Skip("sockets of a board are IPv4")
    from picoswarm.compat import from_sockaddr

    sock = open_udp(bytes(16), 0)
    try:
        assert sockaddr(sock, PEER, 1234) == ("::ffff:10.0.0.2", 1234)
    finally:
        sock.close()
    assert from_sockaddr(("::ffff:10.0.0.2", 1234, 0, 0)) == (PEER, 1234)
    assert from_sockaddr(("fe80::1%eth0", 1234, 0, 2)) == (b"\xfe\x80" + bytes(13) + b"\x01", 1234)
