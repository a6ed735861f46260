"""Keys and signed transactions for the tests: what a wallet would do, by coincurve. Nothing of it is in the product."""

from __future__ import annotations

from hashlib import new as new_hash
from hashlib import sha256

from coincurve import PrivateKey
from picoswarm_gateway.families.bitcoin.networks import double_sha256
from picoswarm_gateway.families.bitcoin.wire import text

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


class Key:
    """A key, and its pay-to-witness-public-key-hash script."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        self.public = self._key.public_key.format()
        self.hash = new_hash("ripemd160", sha256(self.public).digest()).digest()
        self.script = b"\0\x14" + self.hash

    def address(self, prefix: str) -> str:
        """Bech32 (BIP173), version 0: `bcrt` regtest, `sb` simnet."""
        bits = int.from_bytes(self.hash, "big")
        data = [0] + [bits >> shift & 31 for shift in range(155, -1, -5)]
        values = [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *data]
        check = _polymod([*values, *(0,) * 6]) ^ 1
        return prefix + "1" + "".join(ALPHABET[v] for v in [*data, *(check >> 5 * (5 - i) & 31 for i in range(6))])

    def spend(self, txid: bytes, index: int, amount: int, to: bytes, paid: int) -> bytes:
        """A signed transaction with a witness (BIP143): all of an output of ours to a script; the rest is the fee."""
        point = txid + index.to_bytes(4, "little")
        sequence = b"\xff\xff\xff\xff"
        outputs = paid.to_bytes(8, "little") + text(to)
        code = text(b"\x76\xa9\x14" + self.hash + b"\x88\xac")
        two, zero, kind = (2).to_bytes(4, "little"), bytes(4), (1).to_bytes(4, "little")
        preimage = two + double_sha256(point) + double_sha256(sequence) + point + code + amount.to_bytes(8, "little")
        preimage += sequence + double_sha256(outputs) + zero + kind
        signature = self._key.sign(double_sha256(preimage), hasher=None) + b"\1"
        witness = b"\2" + text(signature) + text(self.public)
        return two + b"\0\1\1" + point + b"\0" + sequence + b"\1" + outputs + witness + zero


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    return check
