from collections.abc import Callable

from .commits import Header
from .errors import PicoswarmError
from .gateway import Gateway
from .gatewayinbox import GatewaySubscription

class NotVerified(PicoswarmError): ...

class Chain:
    tip: Header | None
    name: str
    def __init__(
        self,
        gateway: Gateway,
        name: str,
        validators: list[tuple[bytes, int]] | None = None,
        height: int = 0,
        hash32: bytes | None = None,
    ) -> None: ...
    async def header(self, height: int = 0) -> Header: ...
    def follow(self) -> _Following: ...
    async def submit(self, tx: bytes) -> tuple[int, int | None]: ...
    async def query(self, path: str, data: bytes) -> tuple[int, int, bytes, bytes]: ...

class _Following:
    close: Callable[[], None]
    def __init__(self, chain: Chain, told: GatewaySubscription) -> None: ...
    def __aiter__(self) -> _Following: ...
    async def __anext__(self) -> Header: ...
