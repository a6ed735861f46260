from .slots import Kind

UPDATE_KEY: Kind
APP: Kind
FOLDERS: tuple[str, str, str]
TRIES: int

class AppState:
    slot: int
    trial: int
    version: int
    floor: int
    before: int
    version_before: int
    def __init__(self, payload: bytes | None = None) -> None: ...
    def encode(self) -> bytes: ...
    def spare(self) -> int: ...
    def switch(self, version: int) -> None: ...
    def start(self) -> bool: ...
    def confirm(self) -> bool: ...
