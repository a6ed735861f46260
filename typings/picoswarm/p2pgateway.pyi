from .gateway import Gateway
from .node import Node
from .services import Stream

class Peers:
    """Libp2p peers, reached and being reached through a gateway (docs/libp2p.md)."""

    addresses: list[str]
    def __init__(self, node: Node, gateway: Gateway) -> None: ...
    async def open_stream(self, peer: str, protocol: str) -> Stream: ...
    async def serve(self, *protocols: str) -> list[str]: ...
