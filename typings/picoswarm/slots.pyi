HEADER: int
PAYLOAD_MAX: int

class Kind:
    number: int
    name: str
    version: int
    interval_s: int
    copies: int
    is_key: bool
    def __init__(
        self, number: int, name: str, version: int = 1, interval_s: int = 0, copies: int = 2, is_key: bool = True
    ) -> None: ...

IDENTITY: Kind
NETWORK: Kind
NODES: Kind
SEED: Kind
BOOK: Kind
OPERATOR: Kind
