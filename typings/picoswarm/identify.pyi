from typing import NamedTuple

class Identified(NamedTuple):
    """What a libp2p peer says of itself."""

    public_key: bytes
    addresses: list[bytes]
    protocols: list[str]
    observed: bytes
    version: str
    agent: str
