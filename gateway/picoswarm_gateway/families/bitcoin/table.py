"""`[bitcoin]`: the table of the configuration."""

from __future__ import annotations

import ipaddress

import msgspec

from .networks import NETWORKS, Network, own_signet

NAMES = tuple(NETWORKS)
TRANSPORTS = ("v2", "v1")
LONGEST_CHALLENGE = 252  # bytes


class BitcoinTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[bitcoin]`: the network that boards follow through this gateway."""

    network: str = ""  # of NAMES; empty: no Bitcoin
    signet_challenge: str = ""  # of a signet of one's own: the script, in hexadecimal digits, that its blocks satisfy
    peers: list[str] = []  # "ip:port" of full nodes that are dialed for ever; an own one is the best peer there is
    only_peers: bool = False  # none but these are dialed
    dns_seeds: bool = True  # ask the network's seeds for peers, while too few are known
    outbound: int = 8
    transport: str = "v2"  # of TRANSPORTS; v2 is encrypted (BIP324), and falls back to v1 where a peer has none
    listen: int = 0  # a port on which peers are taken; 0: none
    listen_host: str = "127.0.0.1"
    inbound: int = 16

    @property
    def chosen(self) -> Network:
        """The network that is meant."""
        return own_signet(bytes.fromhex(self.signet_challenge)) if self.signet_challenge else NETWORKS[self.network]

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (path, what is wrong) for what cannot be."""
        for key, words in (("network", ("", *NAMES)), ("transport", TRANSPORTS)):
            value = getattr(self, key)
            if value is not None and value not in words:
                found.append((f"bitcoin.{key}", f"one of {', '.join(filter(None, words))}"))
        try:
            count = len(bytes.fromhex(self.signet_challenge or ""))
        except ValueError:
            count = -1
        if not 0 <= count <= LONGEST_CHALLENGE or (count and self.network != "signet"):
            found.append(("bitcoin.signet_challenge", f"a script of at most {LONGEST_CHALLENGE} bytes, with network signet"))
        for text in self.peers or []:
            try:
                endpoint(text)
            except ValueError:
                found.append(("bitcoin.peers", f'"ip:port", not {text!r}'))
        for key in ("outbound", "inbound"):
            if not 0 <= (getattr(self, key) or 0) <= 125:
                found.append((f"bitcoin.{key}", "in 0..125"))
        if not 0 <= (self.listen or 0) <= 65535:
            found.append(("bitcoin.listen", "a port lies in 0..65535"))


def endpoint(text: str) -> tuple[bytes, int]:
    """(ip as 4 or 16 bytes, port) of "ip:port" or "[ipv6]:port". Raises ValueError."""
    host, _, port = text.rpartition(":")
    return ipaddress.ip_address(host.strip("[]")).packed, int(port)
