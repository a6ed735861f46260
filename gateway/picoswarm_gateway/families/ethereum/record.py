"""What tells of a node: ENR (EIP-778, identity scheme v4) and enode URLs."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any

from coincurve import PrivateKey, PublicKey

from . import rlp
from .keys import keccak256, public_bytes, public_key
from .rlp import Malformed

LONGEST = 300  # bytes of a record
SIZES = {b"id": 16, b"secp256k1": 33, b"ip": 4, b"ip6": 16, b"udp": 2, b"udp6": 2, b"tcp": 2, b"tcp6": 2}  # at most
ENODE = re.compile(r"enode://([0-9a-fA-F]{128})@([^\s:?]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})(?:\?discport=(\d{1,5}))?")


@dataclass(frozen=True)
class Node:
    """Where a node is: its public key (64 bytes), address and ports."""

    key: bytes
    ip: str
    udp: int
    tcp: int

    @property
    def id(self) -> bytes:
        """What distances are measured between, 32 bytes."""
        return keccak256(self.key)

    @property
    def enode(self) -> str:
        """Its URL."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        more = f"?discport={self.udp}" if self.udp != self.tcp else ""
        return f"enode://{self.key.hex()}@{host}:{self.tcp}{more}"


def read_enode(url: str) -> Node:
    """Raises Malformed."""
    found = ENODE.fullmatch(url.strip())
    if not found:
        raise Malformed("it is no enode://KEY@ADDRESS:PORT")
    key, host, tcp, udp = found.groups()
    public_key(bytes.fromhex(key))
    try:
        ip = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        raise Malformed("an enode wants an IP address") from None
    return Node(bytes.fromhex(key), ip, int(udp or tcp), int(tcp))


@dataclass
class Record:
    """A signed record. `pairs`: raw values by key; `raw`: as it was signed."""

    sequence: int
    pairs: dict[bytes, Any]
    raw: bytes = field(repr=False, default=b"")

    @property
    def node(self) -> Node:
        """Where it says that its node is; an address or port that it leaves out is "" or 0."""
        key = public_bytes(PublicKey(self.pairs[b"secp256k1"]))
        ip = self.pairs.get(b"ip", b"") or self.pairs.get(b"ip6", b"")
        suffix = b"" if self.pairs.get(b"ip") else b"6"
        ports = [int.from_bytes(self.pairs.get(name + suffix, b""), "big") for name in (b"udp", b"tcp")]
        return Node(key, str(ipaddress.ip_address(ip)) if ip else "", ports[0], ports[1])

    @property
    def url(self) -> str:
        """enr:..."""
        return "enr:" + base64.urlsafe_b64encode(self.raw).rstrip(b"=").decode()


def make_record(key: PrivateKey, sequence: int, node: Node, **more: Any) -> Record:
    """A record of a node, signed."""
    pairs: dict[bytes, Any] = {name.encode(): value for name, value in more.items()}
    address = ipaddress.ip_address(node.ip)
    suffix = b"6" if address.version == 6 else b""
    pairs |= {b"id": b"v4", b"secp256k1": key.public_key.format(), b"ip" + suffix: address.packed}
    pairs |= {b"udp" + suffix: rlp.number(node.udp), b"tcp" + suffix: rlp.number(node.tcp)}
    content = [rlp.number(sequence)]
    for name in sorted(pairs):
        content += [name, pairs[name]]
    signature = key.sign_recoverable(keccak256(rlp.encode(content)), hasher=None)[:64]
    return Record(sequence, pairs, rlp.encode([signature, *content]))


def read_record(data: bytes) -> Record:
    """Check a record's form and signature. Raises Malformed."""
    if len(data) > LONGEST:
        raise Malformed("a record is too long")
    items = rlp.listed(rlp.decode(data), 2)
    signature, content = rlp.sized(items[0], 64), items[1:]
    names = content[1::2]
    if len(content) % 2 == 0 or any(not isinstance(name, bytes) for name in names):
        raise Malformed("a record is a list of pairs")
    if any(one >= other for one, other in zip(names, names[1:], strict=False)):
        raise Malformed("the pairs of a record are not in order")
    pairs = dict(zip(names, content[2::2], strict=True))
    if not all(
        isinstance(pairs.get(name, b""), bytes) and len(pairs.get(name, b"")) <= most for name, most in SIZES.items()
    ):
        raise Malformed("an address or a port that cannot be")
    if pairs.get(b"id") != b"v4" or len(pairs.get(b"ip", bytes(4))) != 4 or len(pairs.get(b"ip6", bytes(16))) != 16:
        raise Malformed("a record of another kind")
    digest = keccak256(rlp.encode(content))
    key = rlp.sized(pairs.get(b"secp256k1"), 33)
    if not any(_recovered(signature + bytes((v,)), digest) == key for v in (0, 1)):
        raise Malformed("a record's signature is wrong")
    return Record(rlp.integer(content[0]), pairs, data)


def read_enr(url: str) -> Record:
    """From enr:... Raises Malformed."""
    text = url.strip().removeprefix("enr:")
    try:
        return read_record(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise Malformed("it is no enr: URL") from None


def _recovered(signature: bytes, digest: bytes) -> bytes:
    try:
        return PublicKey.from_signature_and_message(signature, digest, hasher=None).format()
    except Exception:  # coincurve raises its own, and plain ones
        return b""
