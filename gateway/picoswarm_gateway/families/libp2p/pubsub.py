"""Pubsub on a Host: brings the router's Rpcs to peers and theirs to it, over one stream each way.

Either of the two may be there first, and may be reset and come again. A peer opens its own once identify told it that we
speak pubsub. go-libp2p asks for that once and waits 5 s: a peer that stays silent is told again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from picoswarm.failures import StreamError
from picoswarm.p2pstreams import Connection, P2pStream

from .gossip import HEARTBEAT_S, Router
from .host import Host
from .messages import Frames, Message, Rpc, decode_rpc, signed

MESH_NAMES = ["/meshsub/1.1.0", "/meshsub/1.0.0"]
FLOOD_NAMES = ["/floodsub/1.0.0"]
QUEUE, QUEUE_MOST = 512, 4 << 20  # Rpcs that wait for one peer, and their bytes: more are lost
CHUNK = 65_536
AGAIN_S = 1.0  # until a stream that was refused or reset is opened again; then twice as long each time
SILENT_S = 6.0  # until a peer that opens no stream is told who we are; then twice as long each time
MOST_S = 60.0  # of both


class PubSub:
    """See the module. `on_message` gets each message of a topic that is heard; `seed`: of the host's key, to sign with."""

    def __init__(self, host: Host, seed: bytes, on_message: Callable[[Message], None], is_gossip: bool = True) -> None:
        self._host = host
        self._seed = seed
        self._names = MESH_NAMES + FLOOD_NAMES if is_gossip else FLOOD_NAMES
        self.router = Router(host.id, self._send, on_message)
        self._queues: dict[bytes, asyncio.Queue[bytes]] = {}
        self._tasks: dict[bytes, asyncio.Task] = {}
        self._inbound: dict[bytes, P2pStream] = {}  # by which each peer speaks
        self._ticker: asyncio.Task | None = None
        for name in self._names:
            host.handle(name, self._hear)

    def start(self) -> None:
        """Begin."""
        self._host.on_connected.append(self._connected)
        self._host.on_lost.append(self._lost)
        self._ticker = asyncio.create_task(self._tick())
        for connection in list(self._host.connections):
            self._connected(connection)

    def stop(self) -> None:
        """End."""
        for task in (*self._tasks.values(), *([self._ticker] if self._ticker else [])):
            task.cancel()

    def publish(self, topic: str, data: bytes) -> int:
        """Sign and send a message. Returns to how many peers it goes."""
        message = signed(self._host.id, self._seed, topic, data)
        return self.router.publish(message, time.monotonic())

    def subscribe(self, topic: str) -> None:
        """Hear a topic."""
        self.router.subscribe(topic, time.monotonic())

    def unsubscribe(self, topic: str) -> None:
        """Hear it no more."""
        self.router.unsubscribe(topic, time.monotonic())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self.router.heartbeat(time.monotonic())

    def _connected(self, connection: Connection) -> None:
        peer = connection.peer_id
        if peer not in self._tasks:
            self._queues[peer] = _Queue(QUEUE)
            self._tasks[peer] = asyncio.create_task(self._speak(connection))

    def _lost(self, connection: Connection) -> None:
        peer = connection.peer_id
        other = self._host.connection(peer)
        task = self._tasks.pop(peer, None)
        if task:
            task.cancel()
        self._queues.pop(peer, None)
        if other:
            self._connected(other)
        else:
            self.router.lost(peer)

    def _send(self, peer: bytes, rpc: Rpc) -> None:
        queue = self._queues.get(peer)
        if queue is not None and not queue.full() and queue.held < QUEUE_MOST:
            queue.put_nowait(rpc.encode())
        else:
            self.router.counts["unsent"] += 1

    async def _speak(self, connection: Connection) -> None:
        """What the router sends to one peer."""
        peer, wait = connection.peer_id, AGAIN_S
        while connection.is_open:
            self.router.silenced(peer)
            queue = self._queues[peer] = _Queue(QUEUE)
            try:
                stream = await connection.open_stream(self._names)
                self.router.connected(peer, stream.name in MESH_NAMES)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_until_reset(stream))
                    group.create_task(self._remind(connection))
                    if self.router.topics:
                        await stream.write(self.router.hello().encode())
                    while True:
                        await stream.write(await queue.get())
            except* StreamError:
                pass  # it speaks no pubsub, or gave the stream up
            if connection.is_open:  # Python 3.11 may lose a cancellation in a group
                await asyncio.sleep(wait)
            wait = min(2 * wait, MOST_S)

    async def _remind(self, connection: Connection) -> None:
        """Tell a peer who we are until it speaks."""
        wait = SILENT_S
        await asyncio.sleep(wait)
        while connection.peer_id not in self._inbound:
            connection.link.push()
            connection.turn()
            wait = min(2 * wait, MOST_S)
            await asyncio.sleep(wait)

    async def _hear(self, stream: P2pStream) -> None:
        """What one peer sends to us."""
        peer: Any = stream.connection.peer_id
        self._inbound[peer] = stream
        self.router.connected(peer, stream.name in MESH_NAMES)
        try:
            await self._take(peer, stream)
        finally:
            if self._inbound.get(peer) is stream:
                del self._inbound[peer]
                self.router.deafened(peer)
            if peer not in self._tasks:
                self.router.lost(peer)

    async def _take(self, peer: bytes, stream: P2pStream) -> None:
        frames = Frames()
        while data := await stream.read(CHUNK):
            found = frames.add(data)
            for each in found or ():
                rpc = decode_rpc(each)
                if rpc is None:
                    found = None
                    break
                self.router.receive(peer, rpc, time.monotonic())
            if found is None:
                self.router.counts["malformed"] += 1
                return stream.reset()


class _Queue(asyncio.Queue[bytes]):
    """One that knows how many bytes wait in it."""

    held = 0

    def _put(self, item: bytes) -> None:
        self.held += len(item)
        super()._put(item)

    def _get(self) -> bytes:
        item = super()._get()
        self.held -= len(item)
        return item


async def _until_reset(stream: P2pStream) -> None:
    """Wait for a peer to give a stream up by which it says nothing. Raises StreamError then."""
    while await stream.read():
        pass
