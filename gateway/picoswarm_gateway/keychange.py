"""The operator's side of key changes (docs/protocol.md 7.10): the operator key, changes made with it, their delivery to a
running mesh. `picoswarm rekey` and `picoswarm revoke` are made of this.

The operator's folder holds what a node's folder holds, and beside it the file `opseed`: the seed of the operator key, and
behind it the network key that the last change replaced (epoch 1 | key 32), so that the change can be handed out again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from picoswarm import Node, PicoswarmError, RequestError, StoreError
from picoswarm.changes import HELD, REVOKE, REVOKED_MAX, ROTATE, UNSAVED, Change, decode_operator, signed_text
from picoswarm.crypto import run
from picoswarm.ed25519 import PublicKey, Sign
from picoswarm.errors import Malformed
from picoswarm.membership import EPOCHS, KEY, Membership, NetworkKey
from picoswarm.rekey import change_keys
from picoswarm.slots import NETWORK, OPERATOR, Kind
from picoswarm.store import Store

from .profile import gateway_profile

OPERATOR_SEED = Kind(7, "opseed")
NO_METHOD = 1

_SEED = 32
_PREVIOUS = 33  # epoch 1 | key 32
_LOOKUPS = 4  # the own id and random targets, to meet the mesh
_LOOK_S = 4
_DIRECT = 4  # peers to be told by the own node, if there are so many
_IDLE_S = 10  # the last change is handed out until nobody new came for so long
_AT_ONCE = 4
_FLAGS, _LOWER_EPOCH = 64, 0x40  # in a record of the table
_WORDS = {0: "held", 1: "older", 2: "forged", 3: "unordered", 4: "malformed", 5: "unsaved", -1: "takes no changes"}


class Refused(Exception):
    """It cannot be done, and nothing was changed; the text says what to do instead."""


class NobodyThere(Refused):
    """No member of the mesh could be reached."""


@dataclass
class Report:
    """What became of a change. Ids are hex. `answers`: of the peers that were told directly; `confirmed`: members that
    answer under the new key; `missing`: those that were there before and do not."""

    kind: str
    serial: int
    epoch: int
    fingerprint: str
    revoked: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    confirmed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def create_operator(store: Store, *others: Store) -> bytes:
    """Make an operator key: its seed in one folder, its public key there and in the `others`. Returns the public key."""
    seed = secrets.token_bytes(_SEED)
    public = run(PublicKey(seed))
    store.write(OPERATOR_SEED, seed)
    for each in (store, *others):
        each.write(OPERATOR, public)
    return public


class Operator:
    """The operator's folder. Raises Refused where it lacks something."""

    def __init__(self, folder: str | Path) -> None:
        if not Path(folder).is_dir():
            raise Refused(f"There is no folder {folder}. `picoswarm provision` makes it beside the first node's folder.")
        self.store = Store(str(folder))
        payload = self.store.read(OPERATOR_SEED)
        if payload is None:
            beside = Path(f"{folder}.operator")
            hint = f"Did you mean {beside}?" if beside.is_dir() else "It is the one that `picoswarm provision` made first."
            raise Refused(f"{folder} is not the operator's folder: it has no operator key. {hint}")
        self._seed, self._previous = payload[:_SEED], payload[_SEED:]
        try:
            public, self.last = decode_operator(self.store.read(OPERATOR) or b"")
            self.membership = Membership.decode(self.store.read(NETWORK) or b"")
        except Malformed as error:
            raise Refused(f"{folder} cannot be used: {error}") from None
        if public != run(PublicKey(self._seed)):
            raise Refused(f"{folder} holds the seed of another operator key than its public key.")

    def make(self, kind: int, revoked: Iterable[bytes] = ()) -> Change:
        """Sign a change to a fresh network key, one epoch on. What was revoked stays so; of more than 16 ids the oldest go,
        which have no key that is in use any more."""
        ids = [bytes(self.last.revoked[at : at + 16]) for at in range(0, len(self.last.revoked), 16)] if self.last else []
        fresh = [bytes(id32[:16]) for id32 in revoked]
        if len(fresh) > REVOKED_MAX:
            raise Refused(f"At most {REVOKED_MAX} nodes are revoked at once.")
        ids = ([id16 for id16 in ids if id16 not in fresh] + fresh)[-REVOKED_MAX:]
        serial = self.last.serial + 1 if self.last else 1
        epoch = (self.membership.highest.epoch + 1) % EPOCHS
        unsigned = bytes((kind,)) + serial.to_bytes(4) + bytes((epoch,)) + secrets.token_bytes(KEY)
        unsigned += bytes((len(ids),)) + b"".join(ids)
        return Change(unsigned + run(Sign(self._seed, run(PublicKey(self._seed)), signed_text(unsigned))))

    def keep(self, change: Change) -> None:
        """Save a change, and the key that it replaces: before anybody is told, or the mesh could move to a key that nobody
        has. The new key is last: without it the change counts for nothing here, and the next one takes its place. Raises
        StoreError."""
        before = self.membership.highest
        old = bytes((before.epoch,)) + before.key
        self.store.write(OPERATOR_SEED, self._seed + old)
        self.store.write(OPERATOR, run(PublicKey(self._seed)) + change.text)
        self.store.write(NETWORK, bytes((change.epoch,)) + change.key + (old if change.kind == ROTATE else b""))

    def again(self) -> tuple[Change, Membership]:
        """The last change, and the key that it replaced: under that one, those can be met who do not have it."""
        if self.last is None or len(self._previous) != _PREVIOUS:
            raise Refused("No change was made from this folder yet.")
        if self.last.epoch != self.membership.highest.epoch:
            raise Refused(
                "The network key was changed by hand since the last change, or that was not saved: change it anew."
            )
        membership = Membership(NetworkKey(self._previous[1:], self._previous[0]))
        membership.revoked = self.last.revoked
        return self.last, membership


def operator_node(operator: Operator, bootstrap: Sequence[str], host: str, port: int, network: Membership | None) -> Node:
    """A node that meets as many members as it can, and serves nobody."""
    numbers = {
        "gateway": 0,
        "bootstrap": 0,
        "relay": 0,
        "pubsub": 0,
        "logstats": 0,
        "beacon": 1,
        "outbound": 64,
        "dials": 16,
    }
    return Node(
        operator.store,
        network=network,
        profile=gateway_profile(**numbers, start_ms=0),
        host=host,
        port=port,
        bootstrap=bootstrap,
        name="operator",
    )


async def meet(node: Node, seconds: float) -> set[bytes]:
    """Wait for a session, and look around. Returns the ids of the members that are there. Raises NobodyThere."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not node.sessions():
        if loop.time() > end:
            raise NobodyThere(
                f"No member of mesh {_membership(node)} was reached in {seconds:g} s. "
                "Name one with --bootstrap IP:PORT, and check that the folder follows the mesh. If the last change was cut "
                "off before anybody heard of it, --again hands it out."
            )
        await asyncio.sleep(0.1)

    async def look(target: bytes) -> None:
        await node.lookup(target, full=True)

    async def greet(id32: bytes) -> None:  # a request is a visit, for which full nodes make room
        with suppress(RequestError):
            await node.request(id32, "about", b"", int(_LOOK_S * 1000))

    async def reach_peers() -> None:
        """Whoever is told directly needs no chain of members that follow the operator; and the only session may be that of
        a node which is to be revoked."""
        while len(there := {session[0] for session in node.sessions()}) < min(_DIRECT, len(node.peers())):
            await _in_groups(greet, [peer.id for peer in node.peers() if peer.id not in there][:_DIRECT])
            await asyncio.sleep(0.1)

    targets = [node.id, *(secrets.token_bytes(32) for _ in range(_LOOKUPS - 1))]
    with suppress(TimeoutError):  # where nodes are gone, a lookup waits for each of them
        async with asyncio.timeout(_LOOK_S):
            await asyncio.gather(_in_groups(look, targets), reach_peers())
    return present(node)


def _membership(node: Node) -> str:
    return NetworkKey(node._discovery.membership.highest.key, 0).fingerprint()


def present(node: Node) -> set[bytes]:
    """Ids of the members that a node knows to be there."""
    return {peer.id for peer in node.peers()} | {session[0] for session in node.sessions()}


async def _in_groups(job, arguments) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(argument) -> None:
        async with gate:
            await job(argument)

    await asyncio.gather(*(one(argument) for argument in arguments))


async def confirm(node: Node, members: set[bytes], told: dict[bytes, int], seconds: float) -> set[bytes]:
    """Which of the `members` hold the new key: they said so, or answer a PING under it. Waits at most `seconds`."""
    engine = node._discovery
    confirmed: set[bytes] = set()

    def has_answered(id32: bytes) -> bool:
        record = engine.table.find(id32, 0, 32)
        return record >= 0 and not engine.table.pool[record + _FLAGS] & _LOWER_EPOCH

    async def ask(id32: bytes) -> None:
        found = await node.lookup(id32)
        if found and found[0].id == id32 and has_answered(id32):
            confirmed.add(id32)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                confirmed |= {id32 for id32, code in told.items() if code in (HELD, UNSAVED)}
                left = members - confirmed
                if not left:
                    break
                await _in_groups(ask, sorted(left))
                await asyncio.sleep(0.5)
    return confirmed


async def hand_out(node: Node, change: Change, seconds: float) -> dict[bytes, int]:
    """Give a change to every peer that a node under the key before gets, until nobody new has come for a while or `seconds`
    have passed. Returns the codes of the answers by id."""
    told: dict[bytes, int] = {}
    asked: dict[bytes, asyncio.Task] = {}
    loop = asyncio.get_running_loop()

    async def ask(id32: bytes) -> None:
        told[id32] = -2
        try:
            told[id32] = (await node.request(id32, "keys", change.text, 15_000))[0]
        except RequestError as error:
            if error.status == NO_METHOD:
                told[id32] = -1

    began = idle = loop.time()
    while loop.time() < began + seconds and loop.time() < idle + _IDLE_S:
        for id32, *_ in node.sessions():
            if id32 not in asked:
                asked[id32] = asyncio.create_task(ask(id32))
        if not all(task.done() for task in asked.values()):
            idle = loop.time()
        await asyncio.sleep(0.1)
    return told


async def change_mesh(node: Node, change: Change, members: set[bytes], seconds: float) -> Report:
    """Take a change on a running node of the operator's (or a gateway that holds the operator key), which passes it on, and
    wait until the `members` confirm. Raises Refused."""
    code, told = await change_keys(node, change.text)
    if code not in (HELD, UNSAVED):
        raise Refused(f"The own node does not take the change: {_WORDS.get(code, code)}.")
    return await _report(node, change, members, told, seconds)


async def _report(node: Node, change: Change, members: set[bytes], told: dict[bytes, int], seconds: float) -> Report:
    members = {id32 for id32 in members if id32[:16] not in change.revoked} - {node.id}
    confirmed = await confirm(node, members, told, seconds)
    return Report(
        kind={ROTATE: "rotate", REVOKE: "revoke"}[change.kind],
        serial=change.serial,
        epoch=change.epoch,
        fingerprint=NetworkKey(change.key, change.epoch).fingerprint(),
        revoked=[change.revoked[at : at + 16].hex() for at in range(0, len(change.revoked), 16)],
        answers={id32.hex(): _WORDS.get(code, "no answer") for id32, code in told.items()},
        confirmed=sorted(id32.hex() for id32 in confirmed),
        missing=sorted(id32.hex() for id32 in members - confirmed),
    )


def resolve(node: Node, members: set[bytes], texts: Sequence[str]) -> list[bytes]:
    """The ids, or their first 16 bytes, that texts name: 64 or 32 hex digits of an id, the first 8 or more of a member
    that is there, or the name of a peer. Raises Refused."""
    found = []
    for text in texts:
        digits = text.lower()
        is_hex = len(digits) >= 8 and all(digit in "0123456789abcdef" for digit in digits)
        if is_hex and len(digits) in (32, 64):
            found.append(bytes.fromhex(digits))
            continue
        fitting = {id32 for id32 in members if is_hex and id32.hex().startswith(digits)}
        fitting |= {session[0] for session in node.sessions() if session[3] == text}
        if len(fitting) != 1:
            why = "fits more than one member" if fitting else "is no member that is there now"
            raise Refused(f"'{text}' {why}. Give 32 or all 64 hex digits of the id.")
        found.append(fitting.pop())
    if any(id32[:16] == node.id[:16] for id32 in found):
        raise Refused("That is the operator's own node.")
    return found


async def run_change(
    operator: Operator,
    nodes: Sequence[str] | None,
    bootstrap: Sequence[str] = (),
    host: str = "",
    port: int = 0,
    seconds: float = 60,
    again: bool = False,
) -> Report:
    """Start a node with the operator's folder, change the network key of the mesh and wait until its members confirm.
    `nodes`: whom to revoke; None: nobody, the key is rotated. `again`: hand out the last change once more. Raises Refused,
    and PicoswarmError or OSError where the node cannot be started; then nothing was changed."""
    last, network = operator.again() if again else (None, None)
    async with operator_node(operator, bootstrap, host, port, network) as node:
        members = await meet(node, min(seconds, 30))
        if last is not None:
            told = await hand_out(node, last, seconds)
            return await _report(node, last, set(told), told, 0)
        change = operator.make(ROTATE if nodes is None else REVOKE, resolve(node, members, nodes or ()))
        operator.keep(change)
        return await change_mesh(node, change, members, seconds)


__all__ = [
    "OPERATOR_SEED",
    "NobodyThere",
    "Operator",
    "PicoswarmError",
    "Refused",
    "Report",
    "StoreError",
    "change_mesh",
    "create_operator",
    "meet",
    "present",
    "resolve",
    "run_change",
]
