"""What strangers do to a gateway, in a process of its own, and what its members have of it meanwhile.

    python -m picoswarm_tools.flood connections PORT SECONDS COUNT   so many at a time that say nothing
    python -m picoswarm_tools.flood drips PORT SECONDS COUNT         so many at a time that say a byte now and then
    python -m picoswarm_tools.flood datagrams PORT SECONDS RATE      so many a second, of the right size and first byte

Whoever is thrown out comes again at once. In the end it says how many connections it opened a second, or datagrams it sent.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import random
import socket
import sys
import time
from collections.abc import Iterator

from picoswarm.membership import Membership

from .crowd import PING, TURN_S, Crowd, identities, identity

HOST = "127.0.0.1"
AGAIN_S = 0.05  # after a refusal
DRIP_S = 0.1
ROUND_S = 0.005
DATAGRAM = 60  # bytes
FIRST = 0x10  # version 1, epoch 0


class _Span:
    """So many seconds from the first connection on: a busy machine takes its time until then."""

    def __init__(self, seconds: float) -> None:
        self.begun = asyncio.Event()
        self._seconds = seconds
        self._end = math.inf

    def begin(self) -> None:
        if not self.begun.is_set():
            self._end = time.monotonic() + self._seconds
            self.begun.set()

    def is_over(self) -> bool:
        return time.monotonic() >= self._end


async def _connect(port: int, span: _Span, drips: bool, opened: Iterator[int]) -> None:
    """One connection after another; each moves `opened` on."""
    while not span.is_over():
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(AGAIN_S)
            continue
        next(opened)
        span.begin()
        try:
            byte = bytes((FIRST,))
            while not span.is_over():
                if drips:
                    writer.write(byte)
                    byte = b"\0"
                try:
                    if not await asyncio.wait_for(reader.read(1), DRIP_S):
                        break
                except TimeoutError:
                    pass
        except OSError:
            pass
        writer.close()
        await asyncio.sleep(AGAIN_S)


async def connections(port: int, seconds: float, count: int, drips: bool) -> int:
    """Keep so many open. Returns how many were opened."""
    span = _Span(seconds)
    opened = itertools.count()
    tasks = [asyncio.ensure_future(_connect(port, span, drips, opened)) for _ in range(count)]
    await span.begun.wait()
    await asyncio.wait(tasks, timeout=seconds)  # nobody may take the last ones
    return next(opened)


def datagrams(port: int, seconds: float, rate: int) -> int:
    """Send so many a second. Returns how many were sent."""
    texts = [bytes((FIRST,)) + random.randbytes(DATAGRAM - 1) for _ in range(1000)]
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        started = time.monotonic()
        sent = 0
        while (spent := time.monotonic() - started) < seconds:
            for _ in range(int(spent * rate) - sent):
                sock.sendto(texts[sent % len(texts)], (HOST, port))
                sent += 1
            time.sleep(ROUND_S)
    return sent


class Askers:
    """Members that ask over UDP."""

    def __init__(self, membership: Membership, node_id: bytes, port: int, count: int = 20) -> None:
        keys = [identity(private, y) for private, y in itertools.islice(identities(), count)]
        self._crowd = Crowd(membership, keys, node_id, port)

    async def __aenter__(self) -> Askers:
        self._crowd.__enter__()
        await self._crowd.fill()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._crowd.__exit__()

    async def loss(self, seconds: float) -> float:
        """Ask for a time; the share of questions that stayed without an answer."""
        crowd = self._crowd
        members = crowd.members
        before, asked = crowd.answered, 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for member in members:
                member.ask(PING)
                asked += 1
                await asyncio.sleep(TURN_S / len(members))
        await asyncio.sleep(TURN_S)
        return max(0.0, 1 - (crowd.answered - before) / asked)


def main(arguments: list[str]) -> None:
    verb, port, seconds, count = arguments
    os.nice(10)  # strangers have machines of their own: whom they flood comes first
    if verb == "datagrams":
        done = datagrams(int(port), float(seconds), int(count))
    else:
        done = asyncio.run(connections(int(port), float(seconds), int(count), verb == "drips"))
    print(done / float(seconds), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
