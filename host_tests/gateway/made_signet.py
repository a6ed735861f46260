"""Blocks of a signet that a test makes up, with their solutions (BIP325): a second writing of what the gateway checks."""

from __future__ import annotations

from hashlib import sha256

from coincurve import PrivateKey
from mining import EASY, mine
from picoswarm_gateway.families.bitcoin.networks import double_sha256
from picoswarm_gateway.families.bitcoin.signet import hash160, push
from picoswarm_gateway.families.bitcoin.wire import size, text

KEYS = [PrivateKey(bytes(31) + bytes((i,))) for i in range(1, 4)]
PUBLIC = [key.public_key.format() for key in KEYS]
MULTISIG = b"\x52" + b"".join(push(key) for key in PUBLIC) + b"\x53\xae"  # two of three
SINGLE = push(PUBLIC[0]) + b"\xac"
HASHED = b"\x76\xa9\x14" + hash160(PUBLIC[0]) + b"\x88\xac"
COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed" + double_sha256(bytes(64))  # to the witness of a coinbase that is alone
WITNESS = b"\1\x20" + bytes(32)


def in_hash(script: bytes) -> bytes:
    """A P2SH of a script."""
    return b"\xa9\x14" + hash160(script) + b"\x87"


def in_witness(script: bytes) -> bytes:
    """A P2WSH of a script."""
    return b"\0\x20" + sha256(script).digest()


def _coinbase(height: int, solution: bytes) -> tuple[bytes, bytes]:
    """(as it is hashed, as it stands in the block)."""
    script = COMMITMENT + push(b"\xec\xc7\xda\xa2" + solution)
    number = bytes((0x50 + height,)) if height <= 16 else push(height.to_bytes(2, "little"))
    body = b"\1" + bytes(32) + b"\xff" * 4 + text(number + b"\x51") + b"\xff" * 4
    body += b"\2" + (50 * 10**8).to_bytes(8, "little") + b"\1\x51" + bytes(8) + text(script)
    version = (1).to_bytes(4, "little")
    return version + body + bytes(4), version + b"\0\1" + body + WITNESS + bytes(4)


class Signing:
    """What a signer of a challenge does. `secrets`: the keys that sign; `solve(digests, keys)`: (script, witness)."""

    def __init__(self, challenge: bytes, secrets, solve) -> None:
        self.challenge = challenge
        self._secrets = secrets
        self._solve = solve

    def solution(self, told: bytes) -> bytes:
        spend = bytes(4) + b"\1" + bytes(32) + b"\xff" * 4 + text(b"\0" + push(told)) + bytes(4)
        spend += b"\1" + bytes(8) + text(self.challenge) + bytes(4)
        point = double_sha256(spend) + bytes(4)

        def legacy(script: bytes) -> bytes:
            return bytes(4) + b"\1" + point + text(script) + bytes(4) + b"\1" + bytes(8) + b"\1\x6a" + bytes(4)

        def segregated(script: bytes) -> bytes:
            out = double_sha256(bytes(8) + b"\1\x6a")
            parts = bytes(4), double_sha256(point), double_sha256(bytes(4)), point, text(script), bytes(8), bytes(4), out
            return b"".join(parts) + bytes(4)

        def signed(form, script: bytes) -> list[bytes]:
            digest = double_sha256(form(script) + b"\1\0\0\0")
            return [key.sign(digest, hasher=None) + b"\1" for key in self._secrets]

        script, witness = self._solve(lambda s: signed(legacy, s), lambda s: signed(segregated, s))
        return text(script) + size(len(witness)) + b"".join(text(each) for each in witness)

    def block(
        self, before: bytes, height: int, is_signed: bool = True, salt: int = 0, bits: int = EASY, nonce: int | None = None
    ) -> tuple[bytes, bytes]:
        """(header, block) behind a header. `nonce`: the one that has been found for it."""
        time = int.from_bytes(before[68:72], "little") + 600 + salt
        root = double_sha256(_coinbase(height, b"")[0])
        told = (4).to_bytes(4, "little") + double_sha256(before) + root + time.to_bytes(4, "little")
        hashed, whole = _coinbase(height, self.solution(told) if is_signed else b"\0\0")
        root = double_sha256(hashed)
        if nonce is None:
            header = mine(before, time, bits, root)
        else:
            header = told[:36] + root + time.to_bytes(4, "little") + bits.to_bytes(4, "little") + nonce.to_bytes(4, "little")
        return header, header + b"\1" + whole


def pushes(items: list[bytes]) -> bytes:
    return b"".join(push(each) for each in items)


TWO = KEYS[0], KEYS[2]
FORMS = {
    "anybody": Signing(b"\x51", (), lambda legacy, segregated: (b"", [])),
    "a key": Signing(SINGLE, KEYS[:1], lambda legacy, segregated: (pushes(legacy(SINGLE)), [])),
    "a key's hash": Signing(HASHED, KEYS[:1], lambda legacy, _: (pushes([*legacy(HASHED), PUBLIC[0]]), [])),
    "two of three keys": Signing(MULTISIG, TWO, lambda legacy, _: (b"\0" + pushes(legacy(MULTISIG)), [])),
    "their hash": Signing(in_hash(MULTISIG), TWO, lambda legacy, _: (b"\0" + pushes([*legacy(MULTISIG), MULTISIG]), [])),
    "a key's hash, by witness": Signing(
        b"\0\x14" + hash160(PUBLIC[0]), KEYS[:1], lambda _, segregated: (b"", [*segregated(HASHED), PUBLIC[0]])
    ),
    "two of three keys, by witness": Signing(
        in_witness(MULTISIG), TWO, lambda _, segregated: (b"", [b"", *segregated(MULTISIG), MULTISIG])
    ),
    "two of three keys, by witness behind a hash": Signing(
        in_hash(in_witness(MULTISIG)),
        TWO,
        lambda _, segregated: (push(in_witness(MULTISIG)), [b"", *segregated(MULTISIG), MULTISIG]),
    ),
}
