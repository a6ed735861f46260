"""Writes the test vectors of updates (docs/protocol.md 7.11); `--check` only compares.

    update-messages.json    bundles with their headers, lists, questions and answers; headers and lists that are refused

The construction is written out here a second time, on the `cryptography` package: what the tools make must equal it byte for
byte.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors.kept import settle  # noqa: E402

HERE = Path(__file__).resolve().parent
SEED = bytes((2,)) * 32
KEY = Ed25519PrivateKey.from_private_bytes(SEED)

# name, version, boards, files
BUNDLES = [
    ("one small file", 1, "*", {"app.py": b"print(1)\n"}),
    ("a chunk and one more", 7, "RPI_PICO_W armv6m", {"app.py": bytes(range(256)) + b"x"}),
    ("an empty file, a folder, a whole chunk", 0x3FFFFFFF, "door", {"app.py": b"", "lib/a.mpy": bytes(256), "z": b"end"}),
]


def entry(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return bytes((len(name),)) + name + (len(data) if size is None else size).to_bytes(4) + sha256(data).digest()


def hashes(data: bytes) -> bytes:
    return b"".join(sha256(data[at : at + 256]).digest()[:16] for at in range(0, len(data), 256))


def header(listed: bytes, chunks: int, version: int = 1, boards: bytes = b"*", size: int | None = None) -> bytes:
    text = b"\1" + version.to_bytes(4) + (len(listed) if size is None else size).to_bytes(2) + chunks.to_bytes(2)
    text += sha256(listed).digest() + bytes((len(boards),)) + boards
    return text + KEY.sign(b"picoswarm update v1" + sha256(text).digest())


def bundle(version: int, boards: str, files: dict[str, bytes]) -> dict[str, object]:
    contents = [(name.encode(), data) for name, data in sorted(files.items())]
    listed = (
        bytes((len(files),)) + b"".join(entry(*each) for each in contents) + b"".join(hashes(data) for _, data in contents)
    )
    chunks = [data[at : at + 256] for _, data in contents for at in range(0, len(data), 256)]
    head = header(listed, len(chunks), version, boards.encode())
    id8 = sha256(head[:-64]).digest()[:8]
    questions = [(b"\1" + id8 + at.to_bytes(2), listed[at : at + 256]) for at in range(0, len(listed), 256)]
    questions += [(b"\2" + id8 + number.to_bytes(2), chunk) for number, chunk in enumerate(chunks)]
    return {
        "version": version,
        "boards": boards,
        "files": {name: data.hex() for name, data in files.items()},
        "id": id8.hex(),
        "header": head.hex(),
        "list": listed.hex(),
        "bundle": (head + listed + b"".join(data for _, data in contents)).hex(),
        "ask": (b"\0" + (version - 1).to_bytes(4) + boards.encode()).hex(),
        "questions": [{"question": question.hex(), "answer": answer.hex()} for question, answer in questions],
    }


def one(name: bytes, data: bytes = b"1", size: int | None = None, chunks: int | None = None) -> tuple[bytes, int]:
    listed = b"\1" + entry(name, data, size) + hashes(data)
    return listed, len(hashes(data)) // 16 if chunks is None else chunks


GOOD = header(*one(b"app.py"))
NO_HEADERS = [
    ("nothing", b""),
    ("one byte short", GOOD[:-1]),
    ("one byte more", GOOD + b"\0"),
    ("another layout", b"\2" + GOOD[1:]),
    ("version 0", header(*one(b"a"), version=0)),
    ("version 2^30", header(*one(b"a"), version=1 << 30)),
    ("no boards", header(*one(b"a"), boards=b"")),
    ("97 bytes of boards", header(*one(b"a"), boards=b"b" * 97)),
    ("a list of 16385 bytes", header(bytes(16385), 1)),
    ("more chunks than the list has room for", header(bytes(64), 4)),
]
NO_LISTS = [
    ("no files", (bytes(60), 1)),
    ("65 files", (b"\x41" + bytes(60), 1)),
    ("an empty name", one(b"")),
    ("a name of 65 bytes", one(b"n" * 65)),
    ("a way out", one(b"../boot.py")),
    ("a way out behind a folder", one(b"lib/../../boot.py")),
    ("the root", one(b"/boot.py")),
    ("a dot in front", one(b".update")),
    ("five parts", one(b"a/b/c/d/e")),
    ("a byte that is no letter", one(b"a\\b")),
    ("the same name twice", (b"\2" + entry(b"a", b"1") * 2 + hashes(b"1") * 2, 2)),
    ("names out of order", (b"\2" + entry(b"b", b"1") + entry(b"a", b"1") + hashes(b"1") * 2, 2)),
    ("a larger file than its chunks", one(b"a", b"1", 257)),
    ("a chunk too many", one(b"a", b"1", chunks=2)),
    ("a byte too many", (one(b"a")[0] + b"\0", 1)),
]


def build() -> dict[Path, str]:
    vectors = {
        "seed": SEED.hex(),
        "public": KEY.public_key().public_bytes_raw().hex(),
        "bundles": [{"name": name, **bundle(*rest)} for name, *rest in BUNDLES],
        "no_headers": [{"name": name, "header": text.hex()} for name, text in NO_HEADERS],
        "no_lists": [
            {"name": name, "header": header(listed, chunks).hex(), "list": listed.hex()}
            for name, (listed, chunks) in NO_LISTS
        ],
    }
    return {HERE / "update-messages.json": json.dumps(vectors, indent=1) + "\n"}


def main(check: bool) -> int:
    return settle(build(), check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
