"""Writes the test vectors of the discovery datagrams; `--check` compares instead and fails on a difference.

    datagram-messages.json     every message in every form: fields, plaintext, sealed datagram
    datagram-refused.json      datagrams that must be dropped, and why
    ../unit/datagram_vectors.py  the same for the boards, which have no files in their tests

The construction is written out here a second time, on the `cryptography` package and `hmac`: what the library's codec
makes must equal it byte for byte.
"""

from __future__ import annotations

import hmac
import json
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors.kept import settle  # noqa: E402

HERE = Path(__file__).resolve().parent
P = 2**255 - 19

NETWORK_KEY = bytes(range(32))
EPOCH = 1
PRIVATE_A = bytes.fromhex("c8a3c662833d15873ff6542fec7e9be91560458ede4489ce1bc7b52ac8e7f46c")
PRIVATE_B = bytes.fromhex("709d12ae04719826c0ea1430827438d2ff6e21e1369164872d47bc0103410250")
RID = bytes.fromhex("a1b2c3d4")
TOKEN = bytes.fromhex("1011121314151617")
TARGET = bytes.fromhex("855969fdce98b54a")
IPV4 = bytes((192, 168, 7, 21))
IPV6 = bytes.fromhex("20010470000000000000000000000021")


def hkdf(ikm: bytes, info: bytes, n: int) -> bytes:
    """RFC 5869 with SHA-256 and an empty salt."""
    prk = hmac.digest(bytes(32), ikm, sha256)
    out, block, i = b"", b"", 1
    while len(out) < n:
        block = hmac.digest(prk, block + info + bytes((i,)), sha256)
        out, i = out + block, i + 1
    return out[:n]


def public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def node_id(u: bytes) -> bytes:
    """The Ed25519 key of an X25519 one: y = (u - 1) / (u + 1), sign 0."""
    n = int.from_bytes(u, "little")
    return ((n - 1) * pow(n + 1, -1, P) % P).to_bytes(32, "little")


ID_A, ID_B = node_id(public(PRIVATE_A)), node_id(public(PRIVATE_B))
SHARED = X25519PrivateKey.from_private_bytes(PRIVATE_A).exchange(X25519PublicKey.from_public_bytes(public(PRIVATE_B)))
PAIR = hkdf(SHARED, b"picoswarm pair v1" + min(ID_A, ID_B) + max(ID_A, ID_B), 16)
KEYS = hkdf(NETWORK_KEY, b"picoswarm datagram v1", 64)
LABEL = hkdf(NETWORK_KEY, b"picoswarm label v1", 8)


def plaintext(kind: int, body: bytes, size: int, pair: bytes | None, rid: bytes = RID, sender: bytes = ID_A) -> bytes:
    """A message; the flags of `kind` tell the form, `size` is that of the whole datagram at least."""
    text = bytes((kind | (0x40 if pair else 0),)) + rid + (sender if kind & 0x80 else sender[:8]) + body
    tail = 8 if pair else 0
    text += bytes(max(0, size - 13 - len(text) - tail))
    if pair:
        text += hmac.digest(pair, LABEL + text, sha256)[:8]
    return text


def seal(text: bytes, byte0: int = 0x10 | EPOCH, mac: bytes = KEYS[:32], enc: bytes = KEYS[32:]) -> bytes:
    """The datagram of a plaintext."""
    tag = hmac.digest(mac, bytes((byte0,)) + text, sha256)[:12]
    stream = Cipher(ChaCha20(enc, bytes(4) + tag), None).encryptor()
    return bytes((byte0,)) + tag + stream.update(text)


def record(flags: int, id32: bytes, ip: bytes, udp: int, tcp: int) -> bytes:
    return bytes((flags,)) + id32 + ip + udp.to_bytes(2, "big") + tcp.to_bytes(2, "big")


PING = (4660).to_bytes(2, "big") + (2).to_bytes(2, "big") + bytes(2)
PONG_TAIL = (4000).to_bytes(2, "big") + TOKEN + (4660).to_bytes(2, "big")
FIND = TOKEN + TARGET
RECORDS = [record(4 * (i & 1), bytes((i,)) * 32, bytes((192, 168, 7, 30 + i)), 4000 + i, 5000 + i) for i in range(11)]
RECORDS6 = [record(1 | 2, bytes((i,)) * 32, IPV6[:15] + bytes((i,)), 4000 + i, 5000 + i) for i in range(9)]

MESSAGES = [
    ("PING, first: whole id", 0x81, PING, 50, PAIR),
    ("PING, first, repeated with the token of a small PONG", 0x91, PING + TOKEN, 50, PAIR),
    ("PING, later: short id, token, padded", 0x11, PING + TOKEN, 50, PAIR),
    ("PING, later, over IPv6", 0x11, PING + TOKEN, 62, PAIR),
    ("PING, untagged, to a bootstrap node", 0x81, PING, 74, None),
    ("PONG", 0x02, IPV4 + PONG_TAIL, 0, PAIR),
    ("PONG, the asker has IPv6", 0x22, IPV6 + PONG_TAIL, 0, PAIR),
    ("PONG of a bootstrap node to who asked without a pair tag: whole id", 0x82, IPV4 + PONG_TAIL, 0, None),
    ("PONG without room for a key agreement: a token only", 0x02, IPV4 + PONG_TAIL, 0, None),
    ("FIND_NODE for four records", 0x03, FIND, 50, PAIR),
    ("FIND_NODE beyond a distance", 0x03, FIND + bytes.fromhex("00a51c"), 50, PAIR),
    ("FIND_NODE for four IPv6 records", 0x03, FIND, 62, PAIR),
    ("FIND_NODE after an untagged exchange: whole id", 0x83, FIND, 50, PAIR),
    ("NEIGHBORS, nobody", 0x04, b"\x01", 42, PAIR),
    ("NEIGHBORS, four", 0x04, b"\x01" + b"".join(RECORDS[:4]), 42, PAIR),
    ("NEIGHBORS, the second of two parts", 0x04, b"\x12" + b"".join(RECORDS[:2]), 42, PAIR),
    ("NEIGHBORS, eleven", 0x04, b"\x01" + b"".join(RECORDS), 42, PAIR),
    ("NEIGHBORS, nine with IPv6", 0x04, b"\x01" + b"".join(RECORDS6), 42, PAIR),
    ("BEACON", 0x85, bytes(2) + PING[:4], 64, None),
]

GOOD = plaintext(0x81, PING, 50, PAIR)


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


OTHER = hkdf(bytes(range(1, 33)), b"picoswarm datagram v1", 64)
REFUSED = [
    ("41 bytes", "size", seal(GOOD)[:41]),
    ("513 bytes", "size", seal(GOOD + bytes(513 - 13 - len(GOOD)))),
    ("version 0", "version", seal(GOOD, 0x01)),
    ("version 2", "version", seal(GOOD, 0x21)),
    ("an epoch that is not held", "version", seal(GOOD, 0x12)),
    ("one bit of the tag, so that all decrypts to junk", "implausible", flip(seal(GOOD), 5)),
    ("one bit of the request id", "forged", flip(seal(GOOD), 14)),
    ("one bit of the pair tag", "forged", flip(seal(GOOD), 63)),
    ("sealed under another network key, type plausible by chance", "forged", None),
    ("type 0", "implausible", seal(plaintext(0x80, PING, 74, PAIR))),
    ("type 6", "implausible", seal(plaintext(0x86, PING, 74, PAIR))),
    ("FIND_NODE one byte short", "implausible", seal(plaintext(0x03, FIND[:15], 0, PAIR))),
    ("FIND_NODE without a pair tag", "implausible", seal(plaintext(0x83, FIND, 74, None))),
    ("NEIGHBORS without a pair tag", "implausible", seal(plaintext(0x84, b"\x01", 74, None))),
    ("PING without pair tag and whole id", "implausible", seal(plaintext(0x01, PING, 74, None))),
    ("BEACON with a short id", "implausible", seal(plaintext(0x05, bytes(6), 74, None))),
    ("BEACON with a pair tag", "implausible", seal(plaintext(0x85, bytes(6), 74, PAIR))),
    ("a token flag and no room for one", "implausible", seal(plaintext(0x91, PING, 0, PAIR))),
    ("an IPv6 flag and an IPv4 body", "implausible", seal(plaintext(0x22, IPV4 + PONG_TAIL, 0, PAIR))),
]


def another_network() -> bytes:
    """A datagram of another mesh whose first block, decrypted under ours, looks like a tagged PING."""
    for i in range(100000):
        data = seal(plaintext(0x81, PING, 50, PAIR, i.to_bytes(4, "big")), mac=OTHER[:32], enc=OTHER[32:])
        stream = Cipher(ChaCha20(KEYS[32:], bytes(4) + data[1:13]), None).encryptor()
        if stream.update(data[13:14])[0] & 0x5F == 0x41:
            return data
    raise AssertionError("not found")


def build() -> dict[Path, str]:
    refused = [(name, why, data or another_network()) for name, why, data in REFUSED]
    messages = [(name, plaintext(kind, body, size, pair)) for name, kind, body, size, pair in MESSAGES]
    common = {
        "network_key": NETWORK_KEY.hex(),
        "epoch": EPOCH,
        "sender_static_private": PRIVATE_A.hex(),
        "sender_id": ID_A.hex(),
        "receiver_static_private": PRIVATE_B.hex(),
        "receiver_id": ID_B.hex(),
        "pair_key": PAIR.hex(),
        "label": LABEL.hex(),
    }
    sealed = [{"name": n, "plaintext": t.hex(), "datagram": seal(t).hex()} for n, t in messages]
    dropped = [{"name": n, "why": w, "datagram": d.hex()} for n, w, d in refused]
    lines = ['"""Made by host_tests/vectors/make_datagram.py."""\n']
    for name, value in (("NETWORK_KEY", NETWORK_KEY), ("ID_A", ID_A), ("PAIR", PAIR)):
        lines.append(f'{name} = "{value.hex()}"')
    lines.append("MESSAGES = (  # plaintext, datagram")
    lines += [f'    ("{t.hex()}", "{seal(t).hex()}"),  # {n}' for n, t in messages if len(t) < 200]
    lines.append(")\nREFUSED = (  # why, datagram")
    lines += [f'    ("{w}", "{d.hex()}"),  # {n}' for n, w, d in refused if len(d) < 200]
    lines.append(")\n")
    return {
        HERE / "datagram-messages.json": json.dumps({**common, "messages": sealed}, indent=1) + "\n",
        HERE / "datagram-refused.json": json.dumps({**common, "refused": dropped}, indent=1) + "\n",
        HERE.parent / "unit" / "datagram_vectors.py": "# ruff: noqa: E501\n" + "\n".join(lines),
    }


def main(check: bool) -> int:
    return settle(build(), check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
