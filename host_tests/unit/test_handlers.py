"""What becomes of a request or a stream whose handler does not come to its end."""

import asyncio

from picoswarm.failures import StreamError
from serving import Serving, raised
from swarming import B

RUNTIMES = ("cpython", "small")


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
            assert isinstance(error, StreamError)
        await world.until(lambda: not a.services._streams and not b.services._streams)
        assert not b.rpc.served

    Serving().play(scenario)
