"""The networks that there are: what differs between them, as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256

SPAN = 2016  # blocks between two changes of difficulty
SPAN_S = 14 * 86_400  # what they ought to take
REDUCE_S = 1200  # where a network reduces: so long without a block, and the easiest target is allowed
WARP_S = 600  # BIP94: how far the first block of a period may lie before the last one of the period before

_FIRST_ROOT = "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"


def double_sha256(data: bytes) -> bytes:
    """The hash of headers, transactions and messages."""
    return sha256(sha256(data).digest()).digest()


def _genesis(time: int, bits: int, nonce: int, root: str = _FIRST_ROOT, version: int = 1) -> bytes:
    numbers = time.to_bytes(4, "little") + bits.to_bytes(4, "little") + nonce.to_bytes(4, "little")
    return version.to_bytes(4, "little") + bytes(32) + bytes.fromhex(root) + numbers


@dataclass(frozen=True)
class Network:
    """One network. `genesis`: its first header, 80 bytes. `versions`: (height, least version of a block from there on).
    `least_work`: a chain with less is not the network's (that of a block of 2025; a lower bound for ever). `challenge`: the
    script that each block has to satisfy (BIP325); empty: none."""

    name: str
    magic: bytes
    port: int
    genesis: bytes
    retargets: bool = True
    reduces: bool = False  # after REDUCE_S without a block the easiest target is the one that counts
    is_bip94: bool = False  # retargets from the first block of a period, and bounds how times may go back there
    seeds: tuple[str, ...] = ()
    versions: tuple[tuple[int, int], ...] = field(default=((1, 4),))
    least_work: int = 0
    challenge: bytes = b""

    @property
    def genesis_hash(self) -> bytes:
        """32 bytes, as they go over the wire."""
        return double_sha256(self.genesis)

    @property
    def limit_bits(self) -> int:
        """The easiest target there is."""
        return int.from_bytes(self.genesis[72:76], "little")


NETWORKS = {
    each.name: each
    for each in (
        Network(
            "main",
            bytes.fromhex("f9beb4d9"),
            8333,
            _genesis(1231006505, 0x1D00FFFF, 2083236893),
            seeds=("seed.bitcoin.sipa.be", "dnsseed.bluematt.me", "seed.bitcoin.sprovoost.nl", "seed.bitcoin.wiz.biz"),
            versions=((227_931, 2), (363_725, 3), (388_381, 4)),
            least_work=0x13E00277374C9F9EEADC70200,
        ),
        Network(
            "testnet4",
            bytes.fromhex("1c163f28"),
            48333,
            _genesis(1714777860, 0x1D00FFFF, 393743547, "4e7b2b9128fe0291db0693af2ae418b767e657cd407e80cb1434221eaea7a07a"),
            reduces=True,
            is_bip94=True,
            seeds=("seed.testnet4.bitcoin.sprovoost.nl", "seed.testnet4.wiz.biz"),
            least_work=0x1D6DCE8651B6094E4C1,
        ),
        Network(
            "signet",
            bytes.fromhex("0a03cf40"),
            38333,
            _genesis(1598918400, 0x1E0377AE, 52613770),
            seeds=("seed.signet.bitcoin.sprovoost.nl",),
            least_work=0x2B517F3D1A1,
            challenge=bytes.fromhex(
                "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430"
                "210359ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae"
            ),
        ),
        Network("regtest", bytes.fromhex("fabfb5da"), 18444, _genesis(1296688602, 0x207FFFFF, 2), retargets=False),
    )
}


def own_signet(challenge: bytes) -> Network:
    """A signet of somebody's own: its blocks satisfy another script, and its magic is a part of the hash of that."""
    magic = double_sha256(bytes((len(challenge),)) + challenge)[:4]
    name = f"signet-{magic.hex()}"
    return replace(NETWORKS["signet"], name=name, magic=magic, seeds=(), least_work=0, challenge=challenge)
