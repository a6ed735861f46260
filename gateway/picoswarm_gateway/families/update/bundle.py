"""A bundle: one update of an application as a file, `header | list | contents of the files` (docs/protocol.md 7.11)."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from picoswarm.errors import Malformed
from picoswarm.manifest import BOARDS_MAX, CHUNK, FILES_MAX, LIST_MAX, NAME_MAX, VERSIONS, Header, entries, is_name

SUFFIX = ".update"
CHUNKS_MAX = LIST_MAX // 16  # fewer with long lists of files
LONGEST = 1024 + LIST_MAX + CHUNK * CHUNKS_MAX  # bytes of a bundle
ENTRY = ("app.py", "app.mpy")  # what a board starts
SKIPPED = ("__pycache__",)


class Refused(Exception):
    """It cannot be done; the text says why."""


class Bundle:
    """A whole and consistent bundle. Raises Refused for bytes that are none. Who signed it is another matter."""

    def __init__(self, raw: bytes) -> None:
        try:
            self.header = Header(raw[: 42 + raw[41] + 64] if len(raw) > 41 else b"")
            start = len(self.header.text)
            self._list = raw[start : start + self.header.listed]
            self.files = self._parts(raw[start + self.header.listed :])
        except Malformed as error:
            raise Refused(f"It is no bundle: {error}.") from None
        self.raw = raw

    def _parts(self, rest: bytes) -> dict[str, bytes]:
        if sha256(self._list).digest() != self.header.digest:
            raise Malformed("the list is damaged")
        files, at = {}, 0
        for name, size, digest, first in entries(self.header, self.list):
            data = files[name] = rest[at : at + size]
            at += size
            if sha256(data).digest() != digest:
                raise Malformed(f"{name} is damaged")
            for place in range(0, size, CHUNK):
                expected = self.list(self.header.hash_of(first + place // CHUNK), 16)
                if sha256(data[place : place + CHUNK]).digest()[:16] != expected:
                    raise Malformed(f"the hashes of {name} are wrong")
        if at != len(rest):
            raise Malformed("there is more than the files")
        return files

    # What serving.py asks of a holder

    def list(self, at: int, n: int) -> bytes:
        """Bytes of the list."""
        return self._list[at : at + n]

    def read(self, name: str, at: int, n: int) -> bytes:
        """Bytes of a file."""
        return self.files[name][at : at + n]

    def is_signed_by(self, public: bytes) -> bool:
        """Whether the key with this public half signed it."""
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.header.signature, self.header.signed_text())
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def boards(self) -> list[str]:
        """Names of the boards that it is for; "*" is all."""
        return self.header.boards.decode("ascii", "replace").split()

    def facts(self) -> dict[str, object]:
        """What it is, as JSON has it."""
        return {
            "id": self.header.id.hex(),
            "version": self.header.version,
            "boards": self.boards,
            "bytes": sum(map(len, self.files.values())),
            "chunks": self.header.chunks,
            "files": len(self.files),
        }


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of an application by their names on the board. What begins with a dot, and caches, stay out. Raises Refused,
    OSError."""
    files = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part in SKIPPED for part in parts):
            data = files["/".join(parts)] = path.read_bytes()
            if b"PRIVATE KEY-----" in data:
                raise Refused(f"{path} holds a private key, and everybody in the mesh would get it.")
    if not any(name in files for name in ENTRY):
        raise Refused(f"{folder} has neither {' nor '.join(ENTRY)}, which a board starts.")
    return files


def make(files: Mapping[str, bytes], version: int, boards: list[str], key: Ed25519PrivateKey) -> Bundle:
    """A signed bundle. Raises Refused for what no board would take."""
    check(files, version, boards)
    listed, hashes, contents = bytes((len(files),)), b"", b""
    for name, data in sorted((name.encode(), data) for name, data in files.items()):
        listed += bytes((len(name),)) + name + len(data).to_bytes(4) + sha256(data).digest()
        hashes += b"".join(sha256(data[at : at + CHUNK]).digest()[:16] for at in range(0, len(data), CHUNK))
        contents += data
    listed += hashes
    if len(listed) > LIST_MAX:
        raise Refused(f"{len(contents)} bytes in {len(files)} files are more than an update may have (about 250 KB).")
    names = " ".join(boards).encode()
    header = b"\1" + version.to_bytes(4) + len(listed).to_bytes(2) + (len(hashes) // 16).to_bytes(2)
    header += sha256(listed).digest() + bytes((len(names),)) + names
    header += key.sign(b"picoswarm update v1" + sha256(header).digest())
    return Bundle(header + listed + contents)


def check(files: Mapping[str, bytes], version: int, boards: list[str]) -> None:
    if not 0 < version < VERSIONS:
        raise Refused(f"A version lies in 1..{VERSIONS - 1}.")
    if not boards or any(not name.isascii() or not name.isprintable() or " " in name for name in boards):
        raise Refused("Name the boards that it is for, in ASCII and without spaces; '*' is all.")
    if len(" ".join(boards)) > BOARDS_MAX:
        raise Refused(f"The names of boards have at most {BOARDS_MAX} bytes together.")
    if not 0 < len(files) <= FILES_MAX:
        raise Refused(f"An update has 1 to {FILES_MAX} files, this one {len(files)}.")
    for name in files:
        if not is_name(name.encode()):
            raise Refused(
                f"{name!r} cannot be the name of a file: at most {NAME_MAX} letters, digits and _-. in at most 4 parts "
                "with / between, none with a dot in front."
            )
    lower = [name.lower() for name in files]
    if len(set(lower)) < len(lower):
        raise Refused("Two names differ only in upper and lower case, which some file systems take for one.")
