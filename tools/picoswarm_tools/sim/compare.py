"""What the same lookups cost in discv4 and in BitTorrent's mainline DHT: their real messages, over the same tables.

A model, and a kind one: no packet is lost, nobody is slow, every answer is full, and "known" contacts need no endpoint proof
at all. Messages are encoded byte for byte (RLP inside discv4's 98-byte frame, bencode per BEP 5) and measured; hash and
signature stand in at their fixed lengths. Lookup rules: geth's (k 16, alpha 3; ends when the 16 closest are asked, silent
ones among them) and mainline's (k 8, alpha 3; ends when the 8 closest of those that answer have answered).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

NodeId = int  # a 256-bit number: distance is XOR
Tables = Mapping[NodeId, Sequence[NodeId]]  # what each LIVE node hands out; an id without an entry is dead

_IP, _PORT = b"\x14\x01\x02\x03", 30303
_EXPIRATION = 1_800_000_000
_RECORD_SEQUENCE = 1_700_000_000_000  # geth starts it at Unix milliseconds: 6 bytes


def rlp(item: bytes | int | Sequence[object]) -> bytes:
    """Ethereum's recursive length prefix of bytes, of a number, or of a list of such."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8)
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _rlp_head(0x80, len(item)) + item
    body = b"".join(rlp(part) for part in item)  # type: ignore[arg-type]
    return _rlp_head(0xC0, len(body)) + body


def _rlp_head(base: int, length: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([base + 55 + len(size)]) + size


def bencode(item: bytes | int | Sequence[object] | Mapping[bytes, object]) -> bytes:
    """BitTorrent's encoding; the keys of a mapping in order, as BEP 3 wants them."""
    if isinstance(item, int):
        return b"i%de" % item
    if isinstance(item, bytes):
        return b"%d:%s" % (len(item), item)
    if isinstance(item, Mapping):
        return b"d" + b"".join(bencode(key) + bencode(item[key]) for key in sorted(item)) + b"e"  # type: ignore[arg-type]
    return b"l" + b"".join(bencode(part) for part in item) + b"e"  # type: ignore[arg-type]


class Discv4:
    """Ethereum's discovery v4 with IPv4 records: hash 32 | signature 65 | type 1 | RLP list."""

    name = "discv4"
    k = 16
    alpha = 3
    keeps_silent = True  # a silent node stays among the closest; the lookup ends when all of those were asked

    @staticmethod
    def _packet(kind: int, *fields: object) -> int:
        return len(bytes(97) + bytes([kind]) + rlp(fields))

    def ping(self) -> int:
        return self._packet(1, 4, (_IP, _PORT, _PORT), (_IP, _PORT, 0), _EXPIRATION, _RECORD_SEQUENCE)

    def pong(self) -> int:
        return self._packet(2, (_IP, _PORT, 0), bytes(32), _EXPIRATION, _RECORD_SEQUENCE)

    def query(self) -> int:
        return self._packet(3, bytes(64), _EXPIRATION)

    def answer(self, n: int) -> int:
        """NEIGHBORS with `n` nodes, 12 in a packet; an empty answer is sent too."""
        size = 0
        while True:
            part = min(n, 12)
            size += self._packet(4, [(_IP, _PORT, _PORT, bytes(64))] * part, _EXPIRATION)
            n -= part
            if not n:
                return size

    def first_contact(self, is_alive: bool) -> int:
        """What an endpoint proof both ways adds before the first query (row D10: four packets)."""
        return 2 * (self.ping() + self.pong()) if is_alive else self.ping()


class Mainline:
    """BitTorrent's DHT (BEP 5) at its specified minimum, with 2-byte transaction ids; libtorrent's answers are longer."""

    name = "mainline"
    k = 8
    alpha = 3
    keeps_silent = False

    def ping(self) -> int:
        return len(bencode({b"t": b"aa", b"y": b"q", b"q": b"ping", b"a": {b"id": bytes(20)}}))

    def pong(self) -> int:
        return len(bencode({b"t": b"aa", b"y": b"r", b"r": {b"id": bytes(20)}}))

    def query(self) -> int:
        return len(bencode({b"t": b"aa", b"y": b"q", b"q": b"find_node", b"a": {b"id": bytes(20), b"target": bytes(20)}}))

    def answer(self, n: int) -> int:
        return len(bencode({b"t": b"aa", b"y": b"r", b"r": {b"id": bytes(20), b"nodes": bytes(26 * n)}}))

    def first_contact(self, is_alive: bool) -> int:
        return 0  # no endpoint proof at all: whoever asks is answered


Protocol = Discv4 | Mainline


@dataclass(slots=True)
class Cost:
    """One lookup: its bytes with every contact known and with every contact new, and what it asked and found."""

    known_bytes: int = 0
    cold_bytes: int = 0
    queries: int = 0
    closest: list[NodeId] = field(default_factory=list)


def lookup(protocol: Protocol, tables: Tables, own: NodeId, start: Iterable[NodeId], target: NodeId) -> Cost:
    """One lookup of `own` for `target` that begins with the nodes of `start`."""
    cost = Cost()
    seen = {node for node in start if node != own}
    asked: set[NodeId] = set()
    silent: set[NodeId] = set()
    while True:
        ranked = sorted(
            (node for node in seen if protocol.keeps_silent or node not in silent), key=lambda node: node ^ target
        )
        closest = ranked[: protocol.k]
        wave = [node for node in closest if node not in asked][: protocol.alpha]
        if not wave:
            cost.closest = [node for node in closest if node not in silent]
            return cost
        for node in wave:
            asked.add(node)
            cost.queries += 1
            is_alive = node in tables
            spent = protocol.query()
            if is_alive:
                answer = sorted(tables[node], key=lambda other: other ^ target)[: protocol.k]
                spent += protocol.answer(len(answer))
                seen.update(other for other in answer if other != own)
            else:
                silent.add(node)
            cost.known_bytes += spent
            cost.cold_bytes += spent + protocol.first_contact(is_alive)
