from typing import NamedTuple, Self

class Message(NamedTuple):
    topic: str
    payload: bytes
    origin: bytes
    is_proven: bool

class Subscription:
    filter: str
    dropped: int
    is_signed: bool
    drop_new: bool
    def __init__(self, services: object, text: str, is_signed: bool, most: int, drop_new: bool = False) -> None: ...
    def close(self) -> None: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Message: ...
