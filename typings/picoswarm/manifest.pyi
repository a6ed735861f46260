from collections.abc import Callable, Iterator

CHUNK: int
ID: int
LIST_MAX: int
BOARDS_MAX: int
FILES_MAX: int
NAME_MAX: int
SIGNATURE: int
VERSIONS: int

class Header:
    text: bytes
    version: int
    listed: int
    chunks: int
    digest: bytes
    boards: bytes
    signature: bytes
    signed: bytes
    id: bytes
    def __init__(self, text: bytes) -> None: ...
    def signed_text(self) -> bytes: ...
    def is_for(self, boards: bytes) -> bool: ...
    def hash_of(self, number: int) -> int: ...

def is_name(name: bytes) -> bool: ...
def is_chunk(data: bytes, expected: bytes) -> bool: ...
def entries(header: Header, read: Callable[[int, int], bytes]) -> Iterator[tuple[str, int, bytes, int]]: ...
