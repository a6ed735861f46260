"""The table `[cometbft]` of the gateway's configuration (docs/cometbft.md)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

ADDRESS = re.compile(r"[0-9a-f]{40}@[^@\s:/]+:\d{1,5}")


class CometTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[cometbft]`: which chain is followed, and through whom."""

    chain: str = ""  # the chain's id; empty: none is followed
    peers: list[str] = []  # "id@host:port" of nodes that are always dialed
    rpc: str = ""  # http://host:port of a node's RPC: for result codes, queries, and validators that are not known yet
    genesis: str = ""  # the chain's genesis file, whose validators are trusted; or
    trusted_height: int = 0  # a block that is trusted, known from elsewhere, with
    trusted_hash: str = ""  # its hash, 64 hexadecimal digits
    trusted_days: float = 14.0  # a block older than that is no ground for trust any more
    listen: str = ""  # "ip:port" where nodes may connect; empty: nowhere
    connections: int = 4  # that it dials
    inbound: int = 20  # that it accepts
    seeds: list[str] = []  # "id@host:port" of nodes that are asked for others where no address is known
    private: list[str] = []  # ids, 40 hexadecimal digits, that nobody is told of
    seed: bool = False  # it is a seed itself: it collects addresses, and who asks for them is answered and let go
    rate: int = 512_000  # bytes a second, each way, of one connection

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (field, mistake) to the list."""
        if not self.chain:
            return
        for key in ("peers", "seeds"):
            for i, peer in enumerate(getattr(self, key) or ()):
                if not ADDRESS.fullmatch(peer):
                    found.append(
                        (f"cometbft.{key}", f"the {i + 1}. is no id@host:port with 40 lower-case hexadecimal digits")
                    )
        if not self.peers and not self.listen and not self.seeds:
            found.append(("cometbft.peers", "name one, or seeds, or let others connect by listen"))
        if not all(re.fullmatch("[0-9a-f]{40}", each) for each in self.private or ()):
            found.append(("cometbft.private", "ids of 40 lower-case hexadecimal digits"))
        if self.seed and not self.listen:
            found.append(("cometbft.seed", "a seed needs listen, so that others can ask it"))
        if (self.rate or 0) < 10_000:
            found.append(("cometbft.rate", "10000 bytes a second at least"))
        if self.rpc and (urlsplit(self.rpc).scheme not in ("http", "https") or not urlsplit(self.rpc).hostname):
            found.append(("cometbft.rpc", "http://host:port"))
        if self.trusted_hash and not re.fullmatch(r"[0-9a-fA-F]{64}", self.trusted_hash):
            found.append(("cometbft.trusted_hash", "64 hexadecimal digits"))
        if bool(self.trusted_height) != bool(self.trusted_hash):
            found.append(("cometbft.trusted_height", "give the height and the hash, or neither"))
        if bool(self.trusted_height) == bool(self.genesis):
            found.append(
                ("cometbft.genesis", "trust begins with a genesis file, or with a block (trusted_height, trusted_hash)")
            )
        if self.trusted_height and not self.rpc:
            found.append(("cometbft.rpc", "trusted_height needs it, to ask for that block and its validators"))
        for key in ("connections", "inbound", "trusted_days"):
            if (getattr(self, key) or 0) < 0:
                found.append((f"cometbft.{key}", "not below 0"))
