from collections.abc import Awaitable, Callable

from .p2pstreams import Connection, P2pStream
from .store import Store

class Libp2p:
    """A node's libp2p (docs/libp2p.md): `node.libp2p`."""

    inbound_most: int
    record: int
    buffer: int
    frame: int
    streams_most: int
    held_most: int
    queue_most: int
    agent: str
    peer_id: str
    public_key: bytes
    connections: list[Connection]
    addresses: list[bytes]
    fault: Exception | None
    def __init__(
        self, identity: object, rng: Callable[[int], bytes], folder: str | Store, is_over: Callable[[], bool] | None = None
    ) -> None: ...
    async def dial(self, address: str, ms: int = ...) -> Connection: ...
    def handle(self, protocol: str, handler: Callable[[P2pStream], Awaitable[object]] | None) -> None: ...
    async def listen(self, port: int, ip: bytes = ...) -> None: ...
    def close(self) -> None: ...
