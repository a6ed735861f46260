"""What becomes of requests and streams when somebody gives up or goes (issue 4, 6 to 8)."""

import asyncio

from picoswarm.compat import sleep_ms
from picoswarm.failures import RequestError, StreamError
from serving import Serving, raised
from swarming import B

RUNTIMES = ("cpython", "small")

LOST = 20


async def _never(caller, payload):
    await sleep_ms(60_000)


def test_a_cancelled_request_gives_its_place_back_at_once():
    async def scenario(world, a, b):
        b.services.handle("never", _never)
        b.services.handle("now", lambda caller, payload: b"yes")
        tasks = []
        for _ in range(3):
            tasks.append(asyncio.create_task(a.services.request(B.id, "never", b"", 30_000)))
        await world.until(lambda: len(a.rpc.calls) == 3)
        for task in tasks:
            task.cancel()
        await world.until(lambda: not a.rpc.calls and not a.services._calls)
        assert await a.services.request(B.id, "now", b"", 5000) == b"yes"
        assert not a.rpc.calls

    Serving().play(scenario)


def test_what_a_lookup_raises_reaches_who_waits_for_the_session():
    async def scenario(world, a, b):
        async def fails(id32):
            raise ValueError("the table is on fire")

        async def finds(id32):
            pass

        a.lookup = fails
        error = await raised(a.services.request(bytes(31) + b"\7", "now", b"", 5000))
        assert isinstance(error, ValueError)
        a.lookup = finds
        error = await raised(a.services.request(bytes(31) + b"\7", "now", b"", 5000))
        assert isinstance(error, RequestError) and "known" in str(error)

    Serving().play(scenario)


async def _half(world, a, b):
    """A stream of which `b` has five bytes that nobody read; the stream there."""
    got = []

    async def keep(stream):
        got.append(stream)
        await sleep_ms(60_000)

    b.services.handle("/half/1", keep)
    stream = await a.services.open_stream(B.id, "/half/1", 5000)
    await stream.write(b"hello")
    await world.until(lambda: got and got[0]._session.mux.readable(got[0]._channel) == 5)
    return stream, got[0]


def test_bytes_of_an_ended_stream_can_be_read_after_its_session():
    async def scenario(world, a, b):
        stream, there = await _half(world, a, b)
        stream.close()
        await world.until(lambda: there._is_ended)
        there._session.close()
        await world.until(lambda: not b.member.swarm.peers)
        assert await there.read(2) == b"he" and await there.read() == b"llo"
        assert await there.read() == b"" and await there.read() == b""

    Serving().play(scenario)


def test_bytes_of_a_stream_that_was_cut_are_read_before_the_error():
    async def scenario(world, a, b):
        stream, there = await _half(world, a, b)
        there._session.close(LOST)
        await world.until(lambda: not b.member.swarm.peers and not a.member.swarm.peers)
        assert await there.read() == b"hello"
        error = await raised(there.read())
        assert isinstance(error, StreamError) and error.reason == LOST
        assert isinstance(await raised(there.write(b"x")), StreamError)
        assert isinstance(await raised(stream.read()), StreamError)

    Serving().play(scenario)


def test_bytes_of_a_stream_that_the_peer_reset_are_gone():
    async def scenario(world, a, b):
        stream, there = await _half(world, a, b)
        stream.reset()
        await world.until(lambda: there._reason >= 0)
        assert isinstance(await raised(there.read()), StreamError)

    Serving().play(scenario)
