"""A whole MicroPython node under measurement (unix/session_probe.py), with open sessions to members in this process: real
sockets on loopback, everything that a node can have loaded and used once."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from picoswarm import Channel, Node, Profile, Reactor

from . import mpy
from .boards import numbers_of
from .probe import Ended, Probe
from .swarm import HOST, free_ports

HEAP = 600_000  # more than any board has: a goal that is missed shall still give a figure
SETTLE_S = 12  # what was published is kept for 10 s
OPEN_S = 25  # within which all sessions must be open
READINGS = 5  # further ones, a second apart: in the least of them nobody was at the door and no lookup ran
FIRST_OWN = 40
SERVED = {"pex": 1, "pubsub": 1, "rpc": 1, "logstats": 2}  # channels, by the number of the profile that has them


class Deaf(Reactor):
    """The user's own protocol: the other side of that in the program."""

    def __init__(self, count: int) -> None:
        self.channels = tuple(Channel(FIRST_OWN + i, 1, 2, 256, 256) for i in range(count))

    def receive(self, peer: object, channel: int, view: memoryview) -> int:
        return 0


@dataclass(frozen=True)
class Case:
    """A profile, and with how much of it the heap is measured."""

    what: str
    numbers: dict[str, int]
    channels: int  # of each session
    form: str = mpy.WHOLE  # of the library, see mpy.FORMS
    with_stream: bool = True  # there was one: what streams need is loaded with the first

    def form_of(self, is_frozen: bool) -> str:
        """The form of the library that a board has."""
        return mpy.IN_FIRMWARE[self.form] if is_frozen else self.form

    @property
    def profile(self) -> Profile:
        return Profile(**self.numbers)

    @property
    def served(self) -> int:
        """Channels of its own services."""
        return sum(count for name, count in SERVED.items() if getattr(self.profile, name))

    @property
    def own_channels(self) -> int:
        """Those that its user adds."""
        return self.channels - self.served


@cache
def cases() -> dict[str, Case]:
    return {
        "full": Case("default profile, 4 sessions of 8 channels", {}, 8),
        "leaf": Case("leaf profile, 1 session of 4 channels, no stream yet", numbers_of("leaf"), 4, mpy.LEAF, False),
    }


@dataclass
class Outcome:
    """What was seen of one node."""

    heap: int = 0  # bytes of the library and the node, without the interpreter and the overlays
    momentary: int = 0  # bytes of the overlays that were loaded nevertheless
    sessions: int = 0
    channels: list[int] = field(default_factory=list)  # of each session
    wanted: int = 0  # bytes of the largest piece of memory that was not to be had
    refused: int = 0  # turns of the datagram driver that wanted memory
    stats: dict[str, int] = field(default_factory=dict)


async def members_of(node: Probe, stack: AsyncExitStack, case: Case, sessions: int, others: int) -> list[Node]:
    """So many members that can have sessions, and others that cannot; all know the node, and it knows them by and by."""
    members = []
    for i in range(sessions + others):
        profile = Profile(links=8, outbound=1, inbound=7) if i < sessions else Profile(links=0)
        (port,) = free_ports(1)
        member = Node(str(node.folder / f"member{i}"), node.membership, profile, host=HOST, port=port)
        if i < sessions:
            member.register(Deaf(case.own_channels))
        await stack.enter_async_context(member)
        if i < sessions:
            member.handle("probe", lambda caller, payload: payload)
            member.handle("/probe/1", _read)
        member._discovery.add_bootstrap(bytes((127, 0, 0, 1)), node.port, bytes.fromhex(node.born["id"]))
        members.append(member)
    return members


async def _read(stream: object) -> None:
    """The other side of a stream: what comes is thrown away when this returns."""


async def open_sessions(node: Probe, members: list[Node]) -> None:
    """Open a session to each of the members, unless it is there."""
    ids = " ".join(member.id.hex() for member in members)
    async with asyncio.timeout(OPEN_S):
        while (await node.ask(f"meet {ids}"))["answered"] < len(members):
            await asyncio.sleep(1)


async def _observe(case: Case, sessions: int, is_frozen: bool, others: int, comb: int) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        numbers = {**case.numbers, "own": case.own_channels}
        async with (
            Probe(Path(folder), HEAP, 3, numbers, "session_probe", is_frozen, form=case.form_of(is_frozen)) as node,
            AsyncExitStack() as stack,
        ):
            if comb:
                await node.ask(f"comb {comb}")
            members = await members_of(node, stack, case, sessions, others)
            try:
                await open_sessions(node, members[:sessions])
                if case.with_stream and sessions:
                    await node.ask(f"stream {members[0].id.hex()}")
                await asyncio.sleep(0 if comb else SETTLE_S)
            except TimeoutError:
                if not comb:
                    raise Ended(f"{sessions} sessions did not open") from None
            if comb:
                seen = await node.ask("wanted")
                if "wanted" not in seen:  # the answer to the request that was given up
                    seen = await node.ask("wanted")
                return Outcome(sessions=seen["sessions"], wanted=seen["wanted"], refused=seen["refused"])
            seen = await node.ask("heap")
            for _ in range(READINGS):
                await asyncio.sleep(1)
                seen = min(seen, await node.ask("heap"), key=lambda one: one["heap"])
            return Outcome(seen["heap"], seen["momentary"], len(seen["channels"]), seen["channels"], stats=seen["stats"])


def observe(case: Case, sessions: int | None = None, is_frozen: bool = False, comb: int = 0) -> Outcome:
    """`observed`, for who has no loop."""
    return asyncio.run(observed(case, sessions, is_frozen, comb))


async def observed(case: Case, sessions: int | None = None, is_frozen: bool = False, comb: int = 0) -> Outcome:
    """One node with so many open sessions (None: as many as its profile has), at rest. `comb`: no free piece of its heap is
    longer than that once it has started. Raises Ended where the sessions are not to be had."""
    most = case.profile.links
    sessions = most if sessions is None else sessions
    outcome = await _observe(case, sessions, is_frozen, most - sessions, comb)
    if not comb and (outcome.sessions != sessions or set(outcome.channels) - {case.channels}):
        raise Ended(f"wanted {sessions} sessions of {case.channels} channels, and there are {outcome.channels}")
    return outcome
