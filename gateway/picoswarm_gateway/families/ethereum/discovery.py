"""A discv4 node on a UDP socket: it answers, keeps its table alive, looks nodes up, and crawls (discv4.md; rows D).

Nobody gets more than it sent before it has proven its address: a PONG to our PING within the last 12 hours, from that
address."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from typing import Any

from coincurve import PrivateKey

from ..strangers import is_believed
from . import rlp
from .database import Database
from .discv4 import (
    ASK_RECORD,
    FIND,
    NEIGHBORS,
    NEIGHBORS_EACH,
    PING,
    PONG,
    RECORD,
    VERSION,
    endpoint,
    expires,
    pack,
    read_neighbor,
    unpack,
)
from .kademlia import SIZE, Entry, Table, distance
from .keys import keccak256, public_bytes
from .record import Node, Record, make_record, read_record
from .rlp import Malformed

PROOF_S = 12 * 3600.0
ANSWER_S = 0.7
ALPHA = 3
EMPTY_S = 5.0  # between two looks whether the table is empty
CHECK_S = {False: 3.0, True: 9.0}  # between two nodes that are checked, at most; of the slow ones
KEPT_CHECKS = 5  # answers until a node is kept over a restart
REFRESH_S = 1800.0  # at most, half of it at least
SEEDS = 30  # nodes of the database that it begins with
PEERS = 20_000  # proofs that are remembered
ASKING = 1000  # questions under way
TARGETS = 1024
PACKETS = 2000  # a second that are looked at: each costs a signature
Address = tuple[str, int]
Key = tuple[bytes, str]  # a public key at an address


class Discovery(asyncio.DatagramProtocol):
    """See the module. `node`: this one."""

    def __init__(
        self, key: PrivateKey, node: Node, bootnodes: Iterable[Node] = (), database: Database | None = None
    ) -> None:
        self.node = node
        self.database = database or Database()
        self.table = Table(node.id)
        self.counts: Counter[str] = Counter(
            received=0, sent=0, bytes_in=0, bytes_out=0, dropped=0, unproven=0, expired=0, flooded=0
        )
        self.record: Record = make_record(key, int(time.time() * 1000), node)
        self.on_node: Callable[[Node], None] = lambda node: None
        self._key = key
        self._bootnodes = list(bootnodes)
        self._proofs: OrderedDict[Key, float] = OrderedDict()  # they answered our PING
        self._seen: OrderedDict[Key, float] = OrderedDict()  # they sent a PING: they know us
        self._waiting: dict[tuple[Key, int], list[tuple[Callable[[list[Any]], bool], asyncio.Future[Any]]]] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._second, self._budget = 0.0, PACKETS
        self._takes_strangers = True
        for public, ip, age in self.database.proofs(PROOF_S):
            self._proofs[public, ip] = time.monotonic() - age

    async def start(self) -> None:
        """Bind the socket; port 0 gets a free one. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (self.node.ip, self.node.udp))
        port = self._transport.get_extra_info("sockname")[1]
        self.node = Node(self.node.key, self.node.ip, port, self.node.tcp)
        self.record = make_record(self._key, self.record.sequence, self.node)

    def stop(self) -> None:
        """Close the socket."""
        for task in self._tasks:
            task.cancel()
        if self._transport:
            self._transport.close()

    async def keep(self) -> None:
        """Join, and keep the table alive, for ever. Who comes by itself may not fill the table before that is done."""
        self._takes_strangers = False
        await self.join()
        self._takes_strangers = True
        jobs = (self._keep_fresh(), self._keep_checking(False), self._keep_checking(True))
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await asyncio.gather(*tasks)
        finally:  # where one failed, all begin again
            for task in tasks:
                task.cancel()

    async def _keep_fresh(self) -> None:
        while True:
            end = time.monotonic() + REFRESH_S * random.uniform(0.5, 1)
            while time.monotonic() < end and len(self.table):
                await asyncio.sleep(EMPTY_S)
                self.database.sweep()
            await asyncio.sleep(EMPTY_S)
            await self.join()

    async def _keep_checking(self, is_slow: bool) -> None:
        while True:
            await asyncio.sleep(random.uniform(0, CHECK_S[is_slow]))
            if entry := self.table.to_check(is_slow):
                await self.check(entry)

    async def check(self, entry: Entry) -> None:
        """Whether a node is still there, and what its record says where that is newer."""
        pong = await self._ping(entry.node)
        self.table.checked(entry, pong is not None, time.monotonic())
        if pong is None:
            return
        told = 0
        with suppress(Malformed, IndexError):  # older nodes tell no number
            told = rlp.integer(pong[3])
        if told > entry.sequence and (record := await self.ask_record(entry.node)):
            entry.sequence = max(told, record.sequence)
            if (record.node.ip, record.node.udp) == (entry.node.ip, entry.node.udp):
                entry.node = record.node  # whose port for connections may be another one
        if entry.checks >= KEPT_CHECKS:
            self.database.keep(entry.node, entry.sequence)

    async def join(self) -> None:
        """Look this node up from the boot nodes and from those that were good before, and three at random."""
        await asyncio.gather(*(self.ping(node) for node in [*self._bootnodes, *self.database.seeds(SEEDS)]))
        await self.lookup(self.node.key)
        for _ in range(3):
            await self.lookup(os.urandom(64))

    # Questions

    async def ping(self, node: Node) -> bool:
        """Whether it answers; then its address is proven."""
        return await self._ping(node) is not None

    async def _ping(self, node: Node) -> list[Any] | None:
        packet = pack(self._key, PING, [VERSION, endpoint(self.node), endpoint(node), expires(), self.record.sequence])
        return await self._ask(node, packet, PONG, lambda items: items[1] == packet[:32])

    async def find(self, node: Node, target: bytes) -> list[Node] | None:
        """Its neighbors of a public key; None without an answer."""
        await self._be_known(node)
        found: list[Node] = []

        def take(items: list[Any]) -> bool:
            listed = items[0] if isinstance(items[0], list) else []
            found.extend(each for each in map(read_neighbor, listed) if each and is_believed(each.ip, node.ip))
            return len(found) >= SIZE or len(listed) < NEIGHBORS_EACH

        answer = await self._ask(node, pack(self._key, FIND, [target, expires()]), NEIGHBORS, take)
        if not found:
            self.table.failed(node.id, time.monotonic())
            self.database.failed(node.key, node.ip)
        else:
            self.database.found(node.key)
        return found[:SIZE] if found or answer is not None else None

    async def ask_record(self, node: Node) -> Record | None:
        """Its record, verified."""
        await self._be_known(node)
        packet = pack(self._key, ASK_RECORD, [expires()])
        answer = await self._ask(node, packet, RECORD, lambda items: items[0] == packet[:32])
        if answer is None:
            return None
        with suppress(Malformed):
            record = read_record(rlp.encode(answer[1]))
            if record.node.key == node.key:
                return record
        return None

    async def lookup(self, target: bytes) -> list[Node]:
        """The nodes that are nearest to a public key, as far as they answer, nearest first."""
        goal = int.from_bytes(keccak256(target), "big")

        def rank(node: Node) -> int:
            return int.from_bytes(node.id, "big") ^ goal

        known = {node.key: node for node in [*self.table.closest(keccak256(target)), *self._bootnodes]}
        asked: set[bytes] = {self.node.key}
        silent: set[bytes] = set()
        while True:
            near = sorted((node for key, node in known.items() if key not in silent), key=rank)[:SIZE]
            wanted = [node for node in near if node.key not in asked][:ALPHA]
            if not wanted:
                return [node for node in near if node.key != self.node.key]
            asked.update(node.key for node in wanted)
            for node, found in zip(wanted, await asyncio.gather(*(self.find(each, target) for each in wanted)), strict=True):
                if found is None:
                    silent.add(node.key)
                for each in found or ():
                    known.setdefault(each.key, each)

    async def crawl(self, seconds: float, most: int = 10_000) -> dict[bytes, Node]:
        """All nodes that answer, by public key: each is asked for all that it knows."""
        found: dict[bytes, Node] = {}
        waiting = {node.key: node for node in [*self._bootnodes, *(entry.node for entry in self.table)]}
        end = time.monotonic() + seconds
        while waiting and time.monotonic() < end and len(found) < most:
            some = [waiting.pop(key) for key in list(waiting)[:16]]
            for node, told in zip(some, await asyncio.gather(*map(self._all_of, some)), strict=True):
                if told is None:
                    continue
                found[node.key] = node
                for each in told:
                    if each.key not in found and each.key != self.node.key:
                        waiting.setdefault(each.key, each)
        return found

    async def _all_of(self, node: Node) -> list[Node] | None:
        """What a node's buckets hold: one question for each, nearer and nearer, until two bring nothing new."""
        told: dict[bytes, Node] = {}
        if not await self.ping(node) and not await self.ping(node):
            return None
        targets = {distance(node.id, target_id): target for target_id, target in _targets()}
        without = 0
        for far in sorted(targets, reverse=True):
            found = {each.key: each for each in await self.find(node, targets[far]) or ()}
            without = 0 if found.keys() - told.keys() else without + 1
            told |= found
            if without == 2:
                break
        return list(told.values())

    async def _be_known(self, node: Node) -> None:
        """Both have proven their addresses: it PINGs back after our PING."""
        who = (node.key, node.ip)
        if not self._is_proven(self._proofs, who):
            await self.ping(node)
        end = time.monotonic() + ANSWER_S
        while not self._is_proven(self._seen, who) and time.monotonic() < end:
            await asyncio.sleep(0.02)

    async def _ask(self, node: Node, packet: bytes, kind: int, takes: Callable[[list[Any]], bool]) -> list[Any] | None:
        if len(self._waiting) >= ASKING:
            return None
        waiting = ((node.key, node.ip), kind)
        done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        one = (takes, done)
        self._waiting.setdefault(waiting, []).append(one)
        self._send(packet, (node.ip, node.udp))
        try:
            async with asyncio.timeout(ANSWER_S):
                return await done
        except TimeoutError:
            return None
        finally:
            left = self._waiting[waiting]
            left.remove(one)
            if not left:
                del self._waiting[waiting]

    def _send(self, packet: bytes, address: Address) -> None:
        if self._transport and not self._transport.is_closing():
            self.counts["sent"] += 1
            self.counts["bytes_out"] += len(packet)
            self._transport.sendto(packet, address)

    # What comes

    def datagram_received(self, data: bytes, address: Any) -> None:
        """See asyncio."""
        self.counts["received"] += 1
        self.counts["bytes_in"] += len(data)
        if (now := time.monotonic()) - self._second >= 1:
            self._second, self._budget = now, PACKETS
        self._budget -= 1
        if self._budget < 0:
            self.counts["flooded"] += 1
            return
        try:
            key, kind, items = unpack(data)
            if kind in (PING, PONG, FIND, NEIGHBORS, ASK_RECORD):
                at = {PING: 3, PONG: 2, FIND: 1, NEIGHBORS: 1, ASK_RECORD: 0}[kind]
                if not time.time() <= rlp.integer(items[at]) < 1 << 63:  # times are signed, and may lie before 1970
                    self.counts["expired"] += 1
                    return
            if key != self.node.key:
                self._take((key, address[0]), address[:2], data, kind, items)
        except Malformed:
            self.counts["dropped"] += 1

    def error_received(self, _error: Exception) -> None:
        """A port that nobody listens on any more: the question for it ends by its time."""

    def _take(self, who: Key, address: Address, packet: bytes, kind: int, items: list[Any]) -> None:
        if kind == PING:
            self._on_ping(who, address, packet, items)
        elif kind in (PONG, NEIGHBORS, RECORD):
            self._on_answer(who, address, kind, items)
        elif not self._is_proven(self._proofs, who):
            self.counts["unproven"] += 1
        elif kind == FIND:
            near = self.table.closest(keccak256(rlp.sized(items[0], 64)))
            for i in range(0, max(1, len(near)), NEIGHBORS_EACH):
                told = [[*endpoint(node), node.key] for node in near[i : i + NEIGHBORS_EACH]]
                self._send(pack(self._key, NEIGHBORS, [told, expires()]), address)
        else:
            self._send(pack(self._key, RECORD, [packet[:32], rlp.decode(self.record.raw)]), address)

    def _on_ping(self, who: Key, address: Address, packet: bytes, items: list[Any]) -> None:
        sender = rlp.listed(items[1], 3)
        tcp = rlp.integer(sender[2], 2)
        node = Node(who[0], *address, tcp)
        self._send(pack(self._key, PONG, [endpoint(node), packet[:32], expires(), self.record.sequence]), address)
        self._note(self._seen, who)
        if self._is_proven(self._proofs, who):
            if self._takes_strangers:
                self._add(node)
        elif len(self._tasks) < ASKING:
            task = asyncio.create_task(self._prove(node))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _prove(self, node: Node) -> None:
        if await self.ping(node) and self._takes_strangers:
            self._add(node)

    def _on_answer(self, who: Key, address: Address, kind: int, items: list[Any]) -> None:
        for takes, done in self._waiting.get((who, kind), ()):
            if not done.done() and takes(items):
                done.set_result(items)
                if kind == PONG:
                    self._note(self._proofs, who)
                    self.database.answered(*who)
                    if entry := self.table.get(keccak256(who[0])):
                        entry.seen = time.monotonic()
                    else:
                        self._add(Node(who[0], *address, address[1]))
                return
        if not self._waiting.get((who, kind)):
            self.counts["dropped"] += 1

    def _add(self, node: Node) -> None:
        if self.table.add(node, time.monotonic()):
            if (entry := self.table.get(node.id)) and not entry.checks:
                entry.fails = max(entry.fails, self.database.fails(node))
            self.on_node(node)

    def _note(self, proofs: OrderedDict[Key, float], who: Key) -> None:
        proofs[who] = time.monotonic()
        proofs.move_to_end(who)
        while len(proofs) > PEERS:
            proofs.popitem(last=False)

    def _is_proven(self, proofs: OrderedDict[Key, float], who: Key) -> bool:
        return time.monotonic() - proofs.get(who, -PROOF_S) < PROOF_S


@cache
def _targets() -> list[tuple[bytes, bytes]]:
    """Ids of random keys, with the keys: enough that there is one for the farther buckets of any node."""
    keys = [os.urandom(64) for _ in range(TARGETS)]
    return [(keccak256(key), key) for key in keys]


def own_node(key: PrivateKey, ip: str, port: int) -> Node:
    """This node, on one port."""
    return Node(public_bytes(key.public_key), ip, port, port)
