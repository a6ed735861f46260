"""What the channels carry, as far as a light peer needs it: who one is, addresses, transactions, heights, blocks.

Sources: proto/tendermint/{p2p,mempool,consensus,blocksync,types} of CometBFT 0.38; rows T18, T28-T34.
"""

from __future__ import annotations

from dataclasses import dataclass

from .proto import Malformed, blob, fields, many, number, one, signed

PEX, STATE, MEMPOOL, BLOCKSYNC = 0x00, 0x20, 0x30, 0x40  # channels
CHANNELS = bytes((PEX, STATE, MEMPOOL, BLOCKSYNC))
P2P_VERSION, BLOCK_VERSION = 8, 11
SOFTWARE = "0.38.25"  # whose messages these are
INFO_MAX = 10_240
ADDRESSES_MAX = 250
NEW_HEIGHT = 1  # the first step of a height
TXS_MAX = 100_000  # of a block
HEIGHT_MAX = (1 << 63) - 2


@dataclass
class NodeInfo:
    """What each side tells of itself first."""

    id: str  # 40 hexadecimal digits
    network: str  # the chain's id
    moniker: str
    listen: str = ""  # "tcp://ip:port"
    channels: bytes = CHANNELS
    version: str = SOFTWARE
    block_version: int = BLOCK_VERSION

    def encode(self) -> bytes:
        """For the wire, without a length."""
        protocol = number(1, P2P_VERSION) + number(2, self.block_version)
        return (
            blob(1, protocol, True)
            + blob(2, self.id.encode())
            + blob(3, self.listen.encode())
            + blob(4, self.network.encode())
            + blob(5, self.version.encode())
            + blob(6, self.channels)
            + blob(7, self.moniker.encode())
            + blob(8, blob(1, b"off"), True)
        )

    @classmethod
    def decode(cls, data: bytes) -> NodeInfo:
        """Raises Malformed."""
        found = fields(data)
        texts = []
        for field in (2, 3, 4, 5, 7):
            try:
                text = one(found, field, b"").decode("ascii")
            except UnicodeDecodeError:
                raise Malformed("a name is not ASCII") from None
            if not text.isprintable() and text:
                raise Malformed("a name is not printable")
            texts.append(text)
        node_id, listen, network, version, moniker = texts
        channels = one(found, 6, b"")
        if len(channels) > 16 or len(set(channels)) != len(channels):
            raise Malformed("channels are listed twice, or too many")
        block = one(fields(one(found, 1, b"")), 2, 0)
        return cls(node_id, network, moniker, listen, channels, version, block)

    def refusal(self, mine: NodeInfo, proven_id: str) -> str:
        """Why this is nobody to speak with; empty where it is."""
        if self.id != proven_id:
            return "its id is not that of its key"
        if self.id == mine.id:
            return "it is this node"
        if self.block_version != mine.block_version:
            return f"its blocks are of version {self.block_version}"
        if self.network != mine.network:
            return f"it is of the network {self.network[:50]}"
        if not set(self.channels) & set(mine.channels):
            return "no channel in common"
        return ""


def new_round_step(height: int) -> bytes:
    """That this node is at a height, without which nobody gossips transactions to it."""
    return blob(1, number(1, height) + number(3, NEW_HEIGHT) + (number(5, -1) if height <= 1 else b""), True)


def height_of_step(data: bytes) -> int | None:
    """The height in a NewRoundStep; None for any other message of that channel. Raises Malformed."""
    step = one(fields(data), 1, b"")
    return _height(one(fields(step), 1, 0)) if step else None


def _height(value: int) -> int:
    if not 0 <= (height := signed(value)) <= HEIGHT_MAX:
        raise Malformed("a height that cannot be")
    return height


def transactions(txs: list[bytes]) -> bytes:
    """Transactions for the mempool."""
    return blob(1, b"".join(blob(1, tx) for tx in txs), True)


def transactions_in(data: bytes) -> list[bytes]:
    """Raises Malformed."""
    return many(fields(one(fields(data), 1, b"")), 1)


PEX_REQUEST = blob(1, b"", True)


def addresses(known: list[tuple[str, str, int]]) -> bytes:
    """(id, ip, port) of nodes, as an answer."""
    parts = (blob(1, node_id.encode()) + blob(2, ip.encode()) + number(3, port) for node_id, ip, port in known)
    return blob(2, b"".join(blob(1, part) for part in parts), True)


def pex(data: bytes) -> list[tuple[str, str, int]] | None:
    """(id, ip, port) of each address in an answer; None for a request. Raises Malformed."""
    found = fields(data)
    if any(field == 1 for field, _ in found):
        return None
    listed = many(fields(one(found, 2, b"")), 1)
    if len(listed) > ADDRESSES_MAX:
        raise Malformed("too many addresses")
    known = []
    for each in map(fields, listed):
        try:
            known.append((one(each, 1, b"").decode("ascii"), one(each, 2, b"").decode("ascii"), one(each, 3, 0)))
        except UnicodeDecodeError:
            raise Malformed("an address is not ASCII") from None
    return known


STATUS_REQUEST = blob(4, b"", True)


def status(height: int, base: int) -> bytes:
    """From where to where this node has blocks."""
    return blob(5, number(1, height) + number(2, base), True)


def block_request(height: int) -> bytes:
    """Ask for a block."""
    return blob(1, number(1, height), True)


def no_block(height: int) -> bytes:
    """It is not here."""
    return blob(2, number(1, height), True)


@dataclass
class Block:
    """A block: its header as bytes, its transactions, and the commit of the block before it, as bytes."""

    height: int
    header: bytes
    txs: list[bytes]
    last_commit: bytes


def blocksync(data: bytes) -> tuple[str, Block | int | tuple[int, int]]:
    """(what it is, what it says): `request` a height, `no block` a height, `block` a Block, `ask` 0, `status` (height,
    base). Raises Malformed."""
    found = fields(data)
    if len(found) != 1:
        raise Malformed("a message of blocksync is one of five")
    kind, body = found[0][0], fields(found[0][1]) if isinstance(found[0][1], bytes) else None
    if body is None:
        raise Malformed("a message of blocksync is one of five")
    if kind == 3:
        block = fields(one(body, 1, b""))
        header = one(block, 1, b"")
        height = signed(one(fields(header), 3, 0))
        return "block", Block(height, header, many(fields(one(block, 2, b""), TXS_MAX), 1), one(block, 4, b""))
    if kind == 5:
        return "status", (_height(one(body, 1, 0)), _height(one(body, 2, 0)))
    if kind not in (1, 2, 4):
        raise Malformed("a message of blocksync is one of five")
    return {1: "request", 2: "no block", 4: "ask"}[kind], _height(one(body, 1, 0))


def is_block(data: bytes) -> bool:
    """Whether a message of blocksync is a block, which may be long: nothing else of it is looked at."""
    return data[:1] == blob(3, b"", True)[:1]
