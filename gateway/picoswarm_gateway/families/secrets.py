"""The secret by which a gateway is one and the same node among the nodes of a family, over restarts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def kept_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes in a file, made at first, for its owner alone. Raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        secret = make()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
        return secret
