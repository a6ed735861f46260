"""The table `[ethereum]` of the gateway's configuration (docs/ethereum.md)."""

from __future__ import annotations

import re

import msgspec


class EthereumTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[ethereum]`: which network is followed, and through whom."""

    network: int = 0  # the network's id: 1 is the main one; 0: none is followed
    genesis: str = ""  # hash of its first block, 64 hexadecimal digits
    peers: list[str] = []  # enode:// or enr: URLs of nodes that are always dialed
    trusted: list[str] = []  # of nodes that may connect where all places are taken
    bootnodes: list[str] = []  # enode:// or enr: URLs of nodes that tell of others (discv4)
    host: str = "127.0.0.1"  # own address, where nodes answer to
    port: int = 30303  # TCP and UDP; 0: any free one
    listen: bool = False  # nodes may dial the gateway
    connections: int = 4  # that it dials
    inbound: int = 8  # that it accepts
    poll_s: float = 2.0  # between questions for newer headers: nobody announces them any more

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (field, mistake) to the list."""
        if not self.network:
            return
        if not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", self.genesis or ""):
            found.append(("ethereum.genesis", "64 hexadecimal digits"))
        for key in ("peers", "trusted", "bootnodes"):
            for i, url in enumerate(getattr(self, key) or ()):
                if why := _mistake(url):
                    found.append((f"ethereum.{key}", f"the {i + 1}. {why}"))
        if not self.peers and not self.bootnodes and not self.listen:
            found.append(("ethereum.peers", "name some, or bootnodes, or let others dial by listen"))
        if not 0 <= (self.port or 0) <= 65535:
            found.append(("ethereum.port", "a port lies in 0..65535"))
        if (self.poll_s or 0) <= 0:
            found.append(("ethereum.poll_s", "more than 0"))


def _mistake(url: str) -> str:
    """What is wrong with the URL of a node; empty: nothing."""
    if not url.startswith(("enode://", "enr:")):
        return "is neither an enode:// nor an enr: URL"
    from .record import read_enode, read_enr  # with a library for signatures, which nobody else needs
    from .rlp import Malformed

    try:
        read_enode(url) if url.startswith("enode:") else read_enr(url).node
    except Malformed as error:
        return f"cannot be read: {error}"
    return ""
