"""Boards as libp2p peers: each has a Host of its own here, under its own peer id, as long as it renews it.

A board lends its identity: it signs a Noise static key that this gateway made for it. So peers that dial the board's address
prove whom they speak to, and the gateway passes their streams on to the board by the name of the protocol.
"""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256
from typing import Any

from picoswarm.crypto import X25519, hkdf, run
from picoswarm.failures import RequestError, StreamError
from picoswarm.identity import Kept
from picoswarm.p2pstreams import P2pStream
from picoswarm.peerkey import encode_key

from .host import Host
from .keys import ED25519, verify
from .table import port_range

LEASE_S = 900.0
SIGNED = b"noise-libp2p-static-key:"
CHUNK = 1024
PROTOCOLS = 16  # of one board
BOARDS = 10_000


async def splice(one: Any, other: Any) -> None:
    """Pass bytes on between two streams, both ways, until both sides have ended or one gave it up."""

    async def pass_on(source: Any, sink: Any) -> None:
        while data := await source.read(CHUNK):
            await sink.write(data)
        sink.close()

    back = asyncio.create_task(pass_on(other, one))
    try:
        await pass_on(one, other)
        await back
    except StreamError:
        pass
    finally:
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)
        one.reset()  # nothing where it has ended
        other.reset()


class Boards:
    """See the module. `open_stream(board, name)` opens a stream of the mesh; `secret`: 32 bytes of which the keys are
    made, the same over restarts; `where`: as `boards` in the table."""

    def __init__(self, open_stream: Any, secret: bytes, where: str) -> None:
        self.hosts: dict[bytes, Host] = {}
        self._open_stream = open_stream
        self._secret = secret
        self._range = port_range(where)
        self._ends: dict[bytes, float] = {}

    def _private(self, board: bytes) -> bytes:
        return hkdf(self._secret, b"picoswarm libp2p board" + board)

    def static_public(self, board: bytes) -> bytes:
        """The key that a board signs."""
        return run(X25519(self._private(board)))

    async def take(self, board: bytes, signature: bytes, names: list[str]) -> list[str] | None:
        """Let a board be reached, or renew that: its addresses; None for a signature that is not good, or no place."""
        public = self.static_public(board)
        if self._range is None or not verify(ED25519, board, signature, SIGNED + public):
            return None
        host = self.hosts.get(board)
        if host is None:
            if len(self.hosts) >= BOARDS:
                return None
            host = await self._begin(board, public, signature)
            if host is None:
                return None
        self._ends[board] = time.monotonic() + LEASE_S
        before = set(host.handlers)
        for name in before - {name.encode() for name in names}:
            host.handle(name.decode(), None)
        for name in names[:PROTOCOLS]:
            host.handle(name, self._bring(board))
        if set(host.handlers) != before:
            await host.push()
        return host.address_texts()

    async def _begin(self, board: bytes, public: bytes, signature: bytes) -> Host | None:
        keys = Kept()
        keys.id = board
        keys.static_private, keys.static_public = self._private(board), public
        keys.public_key, keys.signature = encode_key(board), signature
        host = Host(keys, None, low=16, high=24, streams=32)
        host.keys = keys
        host.agent = "picoswarm-board"
        ip, first, last = self._range
        raw = bytes(map(int, ip.split(".")))
        count = last - first + 1
        start = int.from_bytes(sha256(board).digest()[:4], "big") % count
        for i in range(count):  # the same port each time, unless another board has it
            try:
                await host.listen(first + (start + i) % count if first else 0, raw)
            except OSError:
                continue
            self.hosts[board] = host
            return host
        return None

    def _bring(self, board: bytes) -> Any:
        async def handle(stream: P2pStream) -> None:
            try:
                other = await self._open_stream(board, stream.name)
            except RequestError:
                return stream.reset()
            await splice(stream, other)

        return handle

    async def expire(self) -> None:
        """End what was not renewed in time."""
        for board in [board for board, end in self._ends.items() if end <= time.monotonic()]:
            await self.end(board)

    async def end(self, board: bytes) -> None:
        """A board is no peer any more."""
        self._ends.pop(board, None)
        host = self.hosts.pop(board, None)
        if host:
            await host.stop()
