from typing import NamedTuple, Self

from .services import Subscription

class GatewayMessage(NamedTuple):
    topic: str
    payload: bytes
    is_retained: bool
    is_repeat: bool

class GatewaySubscription(Subscription):
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> GatewayMessage: ...  # type: ignore[override]
