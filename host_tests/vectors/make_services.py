"""Writes the test vectors of the services (docs/protocol.md 7.2 to 7.10); `--check` only compares.

    services-messages.json     published messages in both forms with their ids and signatures, lists of filters, requests
                               and answers, questions to log and counters, changes of the network key, and what closes
                               the session

The construction is written out here a second time, on the `cryptography` package: what the library makes must equal it
byte for byte.
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
SEED = bytes((1,)) * 32
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
ID = KEY.public_key().public_bytes_raw()
assert ID[31] < 0x80

# name, topic, payload, nonce, signed, hops of the long form
PUBLISHED = [
    ("a reading", "home/kitchen/temperature", b"21.5", "00112233", False, 0),
    ("passed on twice", "home/kitchen/temperature", b"21.5", "00112233", False, 2),
    ("the last that may be passed on", "a", b"", "ffffffff", False, 15),
    ("signed", "door/front", b"open", "01020304", True, 0),
    ("signed and passed on", "door/front", b"open", "01020304", True, 7),
    ("empty levels, umlaut", "/\u00e4//", b"\x00\xff", "a0a0a0a0", False, 1),
    ("the longest topic", "t" * 64, bytes(range(32)), "0a0b0c0d", False, 0),
    ("the longest payload", "t", bytes(361), "0a0b0c0d", False, 0),
    ("the longest signed payload", "t", bytes(297), "0a0b0c0d", True, 0),
]

# Filters, each with whether it is signed only; how many bytes of the list are kept
FILTERS = [
    ("none", [], 0),
    ("one", [("home/#", False)], 7),
    ("wildcards and signed only", [("+/kitchen/+", False), ("door/+", True), ("#", False)], 21),
    ("nine, of which eight are kept", [(f"f{i}", False) for i in range(9)], 24),
    ("too many bytes", [("x" * 63 + str(i), False) for i in range(4)], 195),
]

MALFORMED = [
    ("publish", "nothing", b""),
    ("publish", "no topic", bytes(6)),
    ("publish", "topic of 65 bytes", bytes(5) + b"\x41" + b"x" * 65),
    ("publish", "topic over the end", bytes(5) + b"\x03ab"),
    ("publish", "long form without topic", b"\x40" + bytes(36)),
    ("publish", "signature of 63 bytes", b"\x80" + bytes(4) + b"\x01t" + bytes(63)),
    ("publish", "too long with its origin", bytes(5) + b"\x01t" + bytes(362)),
    ("publish", "empty filter", b"\x10\x00"),
    ("publish", "filter of 65 bytes", b"\x10\x41" + b"x" * 65),
    ("publish", "filter over the end", b"\x10\x03ab"),
    ("request", "two bytes", bytes(2)),
    ("request", "no method", bytes(4)),
    ("request", "method over the end", bytes(3) + b"\x05echo"),
    ("request", "method of 65 bytes", bytes(3) + b"\x41" + b"m" * 65),
    ("request", "answer of two bytes", b"\x80\x00"),
    ("log", "four bytes", bytes(4)),
    ("counters", "one byte", bytes(1)),
]

# Changes of the network key: name, kind, serial, epoch, how many revoked ids
CHANGES = [
    ("a rotation", 1, 1, 1, 0),
    ("a revocation", 2, 2, 2, 1),
    ("around the epochs", 1, 16, 0, 1),
    ("the last serial, as many ids as there may be", 2, 0x3FFFFFFF, 15, 16),
]


def change(kind: int, serial: int, epoch: int, ids: int, key: bytes = bytes(range(32)), count: int | None = None) -> str:
    unsigned = bytes((kind,)) + serial.to_bytes(4) + bytes((epoch,)) + key + bytes((ids if count is None else count,))
    unsigned += b"".join(bytes((i + 1,)) * 16 for i in range(ids))
    return (unsigned + KEY.sign(b"picoswarm change v1" + sha256(unsigned).digest())).hex()


def flipped(text: str, at: int) -> str:
    data = bytearray.fromhex(text)
    data[at] ^= 1
    return data.hex()


GOOD = change(2, 2, 2, 1)
# Of them none is one: the code of the answer says why. A node that holds epoch 1 and has taken serial 1.
NO_CHANGES = [
    ("nothing behind the count", 4, change(1, 2, 2, 0)[:78]),
    ("one byte short", 4, GOOD[:-2]),
    ("one byte more", 4, GOOD + "00"),
    ("an id that is not there", 4, change(1, 2, 2, 0, count=1)),
    ("17 ids", 4, change(1, 2, 2, 17)),
    ("kind 0", 4, change(0, 2, 2, 0)),
    ("kind 3", 4, change(3, 2, 2, 0)),
    ("serial 0", 4, change(1, 0, 2, 0)),
    ("serial 2^30", 4, change(1, 1 << 30, 2, 0)),
    ("epoch 16", 4, change(1, 2, 16, 0)),
    ("a blank key", 4, change(1, 2, 2, 0, bytes(32))),
    ("the serial that was taken", 1, change(1, 1, 2, 0)),
    ("the epoch that is held", 3, change(1, 2, 1, 0)),
    ("the epoch before", 3, change(1, 2, 0, 0)),
    ("an epoch 8 away", 3, change(1, 2, 9, 0)),
    ("another kind than was signed", 2, "01" + GOOD[2:]),
    ("another serial than was signed", 2, flipped(GOOD, 3)),
    ("another key than was signed", 2, flipped(GOOD, 10)),
    ("another revoked id than was signed", 2, flipped(GOOD, 40)),
    ("another signature", 2, flipped(GOOD, 60)),
]


def published(topic: str, payload: bytes, nonce: str, signed: bool, hops: int) -> dict[str, str | None]:
    first = 0x80 if signed else 0
    name = topic.encode()
    rest = bytes.fromhex(nonce) + bytes((len(name),)) + name + payload
    signature = KEY.sign(b"picoswarm publish v1" + sha256(ID + rest).digest()) if signed else b""
    return {
        "topic": topic,
        "payload": payload.hex(),
        "nonce": nonce,
        "signature": signature.hex(),
        "short": (bytes((first,)) + rest + signature).hex() if not hops else None,
        "long": (bytes((first | 0x40 | hops,)) + ID + rest + signature).hex(),
        "id": sha256(bytes((first | 0x40,)) + ID + rest + signature).digest()[:8].hex(),
    }


def filters(each: list[tuple[str, bool]]) -> str:
    return (b"\x10" + b"".join(bytes((len(f) | s << 7,)) + f.encode() for f, s in each)).hex()


def build() -> dict[Path, str]:
    vectors = {
        "origin_seed": SEED.hex(),
        "origin": ID.hex(),
        "published": [{"name": name, **published(*rest)} for name, *rest in PUBLISHED],
        "filters": [
            {"name": name, "filters": [list(f) for f in each], "message": filters(each), "kept": n}
            for name, each, n in FILTERS
        ],
        "requests": [
            {"id": 0x1234, "method": "echo", "payload": "6869", "message": "001234" + "04" + b"echo".hex() + "6869"},
            {"id": 1, "method": "m" * 64, "payload": "", "message": "000001" + "40" + "6d" * 64},
        ],
        "given_up": {"id": 0x1234, "message": "011234"},
        "answers": [
            {"id": 0x1234, "status": 0, "payload": "6869", "message": "8012346869"},
            {"id": 0x1234, "status": 5, "payload": "", "message": "851234"},
        ],
        "log": [
            {"lines": ["one", "zwei"], "question": "0000000004", "answer": "0200000004" + b"zwei\n".hex()},
            {"lines": ["one"], "question": "013fffffff", "answer": "0200000000" + b"one\n".hex()},
        ],
        "counters": [
            {"names": "a b c", "counts": [0, 127, 300], "question": "0000", "answer": "0200007fac02"},
            {"names": "a b c", "counts": [0, 127, 300], "question": "0100", "answer": "0300" + b"a b c".hex()},
            {"names": "a b c", "counts": [0, 127, 300], "question": "0001", "answer": "0201"},
        ],
        "changes": [
            {
                "name": name,
                "kind": kind,
                "serial": serial,
                "epoch": epoch,
                "ids": ids,
                "text": change(kind, serial, epoch, ids),
            }
            for name, kind, serial, epoch, ids in CHANGES
        ],
        "no_changes": [{"name": name, "code": code, "text": text} for name, code, text in NO_CHANGES],
        "malformed": [{"of": of, "name": name, "message": data.hex()} for of, name, data in MALFORMED],
    }
    return {HERE / "services-messages.json": json.dumps(vectors, indent=1) + "\n"}


def main(check: bool) -> int:
    return settle(build(), check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
