"""The UDP socket of a node (net.Driver): whatever the network does, a datagram is delivered, or lost and counted."""

import asyncio

from driving import PEER, PEER_PORT, FakeEngine, FakeSocket, drive, settle
from picoswarm.compat import MICROPYTHON, from_sockaddr, open_udp, sleep_ms, sockaddr, ticks_ms
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
        assert engine.received == [b"hello"] and engine.source == (PEER, PEER_PORT)
        assert driver.received == 1 and driver.oversize == 0

    drive(scenario, FakeSocket([b"hello"]))


def test_oversize_datagram_is_counted_and_the_next_one_delivered():
    sock = FakeSocket([b"x" * 513, b"", b"y" * 512])

    async def scenario(driver, engine):
        assert engine.received == [b"y" * 512] and driver.oversize == 1
        assert sock.asked > 512  # or an oversize one would look like one of 512 bytes

    drive(scenario, sock)


def test_every_refused_send_is_a_lost_datagram():
    for errno in (_ENOMEM, _ENETUNREACH, _EHOSTUNREACH, _EAGAIN):
        sock = FakeSocket(refuse=errno)

        async def scenario(driver, engine):
            engine.outbox = [b"a", b"b"]
            driver.turn()
            await settle()
            assert driver.unsent == 2 and driver.faults == 0
            sock.refuse = 0
            engine.outbox = [b"c"]
            driver.turn()
            await settle()
            driver._check(ticks_ms())
            assert sock.sent == [b"c"] and driver.reopened == 0

        drive(scenario, sock)


def test_send_makes_the_socket_non_blocking_again():
    sock = FakeSocket()

    async def scenario(driver, engine):
        engine.outbox = [b"x"]
        driver.turn()
        await settle()
        assert sock.timeouts == [0] and sock.sent == [b"x"]

    drive(scenario, sock)


def test_closed_port_of_a_peer_is_no_failure_of_our_socket():
    sock = FakeSocket(empty=_ECONNRESET)

    async def scenario(driver, engine):
        driver._check(ticks_ms())
        sock.inbox, sock.empty = [b"still here"], _EAGAIN
        await settle()
        assert driver.reopened == 0 and engine.received == [b"still here"]

    drive(scenario, sock)


def test_bad_socket_is_replaced_when_the_network_comes_back():
    bad = FakeSocket(empty=_EBADF)
    good = FakeSocket([b"back"])

    async def scenario(driver, engine):
        driver._check(ticks_ms())
        assert bad.is_closed and driver.reopened == 1
        engine.outbox = [b"lost"]
        driver.turn()
        await settle()
        assert driver.unsent == 1 and driver.faults == 0  # no socket at all: lost, like any other
        driver._check(ticks_ms())
        engine.outbox = [b"again"]
        driver.turn()
        await settle()
        assert driver.reopened == 2 and engine.received == [b"back"] and good.sent == [b"again"]
        driver._check(ticks_ms())
        assert driver.reopened == 2

    drive(scenario, bad, _ENOMEM, good)


def test_new_address_gets_a_new_socket_and_a_reader_of_it():
    first, second = FakeSocket(), FakeSocket()
    moved = [True]

    async def scenario(driver, engine):
        driver._check(ticks_ms())
        driver._check(ticks_ms())
        engine.outbox = [b"x"]
        driver.turn()
        second.inbox = [b"y"]
        await settle()
        assert driver.reopened == 1 and first.is_closed and second.sent == [b"x"] and engine.received == [b"y"]

    drive(scenario, first, second, check=lambda: bool(moved) and moved.pop())


def test_deaf_socket_is_replaced_after_a_minute():
    async def scenario(driver, engine):
        for check in range(6):
            assert driver.reopened == 0
            engine.outbox = [b"anybody?"]
            driver.turn()
            await settle()
            driver._check(ticks_ms())
        assert driver.reopened == 1

    drive(scenario, FakeSocket(), FakeSocket())


def test_socket_that_hears_is_kept():
    sock = FakeSocket()

    async def scenario(driver, engine):
        for check in range(20):
            if check % 5 == 4:
                sock.inbox = [b"here"]
            engine.outbox = [b"anybody?"]
            driver.turn()
            await settle()
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
    a = open_udp(loopback, here)
    engine = FakeEngine()
    engine.outbox = [b"first"]
    engine.to_ip, engine.to_port = loopback, here

    async def main():
        driver = Driver(loopback, here + 1, 512)
        driver.open()
        driver.start(engine, print, lambda: False)
        for n in (1, 2):  # the reader goes on
            a.sendto(b"over the wire", sockaddr(a, loopback, here + 1))
            while len(engine.received) < n:
                await sleep_ms(1)
        driver.stop()
        await sleep_ms(0)
        return driver.fault

    engine.receive = lambda buf, n, ip, port, now: engine.received.append((bytes(buf[:n]), bytes(ip), port))
    try:
        assert asyncio.run(main()) is None
        data, address = a.recvfrom(100)
    finally:
        a.close()
    assert engine.received == [(b"over the wire", loopback, here)] * 2
    assert data == b"first" and from_sockaddr(address) == (loopback, here + 1)


def test_ipv4_peer_of_an_ipv6_socket_has_one_form_here_and_another_there():
    if MICROPYTHON:
        raise Skip("sockets of a board are IPv4")
    sock = open_udp(bytes(16), 0)
    try:
        assert sockaddr(sock, PEER, 1234) == ("::ffff:10.0.0.2", 1234)
    finally:
        sock.close()
    assert from_sockaddr(("::ffff:10.0.0.2", 1234, 0, 0)) == (PEER, 1234)
    assert from_sockaddr(("fe80::1%eth0", 1234, 0, 2)) == (b"\xfe\x80" + bytes(13) + b"\x01", 1234)
