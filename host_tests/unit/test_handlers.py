"""What becomes of a request or a stream whose handler does not come to its end."""

import asyncio

from picoswarm.compat import sleep_ms, ticks_add, ticks_ms
from picoswarm.failures import StreamError
from serving import Serving, raised
from swarming import B

RUNTIMES = ("cpython", "small")

UNSERVED, BROKEN = 25, 26


def test_a_handler_that_is_cancelled_costs_no_place():
    async def cancelled(*arguments):
        raise asyncio.CancelledError

    class Unspeakable(Exception):
        def __str__(self):
            raise ValueError

    def unspeakable(caller, payload):
        raise Unspeakable

    async def scenario(world, a, b):
        b.services.handle("cancelled", cancelled)
        b.services.handle("unspeakable", unspeakable)
        b.services.handle("/cancelled", cancelled)
        for _ in range(5):  # one more than are served at a time
            for method in ("cancelled", "unspeakable"):
                error = await raised(a.services.request(B.id, method, b"", 5000))
                assert type(error).__name__ == "HandlerFailed", error
        for _ in range(5):  # and than there may be streams
            error = await raised((await a.services.open_stream(B.id, "/cancelled", 5000)).read())
            assert isinstance(error, StreamError) and error.reason == BROKEN
        await world.until(lambda: not a.services._streams and not b.services._streams)
        assert not b.rpc.served

    Serving().play(scenario)


def test_a_stream_says_whether_nobody_serves_it_or_its_handler_failed():
    async def fails(stream):
        await stream.read(1)
        raise KeyError("no such pin")

    async def scenario(world, a, b):
        b.services.handle("/fails/1", fails)
        for name, reason in (("/none/1", UNSERVED), ("/fails/1", BROKEN)):
            stream = await a.services.open_stream(B.id, name, 5000)
            await stream.write(b"x")
            error = await raised(stream.read())
            assert isinstance(error, StreamError) and error.reason == reason, error
        assert b.services.faults == 1

    Serving().play(scenario)


def _hanging(ended):
    """A handler that never answers; what it was asked is in `ended` once it was ended."""

    async def hangs(caller, payload):
        try:
            await sleep_ms(600_000)
        finally:
            ended.append(payload)

    return hangs


def test_four_handlers_that_hang_do_not_keep_a_node_busy_for_good():
    ended = []

    async def later(b, ms):
        """What the node does once so much time has passed."""
        b.rpc.tick(ticks_add(ticks_ms(), ms))
        await sleep_ms(20)

    async def scenario(world, a, b):
        b.services.handle("hangs", _hanging(ended))
        b.services.handle("now", lambda caller, payload: b"yes")
        for _ in range(3):
            assert type(await raised(a.services.request(B.id, "hangs", b"late", 100))).__name__ == "TimedOut"
        task = asyncio.create_task(a.services.request(B.id, "hangs", b"cancelled", 30_000))
        await world.until(lambda: len(b.rpc.served) == 4)
        task.cancel()
        await world.until(lambda: not a.rpc.calls)
        assert type(await raised(a.services.request(B.id, "now", b"", 5000))).__name__ == "Busy"
        await later(b, 4000)
        assert not ended
        await later(b, 5000)
        assert ended == [b"late"] * 3 + [b"cancelled"] and not b.rpc.served and not b.services.faults
        assert await a.services.request(B.id, "now", b"", 5000) == b"yes"

    Serving().play(scenario)


def test_a_handler_that_hangs_ends_after_its_session():
    ended = []

    async def scenario(world, a, b):
        b.services.handle("hangs", _hanging(ended))
        asyncio.create_task(raised(a.services.request(B.id, "hangs", b"x", 30_000)))
        await world.until(lambda: b.rpc.served)
        b.rpc.served[0][0].close()
        await world.until(lambda: not b.member.swarm.peers)
        assert not ended
        b.rpc.tick(ticks_add(ticks_ms(), 5000))
        await sleep_ms(20)
        assert ended == [b"x"] and not b.rpc.served

    Serving().play(scenario)
