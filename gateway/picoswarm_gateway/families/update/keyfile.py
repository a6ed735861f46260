"""The update key: Ed25519, a PEM file for its owner only; the public half stands beside it, and on each board."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from .bundle import Refused


def public_path(path: Path) -> Path:
    """Where the public half of a key file is."""
    return path.with_name(path.name + ".pub")


def create(path: Path) -> Ed25519PrivateKey:
    """Make a key, and its two files. Raises Refused rather than overwrite one, OSError."""
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} holds a key.") from None
    with open(handle, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public_path(path).write_bytes(public)
    return key


def load(path: Path) -> Ed25519PrivateKey:
    """The key of a file. Raises Refused."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise Refused(f"{path}: other users may open it; chmod 600 it.")
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused(f"{path} is no key file: {error}. `picoswarm update keygen` makes one.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused(f"{path} holds a key of another kind; updates are signed with Ed25519.")
    return key


def load_public(path: Path) -> bytes:
    """The public key, 32 bytes, of a key file or of its `.pub`. Raises Refused."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm):
        return load(path).public_key().public_bytes_raw()
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(f"{path} holds a key of another kind; updates are signed with Ed25519.")
    return key.public_bytes_raw()
