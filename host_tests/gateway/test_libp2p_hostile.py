"""The gateway's libp2p host under many streams, and under peers that break every rule they can."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import resource
import socket

import pytest
from picoswarm.compat import ticks_ms
from picoswarm.failures import StreamError
from picoswarm.yamux import PROTOCOL, SLOW, WINDOW
from picoswarm_tools.libp2p.pairs import Ours
from small_mesh import until
from two_hosts import connected, run

DATA, UPDATE, PING, AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def test_a_thousand_streams_one_after_the_other_leave_nothing_behind():
    async def story(one, other):
        here, there = await connected(one, other)
        for _ in range(1000):
            async with await here.open_stream("/echo/1.0.0") as stream:
                await stream.write(b"x")
                stream.close()
                assert await stream.read_exactly(1) == b"x" and await stream.read() == b""
        await until(lambda: len(there.link.streams) <= 2 and len(here.link.streams) <= 2)  # those of pubsub
        assert here.link.held == there.link.held == 0 and here.is_open

    run(story)


def test_sixty_four_streams_at_once_lose_no_byte():
    async def story(one, other):
        here, _ = await connected(one, other)
        draw = random.Random(8)

        async def one_echo() -> None:
            data = draw.randbytes(draw.choice((1, 100, 5000, 70_000, 300_000)))
            stream = await here.open_stream("/echo/1.0.0")
            back = hashlib.sha256()

            async def write() -> None:
                for at in range(0, len(data), 9999):
                    await stream.write(data[at : at + 9999])
                stream.close()

            writing = asyncio.create_task(write())
            while part := await stream.read(65536):
                back.update(part)
            await writing
            assert back.digest() == hashlib.sha256(data).digest()

        await asyncio.gather(*(one_echo() for _ in range(64)))

    run(story)


def test_a_peer_that_opens_ten_thousand_streams_is_sent_away():
    async def story(one, other):
        other.host.streams_most = 100
        here, there = await connected(one, other)
        link = here.link
        for i in range(10_000):
            link.emit(UPDATE, SYN, 100_001 + 2 * i, 0)
            if i % 500 == 0:
                here.turn()
                await asyncio.sleep(0)
        here.turn()
        await until(lambda: not there.is_open)
        assert there.link.reason == PROTOCOL and not there.link.streams
        await until(lambda: not here.is_open)  # its socket may go before it reads why
        assert link.theirs in (PROTOCOL, None)

    run(story)


def test_a_peer_that_ignores_the_window_is_sent_away():
    async def story(one, other):
        async def deaf(stream):
            await asyncio.sleep(3600)

        other.host.handle("/deaf/1.0.0", deaf)
        here, there = await connected(one, other)
        stream = await here.open_stream("/deaf/1.0.0")
        for _ in range(WINDOW // 16384 + 1):
            here.link.emit(DATA, 0, stream._stream.number, 16384, bytes(16384))
            here.turn()
            await asyncio.sleep(0.001)
        await until(lambda: not there.is_open)
        assert there.link.reason == PROTOCOL and there.link.held == 0

    run(story)


def test_a_peer_that_never_reads_holds_a_bounded_memory_and_is_given_up():
    async def story(one, other):
        here, there = await connected(one, other)
        await until(lambda: one.pubsub.router.peers and other.pubsub.router.peers)
        here.reader.cancel()  # it reads nothing any more, and goes on asking
        for i in range(100_000):
            here.link.emit(PING, SYN, 0, i)
            here.link.queued = 0
            if i % 100 == 0:
                here.turn()
                await asyncio.sleep(0)
            if there.link.is_full():
                break
        most = 2 * there.link.queue_most + 65536
        assert there.link.queued < most and sum(map(len, there.link.out)) < most
        there.link.tick(ticks_ms())
        there.link.queued = there.link.queued or 1  # however much the system's buffers took
        there.link.tick(ticks_ms() + 31_000)
        assert there.link.reason == SLOW and not there.link.streams

    run(story)


def test_a_write_that_waits_for_a_slow_peer_goes_on_when_the_peer_reads():
    async def read_all(stream):
        while await stream.read():
            pass

    async def story(one, other):
        other.host.handle("/sink/1.0.0", read_all)
        here, there = await connected(one, other)
        here.link.queue_most, here.link.frame = 543, 512  # one frame and the rest of another fill it, one frame does not
        here.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        there.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream = await here.open_stream("/sink/1.0.0")
        there.reader.cancel()
        writing = asyncio.create_task(stream.write(bytes(100_000)))  # less than the peer would tell of
        await until(lambda: here.rest is not None and not here.link.can_write())
        there.start()
        async with asyncio.timeout(30):
            await writing

    run(story)


@pytest.mark.parametrize("step", range(5))
def test_garbage_at_each_step_of_the_set_up_ends_it(step):
    """Good bytes up to a step, then bad ones: the socket is closed, soon, and nothing stays."""

    async def story(one, other):
        from picoswarm.p2psetup import P2pSetup

        await other.host._prepare()
        setup = P2pSetup(other.host.keys, os.urandom, True)
        sock = socket.create_connection(("127.0.0.1", one.host.port))
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        for turn in range(3):
            while setup.work():
                pass
            out, setup.out = bytes(setup.out), b""
            if turn == step or (turn == 2 and step > 2):
                out = (out if step > 2 else b"") + os.urandom(300) + b"\xff" * 60_000 * (step == 4)
            await loop.sock_sendall(sock, out)
            if turn >= step or turn == 2:
                break
            data = await loop.sock_recv(sock, 4096)
            setup.buf[setup.fill : setup.fill + len(data)] = data
            setup.receive(len(data))
        sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(30):
            while True:
                try:
                    if not await loop.sock_recv(sock, 65536):
                        break
                except ConnectionError:
                    break
        await until(lambda: one.host._pending == 0 and not one.host.connections)
        sock.close()

    run(story)


def test_garbage_inside_records_ends_the_connection_with_a_protocol_error():
    async def story(one, other):
        here, there = await connected(one, other)
        here.link.out.append(here.link.pack(bytearray(b"\0\0" + b"garbage here" * 3 + bytes(16)), 38))
        here.turn()
        await until(lambda: not there.is_open)
        assert there.link.reason == PROTOCOL and not other.host.connections

    run(story)


def test_hostile_connections_leave_no_memory_behind():
    async def story(one, other):
        async def round_of(count: int) -> None:
            for _ in range(count):
                here, there = await connected(one, other)
                here.link.emit(UPDATE, SYN, 2, 0)  # the wrong parity
                here.turn()
                await until(lambda there=there: not there.is_open)
                here.close()
                await until(lambda: not one.host.connections and not other.host.connections)

        await round_of(50)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tasks = len(asyncio.all_tasks())
        await round_of(150)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8192  # KB
        assert len(asyncio.all_tasks()) <= tasks + 8

    run(story)


def test_a_dial_to_another_peer_or_to_oneself_fails():
    async def story(one, other):
        address = other.host.address_texts()[0].rpartition("/")[0]
        with pytest.raises(StreamError, match="own peer id"):
            await one.host.dial(one.host.address_texts()[0])
        third = Ours()
        with pytest.raises(StreamError, match="wrong peer"):
            await one.host.dial(f"{address}/{third.host.peer_id}")
        assert not one.host.connections

    run(story)
