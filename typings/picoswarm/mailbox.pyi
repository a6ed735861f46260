from collections.abc import Iterable
from typing import NamedTuple

from .gateway import Gateway

class Mail(NamedTuple):
    topic: str | None
    payload: bytes
    origin: bytes
    age: int

async def leave(box: Gateway, id32: bytes, data: bytes | str, timeout_ms: int = 30000) -> None: ...
async def hear(box: Gateway, filters: Iterable[str], timeout_ms: int = 30000) -> None: ...

class letters:
    def __init__(self, box: Gateway, timeout_ms: int = 30000) -> None: ...
    def __aiter__(self) -> letters: ...
    async def __anext__(self) -> Mail: ...
