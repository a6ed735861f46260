"""Members of a mesh in this process, around one node under test: they fill its table, ask it and answer it.

Each has an id of its own, a socket of its own at 127.0.0.1, and the datagram codec; no engine. Their ids are chosen so that
every k-bucket of the node has as many as it holds: random ids would fill five of sixteen.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator
from copy import copy
from itertools import count

from picoswarm.crypto import X25519, run, u_from_id
from picoswarm.datagram import Codec, encode_find_node, encode_ping, encode_pong, start_neighbors
from picoswarm.identity import is_valid_id, pair_key
from picoswarm.membership import Membership
from picoswarm.nodekey import Identity

HOST = "127.0.0.1"
IP = bytes((127, 0, 0, 1))
BUCKETS = 16
PING, PONG, FIND_NODE, NEIGHBORS = 1, 2, 3, 4
IN_FLIGHT = 4  # questions at once to one node: as many as it has slots for datagrams that wait for a key agreement
TURN_S = 0.6  # a peer is answered twice a second
ANSWER_S = 2.0
SILENCE_S = 10.0  # without any answer: the node is given up

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_BASE_Y = 4 * pow(5, -1, _P) % _P
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_FIRST = 2**254 + 8 * 123_456_789  # a private static key: bit 254 set, a multiple of 8
_BATCH = 512  # points that share one inversion

Point = tuple[int, int, int, int]  # X, Y, Z, X * Y / Z on -x^2 + y^2 = 1 + d x^2 y^2


def _add(a: Point, b: Point) -> Point:
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    g, h = 2 * _D * t1 * t2 % _P, 2 * z1 * z2
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(n: int) -> Point:
    """n times the base point."""
    result, power = (0, 1, 1, 0), (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)
    while n:
        if n & 1:
            result = _add(result, power)
        power, n = _add(power, power), n >> 1
    return result


def identities() -> Iterator[tuple[int, int]]:
    """(private static key, node id as a little-endian number), over and over; an addition each, as making a key from a seed
    would take ten times as long and half a million are looked at. Always the same ones."""
    point, eight = _times(_FIRST), _times(8)
    for private in count(_FIRST, 8 * _BATCH):
        points = []
        for _ in range(_BATCH):
            points.append(point)
            point = _add(point, eight)
        products = [1]
        for each in points:
            products.append(products[-1] * each[2] % _P)
        inverse = pow(products.pop(), -1, _P)
        ys = []
        for each, before in zip(reversed(points), reversed(products), strict=True):
            ys.append(each[1] * inverse * before % _P)
            inverse = inverse * each[2] % _P
        for i, y in enumerate(reversed(ys)):
            yield private + 8 * i, y


def identity(private: int, y: int) -> Identity:
    """A node key with this static key. Its Ed25519 seed is none: nothing in discovery signs."""
    return Identity(bytes(32), private.to_bytes(32, "little"), y.to_bytes(32, "little"))


def bucket_of(a: int, b: int) -> int:
    """The k-bucket of two ids, given as little-endian numbers (docs/protocol.md, 3.5)."""
    differ = a ^ b
    return max(0, ((differ & 0xFF) << 8 | differ >> 8 & 0xFF).bit_length() - 1)


def table_full(k: int, replacements: int, replacements_per_bucket: int) -> tuple[Identity, list[Identity]]:
    """(a node's key, the keys of members that fill its table to the last entry and replacement). Takes some seconds."""
    keys = identities()
    own_private, own = next(keys)
    room = [k] * BUCKETS
    for bucket in range(BUCKETS - replacements // replacements_per_bucket, BUCKETS):
        room[bucket] += replacements_per_bucket
    members = []
    while any(room):
        private, y = next(keys)
        bucket = bucket_of(own, y)
        if room[bucket] and is_valid_id(y.to_bytes(32, "little")):
            room[bucket] -= 1
            members.append(identity(private, y))
    return identity(own_private, own), members


class Member:
    """One member, which is an exchange with the node (see picoswarm.datagram). `is_proven`: the node has answered its PING
    that carried the node's token."""

    def __init__(self, crowd: Crowd, own: Identity, node_id: bytes) -> None:
        self.id = own.id
        self.is_proven = False
        self.has_token = False
        self.asked_at = -TURN_S
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind((HOST, 0))
        self.port = self.sock.getsockname()[1]
        self._crowd = crowd
        self._codec = Codec(crowd.membership, own.id, 8)
        self._pair = pair_key(run(X25519(own.static_private, u_from_id(node_id))), own.id, node_id)
        self.peer = bytearray(node_id + self._pair + bytes(12))
        self.key, self.ip, self.has_pair, self.is_full = crowd.membership.highest, IP, True, True
        self._buf = bytearray(512)
        self._asked = 0  # the type that is waited for

    @property
    def waits(self) -> bool:
        """Whether a question is on its way."""
        return self._asked != 0 and time.monotonic() - self.asked_at < ANSWER_S

    def ask(self, kind: int, target: bytes = b"") -> None:
        """Send a PING or a FIND_NODE; the first ones are PINGs, without a token and with it. The whole id stands in a PING
        until one was answered, and after silence: the node may have forgotten us (docs/protocol.md, 3.1)."""
        self.peer[56:60] = self._crowd.rng.randbytes(4)
        self.is_full = False
        if kind == PING or not self.is_proven or self._asked:
            kind = PING
            self.is_full = not self.has_token or self._asked != 0
            n = encode_ping(self._codec, self._buf, self, self.has_token)
        else:
            n = encode_find_node(self._codec, self._buf, self, target, 0, 50)
        self._asked, self.asked_at = kind, time.monotonic()
        self._send(n)

    def hear(self) -> None:
        """Take the datagrams that wait at the socket."""
        while True:
            try:
                n = self.sock.recv_into(self._buf)
            except BlockingIOError:
                return
            codec = self._codec
            if codec.open(self._buf, n) or not codec.is_paired(self._pair):
                self._crowd.unread += 1  # an untagged PONG: no slot was left; we ask again
            elif codec.type in (PONG, NEIGHBORS):
                self._on_answer()
            else:
                self._answer()

    def _on_answer(self) -> None:
        if self._codec.type == PONG:
            self.is_proven |= self.has_token
            self.peer[48:56] = self._buf[self._codec.token :][:8]
            self.has_token = True
        self._crowd.answered += self._asked != 0
        self._crowd.heard_at = time.monotonic()
        self._asked = 0
        if not self.is_proven:
            self.ask(PING)  # at once: the node keeps the pair key of some that are not in its table, not of all

    def _answer(self) -> None:
        """The node asks us: a PONG, or NEIGHBORS with the four members closest to its target."""
        codec = self._codec
        answer = copy(self)  # the own question, on its way, keeps its request id
        answer.peer = self.peer[:56] + self._buf[14:18]
        answer.port, answer.is_full = self._crowd.port, False
        self._crowd.served += 1
        if codec.type == PING:
            self._send(encode_pong(codec, self._buf, answer))
        else:
            target = bytes(self._buf[codec.body + 8 : codec.body + 16])
            at = start_neighbors(codec, self._buf, answer, 0, 1)
            for other in self._crowd.closest(target, 4):
                record = bytes(1) + other.id + IP + other.port.to_bytes(2) + bytes(2)
                self._buf[at : at + len(record)] = record
                at += len(record)
            self._send(codec.pad(self._buf, at, 42))

    def _send(self, n: int) -> None:
        self.sock.sendto(self._buf[:n], (HOST, self._crowd.port))


class Crowd:
    """`with Crowd(membership, keys, node_id, port)`: the members listen. They speak in `fill` and `load`."""

    def __init__(self, membership: Membership, keys: list[Identity], node_id: bytes, port: int) -> None:
        self.membership = membership
        self.port = port  # the node's
        self.rng = random.Random(1)
        self.answered = 0  # questions that the node answered
        self.served = 0  # questions of the node that a member answered
        self.unread = 0
        self.heard_at = time.monotonic()
        self.members = [Member(self, key, node_id) for key in keys]

    def __enter__(self) -> Crowd:
        for member in self.members:
            asyncio.get_running_loop().add_reader(member.sock, member.hear)
        return self

    def __exit__(self, *exception: object) -> None:
        for member in self.members:
            asyncio.get_running_loop().remove_reader(member.sock)
            member.sock.close()

    def closest(self, target: bytes, n: int) -> list[Member]:
        """The members closest to the 8-byte target."""
        wanted = int.from_bytes(target, "big")
        return sorted(self.members, key=lambda member: int.from_bytes(member.id[:8], "big") ^ wanted)[:n]

    async def fill(self) -> None:
        """Let every member prove itself to the node. Raises TimeoutError when the node falls silent."""
        while not all(member.is_proven for member in self.members):
            for member in self.members:
                if not member.is_proven:
                    await self._ask(member, PING)

    async def load(self, datagrams: int) -> None:
        """Ask the node until it has answered `datagrams` times, each member in its turn, PINGs and FIND_NODEs at random.
        Raises TimeoutError when the node falls silent."""
        end = self.answered + datagrams
        while self.answered < end:
            for member in self.members:
                await self._ask(member, self.rng.choice((PING, FIND_NODE)))

    async def _ask(self, member: Member, kind: int) -> None:
        while sum(each.waits for each in self.members) >= IN_FLIGHT or time.monotonic() - member.asked_at < TURN_S:
            if time.monotonic() - self.heard_at > SILENCE_S:
                raise TimeoutError("the node is silent")
            await asyncio.sleep(0.002)
        member.ask(kind, self.rng.randbytes(8))
        await asyncio.sleep(0)
