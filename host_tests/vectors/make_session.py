"""Writes the test vectors of sessions; `--check` compares instead and fails on a difference.

    session-hello.json         HELLO: fields and bytes, and bytes that must be refused
    session-handshake.json     whole set-ups under fixed keys, as they pass over TCP, and the first records after one
    ../unit/session_vectors.py   the same for the boards
    ../unit/noise_vectors.py   published vectors of the patterns (noise-xx.json), for the boards

The construction is written out here a second time, on the `cryptography` package and `hmac`: what the library makes must
equal it byte for byte.
"""

from __future__ import annotations

import hmac
import json
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors.kept import settle  # noqa: E402
from vectors.make_datagram import EPOCH, ID_A, ID_B, IPV4, IPV6, NETWORK_KEY, PRIVATE_A, PRIVATE_B, hkdf, public  # noqa: E402

HERE = Path(__file__).resolve().parent
PSK = hkdf(NETWORK_KEY, b"picoswarm session v1", 32)
EPHEMERALS_A = [bytes(range(i, i + 32)) for i in (0x20, 0x80)]
EPHEMERAL_B = bytes(range(0x41, 0x61))
CHALLENGE = bytes(range(0xC0, 0xD0))
REKEY_AFTER = 1 << 20
MAX_NONCE = bytes(4) + b"\xff" * 8


def agree(private: bytes, theirs: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(theirs))


def nonce(n: int) -> bytes:
    return bytes(4) + n.to_bytes(8, "little")


@dataclass
class Symmetric:
    """Chaining key, hash, cipher key and nonce of the Noise specification, sections 5.1 and 5.2."""

    ck: bytes
    h: bytes
    k: bytes = b""
    n: int = 0

    def mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h + data).digest()

    def mix_key(self, ikm: bytes, *, and_hash: bool = False) -> None:
        prk = hmac.digest(self.ck, ikm, sha256)
        first = hmac.digest(prk, b"\x01", sha256)
        second = hmac.digest(prk, first + b"\x02", sha256)
        if and_hash:
            self.mix_hash(second)
            second = hmac.digest(prk, second + b"\x03", sha256)
        self.ck, self.k, self.n = first, second, 0

    def encrypt(self, text: bytes) -> bytes:
        sealed = ChaCha20Poly1305(self.k).encrypt(nonce(self.n), text, self.h)
        self.n += 1
        self.mix_hash(sealed)
        return sealed


@dataclass
class SetUp:
    """A whole set-up; `wire` is what passes over TCP, `keys` the initiator's sending key and the responder's."""

    name: str
    hello_a: bytes
    hello_b: bytes
    challenged: bool
    purpose: int = 0  # 1 a visit, 2 a way down
    wire: list[tuple[str, bytes]] = field(default_factory=list)
    keys: tuple[bytes, bytes] = (b"", b"")

    def first_message(self, ephemeral: bytes, extra: bytes) -> tuple[Symmetric, bytes]:
        start = sha256(b"Noise_XXpsk0_25519_ChaChaPoly_SHA256").digest()
        state = Symmetric(start, start)
        state.mix_hash(b"picoswarm/1" + bytes((0x10 | EPOCH,)) + extra)
        state.mix_key(PSK, and_hash=True)
        e = public(ephemeral)
        state.mix_hash(e)
        state.mix_key(e)
        return state, e + state.encrypt(bytes((self.purpose,)) if self.purpose else b"")

    def run(self) -> SetUp:
        def send(sender: str, data: bytes, before: bytes = b"") -> None:
            self.wire.append((sender, before + len(data).to_bytes(2, "big") + data))

        self.wire = []
        ephemeral = EPHEMERALS_A[0]
        state, data = self.first_message(ephemeral, b"")
        send("initiator", data, bytes((0x10 | EPOCH,)))
        if self.challenged:
            send("responder", CHALLENGE)
            ephemeral = EPHEMERALS_A[1]
            state, data = self.first_message(ephemeral, CHALLENGE)
            send("initiator", data)
        e = public(EPHEMERAL_B)
        state.mix_hash(e)
        state.mix_key(e)
        state.mix_key(agree(ephemeral, e))
        data = e + state.encrypt(public(PRIVATE_B))
        state.mix_key(agree(ephemeral, public(PRIVATE_B)))
        send("responder", data + state.encrypt(self.hello_b))
        data = state.encrypt(public(PRIVATE_A))
        state.mix_key(agree(PRIVATE_A, e))
        send("initiator", data + state.encrypt(self.hello_a))
        state.mix_key(b"")
        self.keys = state.ck, state.k
        return self


def record(key: bytes, n: int, text: bytes) -> bytes:
    """The sealed record number `n` of a direction whose first key is `key`."""
    for _ in range(n // REKEY_AFTER):
        key = ChaCha20Poly1305(key).encrypt(MAX_NONCE, bytes(32), b"")[:32]
    size = (len(text) + 16).to_bytes(2, "big")
    return size + ChaCha20Poly1305(key).encrypt(nonce(n), text, size)


def hello(
    versions: int = 0x11,
    flags: int | None = None,
    capabilities: int = 0,
    port: int = 4660,
    seen: bytes = IPV4 + (4000).to_bytes(2, "big"),
    fixed: int = 0b111,
    limit: int = 768,
    streams: int = 4,
    name: bytes = b"",
    own: bytes = b"",
    publish_max: int = 400,
    request_max: int = 400,
    more: bytes = b"",
) -> bytes:
    head = bytes((versions, len(seen) > 6 if flags is None else flags))
    head += capabilities.to_bytes(2, "big") + port.to_bytes(2, "big")
    tail = fixed.to_bytes(4, "big") + limit.to_bytes(2, "big") + bytes((streams, len(name)))
    limits = b"" if publish_max == request_max == 400 else publish_max.to_bytes(2, "big") + request_max.to_bytes(2, "big")
    return head + seen + tail + name + bytes((len(own),)) + own + limits + more


SEEN6 = IPV6 + (4001).to_bytes(2, "big")
HELLOS = {
    "bare": {},
    "of a node that cannot be dialed, with no channel but control": {"port": 0, "fixed": 1, "streams": 0},
    "all fields at their greatest": {
        "capabilities": 0xFFFF,
        "port": 65535,
        "seen": SEEN6,
        "fixed": 0xFFFFFFFF,
        "limit": 65519,
        "streams": 255,
        "name": b"sixteen letters!",
        "own": bytes(range(32, 42)) + b"\x7f",
        "publish_max": 65535,
        "request_max": 65535,
    },
    "limits of messages": {"publish_max": 200, "request_max": 4000},
    "43 application channels": {"own": bytes(range(32, 75))},
    "the least record limit": {"limit": 64},
    "a name and two application channels": {"name": b"kitchen 2", "own": b"\x28\x22"},
    "fields of a later version": {"versions": 0x12, "flags": 0xFE, "request_max": 1000, "more": b"later fields"},
}
GOOD = hello(name=b"kitchen", own=b"\x21")
REFUSED_HELLOS = {
    "empty": b"",
    "20 bytes": hello()[:20],
    "32 bytes with an IPv6 address": hello(seen=SEEN6)[:32],
    "65 bytes": hello(more=bytes(44)),
    "a name that is cut off": GOOD[:24],
    "no count of channels": GOOD[:-2],
    "a channel missing": GOOD[:-1],
    "a name of 17": hello(name=b"a" * 17),
    "a name with a control character": hello(name=b"kit\nchen"),
    "a name beyond ASCII": hello(name="küche".encode()),
    "a fixed channel among the application's": hello(own=b"\x1f"),
    "a stream among the application's channels": hello(own=b"\x80"),
    "a record limit of 63": hello(limit=63),
    "a lowest version above the highest": hello(versions=0x21),
}
SET_UPS = [
    SetUp("bare", hello(), hello(), challenged=False),
    SetUp(
        "challenged, with all fields",
        hello(capabilities=2, seen=SEEN6, fixed=0b1111, name=b"initiator", own=b"\x28"),
        hello(capabilities=8, seen=SEEN6, fixed=0b111, name=b"responder", own=b"\x28\x29"),
        challenged=True,
    ),
    SetUp("a visit, challenged", hello(), hello(name=b"kitchen"), challenged=True, purpose=1),
    SetUp("a visit", hello(), hello(), challenged=False, purpose=1),
    SetUp("a way down", hello(), hello(), challenged=False, purpose=2),
]
RECORDS = [
    (0, b"first"),
    (1, b""),
    (2, bytes(768)),
    (REKEY_AFTER - 1, b"last of a key"),
    (REKEY_AFTER, b"first of the next"),
]


def fields(about: dict) -> dict:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in about.items()}


MADE = ("# ruff: noqa: E501", '"""Made by host_tests/vectors/make_session.py."""', "")


def session_module(set_ups: list[SetUp]) -> str:
    """What boards check of the vectors, as a module."""
    key = set_ups[0].keys[0]
    lines = list(MADE)
    for name, value in (("NETWORK_KEY", NETWORK_KEY), ("PRIVATE_A", PRIVATE_A), ("PRIVATE_B", PRIVATE_B)):
        lines.append(f'{name} = "{value.hex()}"')
    lines += [f'ID_A = "{ID_A.hex()}"', f'ID_B = "{ID_B.hex()}"', f"EPOCH = {EPOCH}"]
    lines.append(f"EPHEMERALS_A = {json.dumps([e.hex() for e in EPHEMERALS_A])}")
    lines += [f'EPHEMERAL_B = "{EPHEMERAL_B.hex()}"', f'CHALLENGE = "{CHALLENGE.hex()}"']
    lines.append("SET_UPS = (  # HELLO of A, of B, what passes over TCP in turns, the keys that A and B send under")
    for each in set_ups[:4:2]:  # what a board's heap holds
        lines.append(
            f"    (  # {each.name}\n" + f'        "{each.hello_a.hex()}",\n        "{each.hello_b.hex()}",\n        ('
        )
        lines += [f'            "{data.hex()}",' for _, data in each.wire]
        lines.append(f'        ),\n        "{each.keys[0].hex()}",\n        "{each.keys[1].hex()}",\n    ),')
    lines.append(")\nHELLOS = (")
    lines += [f'    "{hello(**f).hex()}",  # {name}' for name, f in HELLOS.items()]
    lines.append(")\nREFUSED_HELLOS = (")
    lines += [f'    "{data.hex()}",  # {name}' for name, data in REFUSED_HELLOS.items()]
    lines.append(")\nRECORDS = (  # number, plaintext, record, under the key that A sends under in the first of SET_UPS")
    lines += [f'    ({n}, "{text.hex()}", "{record(key, n, text).hex()}"),' for n, text in RECORDS if len(text) < 200]
    lines.append(")\n")
    return "\n".join(lines)


def noise_module() -> str:
    """The published vectors as a module: one of its own, since a board's heap is small."""
    published = [
        vector
        for vector in json.loads((HERE / "noise-xx.json").read_text())["vectors"]
        if vector["source"] != "flynn" or (vector["psk"] and vector["prologue"])  # what a board's heap holds
    ]
    lines = [
        *MADE,
        "PUBLISHED = (  # psk, prologue, static and ephemeral of both sides, (is the initiator's, payload, message)",
    ]
    for vector in published:
        keys = ("psk", "prologue", "init_static", "init_ephemeral", "resp_static", "resp_ephemeral")
        lines.append(f"    (  # {vector['source']}, {vector['protocol_name']}")
        lines += [f'        "{vector[name]}",' for name in keys]
        lines += [
            f'        ({m["sender"] == "initiator"}, "{m["payload"]}", "{m["ciphertext"]}"),' for m in vector["messages"]
        ]
        lines.append("    ),")
    lines.append(")\n")
    return "\n".join(lines)


def build() -> dict[Path, str]:
    set_ups = [each.run() for each in SET_UPS]
    assert sum(len(data) for _, data in set_ups[0].wire) == 257
    hellos = {
        "hellos": [{"name": name, "fields": fields(f), "hello": hello(**f).hex()} for name, f in HELLOS.items()],
        "refused": [{"name": name, "hello": data.hex()} for name, data in REFUSED_HELLOS.items()],
    }
    key = set_ups[0].keys[0]
    handshakes = {
        "network_key": NETWORK_KEY.hex(),
        "epoch": EPOCH,
        "psk": PSK.hex(),
        "initiator": {
            "static_private": PRIVATE_A.hex(),
            "id": ID_A.hex(),
            "ephemeral_privates": [e.hex() for e in EPHEMERALS_A],
        },
        "responder": {"static_private": PRIVATE_B.hex(), "id": ID_B.hex(), "ephemeral_private": EPHEMERAL_B.hex()},
        "challenge": CHALLENGE.hex(),
        "set_ups": [
            {
                "name": each.name,
                "purpose": each.purpose,
                "initiator_hello": each.hello_a.hex(),
                "responder_hello": each.hello_b.hex(),
                "wire": [{"sender": sender, "bytes": data.hex()} for sender, data in each.wire],
                "initiator_sends_under": each.keys[0].hex(),
                "responder_sends_under": each.keys[1].hex(),
            }
            for each in set_ups
        ],
        "records": [
            {"number": n, "key": key.hex(), "plaintext": text.hex(), "record": record(key, n, text).hex()}
            for n, text in RECORDS
        ],
    }
    return {
        HERE / "session-hello.json": json.dumps(hellos, indent=1) + "\n",
        HERE / "session-handshake.json": json.dumps(handshakes, indent=1) + "\n",
        HERE.parent / "unit" / "session_vectors.py": session_module(set_ups),
        HERE.parent / "unit" / "noise_vectors.py": noise_module(),
    }


def main(check: bool) -> int:
    return settle(build(), check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
