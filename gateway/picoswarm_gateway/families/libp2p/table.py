"""The table `[libp2p]` of the gateway's configuration (docs/libp2p.md)."""

from __future__ import annotations

import msgspec
from picoswarm.multiaddr import parse_address, tcp_address


class Libp2pTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[libp2p]`: the gateway as a peer of libp2p networks."""

    enabled: bool = False
    listen: str = ""  # "ip:port"; empty: it dials only
    announce: list[str] = []  # addresses that peers are told, as multiaddresses; empty: where it listens
    peers: list[str] = []  # multiaddresses, with their peer ids, that it keeps connections to
    topics: list[str] = []  # that it takes part in, whether a board hears them or not
    router: str = "gossipsub"  # or floodsub
    dht: str = "/ipfs/kad/1.0.0"  # protocol of the DHT that is asked where peers are; empty: none
    boards: str = ""  # ip, or "ip:first-last" port range, where peers reach boards; empty: not at all
    low: int = 160  # connections above `high` are let go, down to so many
    high: int = 192
    streams: int = 1000  # that one peer may have open
    board_streams: int = 8  # that one board may have open through the gateway
    board_messages: int = 32  # that wait for one board
    board_topics: int = 16

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (path of the field, what is wrong with it)."""
        for i, text in enumerate(self.peers or []):
            parts = parse_address(text)
            address = tcp_address(parts) if parts else None
            if address is None or address[2] is None:
                found.append((f"libp2p.peers[{i}]", "/ip4/IP/tcp/PORT/p2p/PEER, or /dns4/NAME/tcp/PORT/p2p/PEER"))
        for i, text in enumerate(self.announce or []):
            if parse_address(text) is None:
                found.append((f"libp2p.announce[{i}]", "a multiaddress"))
        if self.router not in ("gossipsub", "floodsub"):
            found.append(("libp2p.router", "gossipsub or floodsub"))
        if self.dht and not self.dht.startswith("/"):
            found.append(("libp2p.dht", "/ipfs/kad/1.0.0, or what the network calls it"))
        if self.listen and endpoint(self.listen) is None:
            found.append(("libp2p.listen", "ip:port"))
        if self.boards and port_range(self.boards) is None:
            found.append(("libp2p.boards", "ip, or ip:first-last"))
        if not 0 < (self.low or 0) <= (self.high or 0):
            found.append(("libp2p.low", "more than 0, and at most `high`"))
        for name in ("streams", "board_streams", "board_messages", "board_topics"):
            if (getattr(self, name) or 0) < 1:
                found.append((f"libp2p.{name}", "1 or more"))


def endpoint(text: str) -> tuple[str, int] | None:
    """(ip, port) of "ip:port", or None."""
    ip, _, port = text.rpartition(":")
    return (ip.strip("[]"), int(port)) if ip and port.isdecimal() and int(port) < 65536 else None


def port_range(text: str) -> tuple[str, int, int] | None:
    """(ip, first, last) of "ip" (0 and 0: any port) or "ip:first-last", or None."""
    ip, _, ports = text.partition(":")
    if not ports:
        return ip, 0, 0
    first, _, last = ports.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 65536):
        return None
    return ip, int(first), int(last)
