"""A member of the mesh that lies in its NEIGHBORS: holds every key, follows every rule, and misleads lookups.

The lie is told on the wire, between an honest engine and the network, so it knows nothing of the engine's inside:

    FAR       real, live nodes, but those farthest from the target: an answer with nothing closer
    INVENTED  ids that share the target's first bytes, at addresses where nobody is
    FELLOWS   of `contacts`, which are its fellows, those nearest to the target
    SILENT    nothing at all
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from random import Random
from types import SimpleNamespace

from picoswarm.crypto import X25519, run
from picoswarm.datagram import Codec, start_neighbors
from picoswarm.identity import pair_key
from picoswarm.membership import Membership
from picoswarm.nodekey import Identity

from .measure import FIND_NODE, NEIGHBORS
from .nat import Address

_DATAGRAM = 512
_OPENED = (0, 5, 6)  # what Codec.open returns for a good datagram, for one that was opened before, and for an own one
_RECORDS = 4  # as many as an honest answer has
_NEAR_BYTES = 6  # of the target, that an invented id shares: nearer than any live node of a mesh below 2**40

Contact = tuple[bytes, Address]  # node id, where it is


class Lie(Enum):
    FAR = "far"
    INVENTED = "invented"
    FELLOWS = "fellows"
    SILENT = "silent"


class Liar:
    """Give `incoming` and `outgoing` to a Host. `identify` tells who is at an address, `contacts` lists live nodes."""

    def __init__(
        self,
        lie: Lie,
        identity: Identity,
        membership: Membership,
        rng: Random,
        identify: Callable[[Address], Identity | None],
        contacts: Callable[[], list[Contact]],
    ) -> None:
        self.lie = lie
        self.lies = 0  # told so far
        self._identity = identity
        self._membership = membership
        self._codec = Codec(membership, identity.id, repeats=1)
        self._rng = rng
        self._identify = identify
        self.contacts = contacts
        self._targets: dict[bytes, bytes] = {}  # request id -> target prefix
        self._pairs: dict[bytes, bytes] = {}

    def incoming(self, datagram: bytes) -> None:
        """Remember what is asked for."""
        buf = self._open(datagram)
        if buf is not None and self._codec.type == FIND_NODE:
            at = self._codec.body
            self._targets[bytes(buf[14:18])] = bytes(buf[at + 8 : at + 16])

    def outgoing(self, datagram: bytes, to: Address) -> bytes:
        """The datagram to send in place of an honest one; b"" for none."""
        buf = self._open(datagram)
        if buf is None or self._codec.type != NEIGHBORS:
            return datagram
        request_id = bytes(buf[14:18])
        target = self._targets.get(request_id)
        asker = self._identify(to)
        if target is None or asker is None:
            return datagram
        self.lies += 1
        if self.lie is Lie.SILENT:
            return b""
        out = bytearray(_DATAGRAM)
        answer = SimpleNamespace(  # an exchange, see picoswarm.datagram
            key=self._membership.highest,
            peer=asker.id + self._pair_with(asker) + bytes(8) + request_id,
            has_pair=True,
            is_full=False,
        )
        at = start_neighbors(self._codec, out, answer, 0, 1)
        for id32, (ip, port) in self._invented(target) if self.lie is Lie.INVENTED else self._ranked(target):
            record = bytes(1) + id32 + ip + port.to_bytes(2) + bytes(2)
            out[at : at + len(record)] = record
            at += len(record)
        return bytes(out[: self._codec.seal(out, at)])

    def _open(self, datagram: bytes) -> bytearray | None:
        buf = bytearray(datagram)
        return buf if self._codec.open(buf, len(buf)) in _OPENED else None

    def _ranked(self, target: bytes) -> list[Contact]:
        near = int.from_bytes(target)
        ranked = sorted(self.contacts(), key=lambda contact: int.from_bytes(contact[0][:8]) ^ near)
        return ranked[:_RECORDS] if self.lie is Lie.FELLOWS else ranked[-_RECORDS:]

    def _invented(self, target: bytes) -> list[Contact]:
        invented = []
        for _ in range(_RECORDS):
            id32 = bytearray(target[:_NEAR_BYTES] + self._rng.randbytes(32 - _NEAR_BYTES))
            id32[31] &= 0x7F  # an id with that bit set would be refused unasked
            ip = bytes((self._rng.randrange(120, 126), *self._rng.randbytes(2), 1))
            invented.append((bytes(id32), (ip, 7000)))
        return invented

    def _pair_with(self, asker: Identity) -> bytes:
        pair = self._pairs.get(asker.id)
        if pair is None:
            shared = run(X25519(self._identity.static_private, asker.static_public))
            pair = self._pairs[asker.id] = pair_key(shared, self._identity.id, asker.id)
        return pair
