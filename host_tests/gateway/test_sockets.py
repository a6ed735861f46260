"""Waiting for sockets on CPython."""

from __future__ import annotations

import asyncio
import socket

from picoswarm.compat import forget_socket, readable


def test_a_wait_for_a_closed_socket_ends_no_wait_for_a_new_one_with_its_number():
    async def story():
        old, far = socket.socketpair()
        number = old.fileno()
        waiting = asyncio.create_task(readable(old))
        await asyncio.sleep(0)
        forget_socket(old)
        waiting.cancel()
        new, peer = socket.socketpair()  # takes the number that is free
        assert new.fileno() == number
        asyncio.get_running_loop().call_later(0.05, peer.send, b"x")
        async with asyncio.timeout(10):
            await readable(new)
        assert new.recv(1) == b"x"
        for each in (far, peer):
            each.close()
        forget_socket(new)

    asyncio.run(story())
