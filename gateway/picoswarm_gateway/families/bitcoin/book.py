"""Addresses of peers: new ones, that others told of, and tried ones, with whom there were connections (rows B11-B21, B23,
B25).

It is the address book of the device library (docs/protocol.md 6) in the size of a gateway: buckets by a secret, so that one
source or network reaches few places; a draw that prefers those that did not fail. A peer has no id here, so one is made of
its address and port.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING

from picoswarm.addrbook import AddressBook
from picoswarm.address import group, scope, unwrap

from .messages import Address

if TYPE_CHECKING:
    from ...state import State

SCHEMA = ["CREATE TABLE bitcoin_peers (network TEXT, ip BLOB, port INTEGER, is_tried INTEGER);"]
NEW, TRIED = 1024, 256
ENOUGH = 1000  # addresses, beyond which no more are asked for
SHARED = 23  # per cent of the book that an answer tells (row B20)
DRAWS = 100
LATER_S = 3 * 86_400
BAN_S = 86_400.0
BANS = 1000


def as_id(ip: bytes, port: int) -> bytes:
    """32 bytes that stand for an address, as the book wants an id."""
    return sha256(ip + port.to_bytes(2, "big")).digest()[:31] + b"\0"


class Book:
    """See the module. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float], name: str) -> None:
        self._clock = clock
        self._network = name
        sizes = SimpleNamespace(book_new=NEW, book_tried=TRIED, ipv6=1)
        self._book = AddressBook(sizes, os.urandom(8), os.urandom, [])
        self._known: dict[bytes, Address] = {}
        self._banned: dict[bytes, float] = {}  # until when, by address

    def __len__(self) -> int:
        return self._book.count

    def add(self, address: Address, source: Address) -> bool:
        """Somebody told of an address. True: it was new."""
        ip = unwrap(address.ip)
        id32 = as_id(ip, address.port)
        if not scope(ip):
            return False
        if self._book.add(0, id32, ip, address.port, address.port, as_id(source.ip, source.port), unwrap(source.ip)):
            self._known[id32] = Address(ip, address.port, address.services, address.time)
            if len(self._known) > 4 * (NEW + TRIED):
                self._known = {key: each for key, each in self._known.items() if self._book.find(key) >= 0}
            return True
        return False

    def tried(self, address: Address) -> None:
        """A dial begins."""
        self._book.attempt(as_id(address.ip, address.port), int(self._clock()))

    def failed(self, address: Address) -> None:
        """It failed."""
        self._book.failed(as_id(address.ip, address.port))

    def good(self, address: Address) -> None:
        """The handshake with a peer that we dialed is done."""
        id32 = as_id(address.ip, address.port)
        self._book.connected(0, id32, address.ip, address.port, address.port)
        self._book.good(id32, int(self._clock()))
        self._known[id32] = address

    def pick(self, groups: set[bytes], taken: set[tuple[bytes, int]]) -> Address | None:
        """An address to dial, of a network (`group`) to which there is no connection yet; None: there is none."""
        for _ in range(DRAWS):
            drawn = self._book.pick(50, int(self._clock()))
            if drawn is None:
                return None
            id32, ip, port = drawn
            if group_of(Address(ip, port)) in groups or (ip, port) in taken or self.is_banned(ip):
                continue
            return self._known.get(id32, Address(ip, port))
        return None

    def share(self, most: int) -> list[Address]:
        """What a peer may be told: a part, at random."""
        known = [each for id32, each in self._known.items() if self._book.find(id32) >= 0]
        count = min(most, max(1, len(known) * SHARED // 100)) if known else 0
        order = sorted(known, key=lambda _: os.urandom(8))
        return order[:count]

    # Bans

    def ban(self, ip: bytes) -> None:
        """No connection with this address for a day."""
        if len(self._banned) >= BANS:
            self._banned.pop(next(iter(self._banned)))
        self._banned[ip] = self._clock() + BAN_S

    def is_banned(self, ip: bytes) -> bool:
        """Whether it is banned now."""
        until = self._banned.get(ip)
        if until is not None and until < self._clock():
            del self._banned[ip]
        return ip in self._banned

    # The disk

    async def load(self, db: State) -> None:
        """Take what was saved; what was tried counts as told by itself, and has to prove itself again."""
        sql = "SELECT ip, port FROM bitcoin_peers WHERE network = ?"
        for ip, port in await db.read(sql, (self._network,)):
            address = Address(ip, port)
            self.add(address, address)

    async def save(self, db: State) -> None:
        """Write the addresses."""
        kept = [each for id32, each in self._known.items() if self._book.find(id32) >= 0]
        rows = [(self._network, each.ip, each.port, 0) for each in kept[: NEW + TRIED]]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM bitcoin_peers WHERE network = ?", (self._network,))
            connection.executemany("INSERT INTO bitcoin_peers VALUES (?, ?, ?, ?)", rows)

        await db.change(write)


def group_of(address: Address) -> bytes:
    """What one owner is likely to hold whole; on loopback each port is on its own, since peers of a test live there."""
    mark = group(address.ip)
    return mark + address.port.to_bytes(2, "big") if scope(address.ip) == 1 else mark
