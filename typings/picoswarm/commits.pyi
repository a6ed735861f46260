from typing import NamedTuple

class Header(NamedTuple):
    height: int
    chain: str
    seconds: int
    validators_hash: bytes
    next_validators_hash: bytes
    app_hash: bytes
    results_hash: bytes
    hash: bytes

class Commit:
    header: Header
    votes: int
    trusted_votes: int
    total: int
    def __init__(
        self,
        header: Header,
        round: int,
        block: bytes,
        validators: list[tuple[bytes, int]],
        trusted: list[tuple[bytes, int]] | None = None,
    ) -> None: ...
    def refusal(self) -> str | None: ...
    def vote(self, index: int, data: bytes) -> tuple[bytes, bytes, bytes] | None: ...
    def count(self, index: int) -> None: ...
    def is_enough(self) -> bool: ...

def fields(data: bytes) -> dict[int, int | bytes] | None: ...
def merkle(leaves: list[bytes]) -> bytes: ...
def validators_hash(validators: list[tuple[bytes, int]]) -> bytes: ...
def read_header(data: bytes) -> Header | None: ...
