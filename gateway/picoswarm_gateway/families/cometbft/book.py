"""Addresses of nodes: new ones, that others told of, and tried ones, that were of use; and who is banned (rows T31-T39).

It is the address book of the device library (docs/protocol.md 6) in the size of a gateway: buckets by a secret, so that one
source or network reaches few places; a draw that prefers those that did not fail; who has proven its address is moved by
nobody's word. An id of CometBFT has 20 bytes, which stand in the first of the book's 32.
"""

from __future__ import annotations

import ipaddress
import os
import random
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace

from picoswarm.addrbook import AddressBook, is_bad
from picoswarm.address import may_name, scope, unwrap

NEW, TRIED, BUCKETS = 1024, 256, 8
ENOUGH = 1000  # addresses, beyond which no more are asked for
SHARED, SHARED_LEAST, SHARED_MOST = 23, 32, 250  # per cent of the book in an answer, and its bounds (row T30)
DRAWS = 16  # for one dial
PROVEN = 0x10  # in the state of a record
ID = 4  # where it begins in a record
BANS = 1000
LINE = re.compile(r"(?:(t|[0-7])(\+?) )?([0-9a-f]{40})@(\S+):(\d{1,5})")
Address = tuple[str, str, int]  # id, ip, port


class _Pool(AddressBook):
    """The library's, with a search that does not look at each record: it may hold a thousand."""

    def find(self, id32: bytes) -> int:
        at = -1
        while (at := self.pool.find(id32, at + 1)) >= 0:
            if at % self.step == ID and self.pool[at - ID]:
                return at - ID
        return -1


def _id32(node: str) -> bytes:
    return bytes.fromhex(node) + bytes(12)


def _packed(ip: str) -> bytes:
    """The bytes of an address; of none that can be dialed for what is no address."""
    try:
        return unwrap(ipaddress.ip_address(ip).packed)
    except ValueError:
        return bytes(4)


class Book:
    """See the module. `own`: this node's id; `private`: ids that are neither kept nor told (row T38). `clock`: seconds that
    do not jump."""

    def __init__(self, own: str, private: Iterable[str], clock: Callable[[], float]) -> None:
        sizes = SimpleNamespace(book_new=NEW, book_tried=TRIED, ipv6=1)
        kept_out = [_id32(each) for each in (own, *private)]
        self._pool = _Pool(sizes, os.urandom(8), os.urandom, kept_out)
        self._clock = clock
        self._banned: OrderedDict[str, tuple[float, Address | None]] = OrderedDict()  # until when, and where it was

    def __len__(self) -> int:
        return self._pool.count

    def __iter__(self) -> Iterator[Address]:
        return map(self._address, self._used())

    @property
    def tried(self) -> int:
        """Of how many it is known that they are of use."""
        return sum(at >= self._middle for at in self._used())

    @property
    def _middle(self) -> int:
        return self._pool.new * self._pool.step

    def _used(self) -> Iterator[int]:
        pool = self._pool
        return (at for at in range(0, len(pool.pool), pool.step) if pool.pool[at])

    def _address(self, at: int) -> Address:
        record = self._pool.record(at)
        return record[1:21].hex(), str(ipaddress.ip_address(record[33:-4])), int.from_bytes(record[-2:], "big")

    def add(self, node: str, ip: str, port: int, source: str, source_ip: str) -> bool:
        """`source`, at `source_ip`, told of a node. True: it was taken."""
        if not 0 < port < 65536 or node in self._banned:
            return False
        return self._pool.add(0, _id32(node), _packed(ip), port, port, _id32(source), _packed(source_ip))

    def attempt(self, node: str) -> None:
        """A dial begins."""
        self._pool.attempt(_id32(node), int(self._clock()))

    def failed(self, node: str) -> None:
        """It failed."""
        self._pool.failed(_id32(node))

    def connected(self, node: str, ip: str, port: int) -> None:
        """It was dialed there, and has proven its key."""
        self._pool.connected(0, _id32(node), _packed(ip), port, port)

    def good(self, node: str) -> None:
        """It was of use."""
        self._pool.good(_id32(node), int(self._clock()))

    def remove(self, node: str) -> None:
        """Another one answered there, or it is of no use."""
        self._pool.bad(_id32(node))

    def draw(self, outbound: int) -> list[Address]:
        """Some to dial, by chance: the more outbound connections there are, the more of the new ones (row T31)."""
        percent = min(outbound, 8) * 10 + 10
        found: dict[str, Address] = {}
        for _ in range(DRAWS if len(self) else 0):
            id32, ip, port = self._pool.pick(percent, int(self._clock()))
            node = id32[:20].hex()
            found[node] = (node, str(ipaddress.ip_address(ip)), port)
        return list(found.values())

    def selection(self, ip: str) -> list[Address]:
        """What a peer at `ip` is told: a part, at random; first those with whom there was a connection."""
        kind = scope(_packed(ip))
        fit = [at for at in self._used() if not self._pool.pool[at] & 0x0F and may_name(kind, scope(self._ip(at)))]
        count = min(SHARED_MOST, max(SHARED_LEAST, len(fit) * SHARED // 100))
        random.shuffle(fit)
        fit.sort(key=lambda at: not self._pool.pool[at] & PROVEN)
        return [self._address(at) for at in fit[:count]]

    def _ip(self, at: int) -> bytes:
        return self._pool.record(at)[33:-4]

    # Bans

    def ban(self, node: str, seconds: float) -> None:
        """No connection with it for so long, and nobody is told of it."""
        at = self._pool.find(_id32(node))
        self._banned[node] = (self._clock() + seconds, self._address(at) if at >= 0 else None)
        self.remove(node)
        while len(self._banned) > BANS:
            self._banned.popitem(last=False)

    def is_banned(self, node: str) -> bool:
        """Whether it is, now."""
        return self._banned.get(node, (0.0, None))[0] > self._clock()

    def lift(self) -> None:
        """Whose time is over is new again (row T32)."""
        for node in [each for each in self._banned if not self.is_banned(each)]:
            _, address = self._banned.pop(node)
            if address:
                self.add(*address, node, address[1])

    # The disk

    def saved(self) -> list[str]:
        """Lines to keep over a restart: the secret of the buckets, then "bucket id@ip:port", t for a tried one, with a +
        where it has proven its address. The ones that were of use come first; who fails is left out."""
        pool = self._pool
        lines = []
        for at in self._used():
            if not is_bad(pool.pool[at]):
                mark = "+" if pool.pool[at] & PROVEN else ""
                place = "t" if at >= self._middle else str(at // (self._middle // BUCKETS))
                node, ip, port = self._address(at)
                lines.append(f"{place}{mark} {node}@{ip}:{port}")
        return [f"secret {pool.secret.hex()}", *sorted(lines, key=lambda line: (line[0] != "t", line[1] != "+", line))]

    def load(self, lines: Iterable[str]) -> None:
        """What `saved` gave earlier, checked like hearsay."""
        pool = self._pool
        for line in lines:
            if secret := re.fullmatch("secret ([0-9a-f]{16})", line):
                pool.secret = bytes.fromhex(secret[1])
            elif found := LINE.fullmatch(line):
                place, mark, node, ip, port = found.groups()
                id32, packed, number = _id32(node), _packed(ip), int(port)
                if number < 65536 and pool.is_credible(id32, packed, number) and pool.find(id32) < 0:
                    at = pool.tried_place(id32, packed, 0) if place == "t" else pool.place(int(place or 0))
                    if at >= 0 and not pool.pool[at]:
                        pool.write(at, PROVEN if mark else 0, 0, id32, packed, number, number)
