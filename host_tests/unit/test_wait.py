"""How a task waits for a socket on MicroPython: through asyncio's own queue (compat.py)."""

import asyncio

from picoswarm.compat import open_udp, readable

RUNTIMES = ("micropython",)

LOOPBACK = b"\x7f\0\0\1"


class FullPoller:
    """The poller of asyncio's queue, in a heap that has no room for one socket more."""

    def register(self, *socket):
        raise MemoryError


def test_a_socket_that_found_no_memory_to_be_waited_for_is_waited_for_later():
    async def scenario():
        sock = open_udp(LOOPBACK, 20742)
        queue = asyncio.core._io_queue
        poller = queue.poller
        queue.poller = FullPoller()
        try:
            await readable(sock)
            assert False
        except MemoryError:
            pass
        queue.poller = poller
        try:
            await asyncio.wait_for(readable_once(sock), 0.05)
            assert False
        except asyncio.TimeoutError:
            pass
        sock.close()

    async def readable_once(sock):
        await readable(sock)

    asyncio.run(scenario())
