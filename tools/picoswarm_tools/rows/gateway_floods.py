"""Strangers flood a gateway's node; what its members have of it. All are processes of this machine, so the flood takes
processor time from the members too: their p99 is also taken while the same flood goes elsewhere, to sockets of this machine
that nobody reads. What is above that is the gateway's doing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from picoswarm.keys import load_membership
from picoswarm.membership import Membership
from picoswarm.store import Store

from ..flood import Askers
from ..load import Crowd, Member
from ..report import Row
from ..swarm import HOST, free_ports
from .gateway import Server, ahead, client, ended, node, said

MEMBERS = 20
LINKS = 200
SECONDS = 30.0
BESIDE_S = 15.0  # of quiet before and after: of 3,000 messages the slowest hundredth is 30, not 10
RECOVERY_S = 10.0
AGAIN_S = 0.25  # of a newcomer that was turned away, as of a node that waits for a session (connmgr.py)
FLOODS = (("connections", 1000), ("drips", 1000), ("datagrams", 20_000))
WHAT = {
    "connections": "1,000 connections that say nothing",
    "drips": "1,000 slow writers",
    "datagrams": "20,000 datagrams a second",
}
METHOD = "20 members with 10 messages a second each and 20 that ask over UDP, for 30 s; another process floods"
BACKLOG = 1024
MB = 1 << 20


@dataclass
class Flood:
    """What came of one. `quiet`, `busy`, `after`: what the members that `pace` tell (load.py)."""

    quiet: dict
    elsewhere: dict
    busy: dict
    after: dict
    loss: float  # of questions over UDP
    grown: int  # bytes of memory
    newcomer_s: float  # until a member had a session that came after a third of the time
    rate: float  # a second: connections that the strangers opened, or datagrams that they sent
    share: float  # of a processor that the gateway took, its members' part with it
    recovery_s: float  # until no socket of a stranger was left, or nobody waited for longer
    is_ahead: bool = False  # node and members ran before others, and the strangers next

    @property
    def lost(self) -> int:
        """Members whose session ended."""
        return self.after["lost"]

    @property
    def late(self) -> float:
        """The slowest hundredth, against the time before."""
        return self.busy["p99_ms"] / self.quiet["p99_ms"]

    @property
    def late_elsewhere(self) -> float:
        """The same while the flood went elsewhere."""
        return self.elsewhere["p99_ms"] / self.quiet["p99_ms"]


def files(server: Server) -> int:
    """How many the process has open."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def pace(crowd: subprocess.Popen, seconds: float) -> dict:
    """Let the members speak for a time."""
    crowd.stdin.write(f"{seconds}\n")
    crowd.stdin.flush()
    return json.loads(crowd.stdout.readline())


@contextmanager
def nobody() -> Iterator[int]:
    """A port that takes connections and datagrams, which nobody reads."""
    (port,) = free_ports(1)
    with socket.create_server((HOST, port), backlog=BACKLOG), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, port))
        yield port


def strangers(kind: str, port: int, seconds: float, count: int) -> subprocess.Popen:
    """A flood of this kind."""
    command = [sys.executable, "-m", "picoswarm_tools.flood", kind, str(port), str(seconds), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def newcomer(membership: Membership, node_id: bytes, port: int, delay_s: float) -> float:
    """Seconds until a member that comes so much later has a session, however often it is turned away."""
    await asyncio.sleep(delay_s)
    started = time.monotonic()
    while True:
        crowd = Crowd(Member, port, 1)
        crowd.key, crowd.node_id = membership.highest, node_id
        await crowd.connect()
        if crowd.up:
            crowd.up[0].transport.abort()
            return time.monotonic() - started
        await asyncio.sleep(AGAIN_S)


async def during(
    server: Server,
    crowd: subprocess.Popen,
    flood: Callable[[int, float], subprocess.Popen],
    membership: Membership,
    node_id: bytes,
    port: int,
    seconds: float,
    beside: float,
    patience_s: float,
) -> Flood:
    """Before, while and after; those that ask over UDP do so all the time, as what they take is no flood's doing."""
    askers = Askers(membership, node_id, port)

    async def live(how_long: float) -> tuple[dict, float]:
        """What the members that `pace` have of the gateway, and what share of the others' questions has no answer."""
        return await asyncio.gather(asyncio.to_thread(pace, crowd, how_long), askers.loss(how_long))

    async with askers:
        quiet, _ = await live(beside)
        with nobody() as other, ended(flood(other, beside)):
            elsewhere, _ = await live(beside)
        before, files_before, cpu_s = server.rss(), files(server), server.cpu_s()

        async def recovered() -> tuple[float, float]:
            """The rate of the flood, and seconds from its end until the gateway has no more files open than before it."""
            rate = float(await asyncio.to_thread(process.stdout.readline))
            ended_at = time.monotonic()
            while files(server) > files_before and time.monotonic() < ended_at + patience_s:
                await asyncio.sleep(0.05)
            return rate, time.monotonic() - ended_at

        with ended(flood(port, seconds)) as process:
            comes = asyncio.create_task(newcomer(membership, node_id, port, seconds / 3))
            calms = asyncio.create_task(recovered())
            busy, loss = await live(seconds)
            grown, share = server.rss() - before, (server.cpu_s() - cpu_s) / seconds
            newcomer_s = await comes
            rate, recovery_s = await calms
        after, _ = await live(beside)
        return Flood(quiet, elsewhere, busy, after, loss, grown, newcomer_s, rate, share, recovery_s)


def run(
    folder: Path,
    kind: str,
    count: int,
    seconds: float,
    beside: float,
    patience_s: float = RECOVERY_S,
    is_ahead: bool = False,
) -> Flood:
    """A node, its members, and a flood of this kind. `patience_s`: how long it may take until all is as before. `is_ahead`:
    node and members run before whatever else this machine does, and the strangers next, where that is allowed."""
    with node(folder, LINKS) as (server, known), client("pace", *known[1:], MEMBERS) as crowd:
        crowd.stdout.readline()
        is_ahead = is_ahead and ahead(server.process, crowd, rank=2)
        _, _, port, node_id = known
        membership = load_membership(Store(str(folder)))

        def flood(where: int, how_long: float) -> subprocess.Popen:
            process = strangers(kind, where, how_long, count)
            if is_ahead:
                ahead(process)  # of the rest of the machine, or that decides how strong the flood is
            return process

        result = asyncio.run(
            during(server, crowd, flood, membership, bytes.fromhex(node_id), port, seconds, beside, patience_s)
        )
        return replace(result, is_ahead=is_ahead)


def measure() -> Iterator[Row]:
    """The rows `gateway.flood.*`."""
    with tempfile.TemporaryDirectory(prefix="picoswarm-flood-") as name:
        for kind, count in FLOODS:
            flood = run(Path(name) / kind, kind, count, SECONDS, BESIDE_S, is_ahead=True)
            row, what, method = f"gateway.flood.{kind}.", WHAT[kind], said(METHOD, flood.is_ahead)
            yield Row(row + "rate", f"a second, opened or sent: {WHAT[kind]}", flood.rate, "1/s", method=method)
            yield Row(row + "lost", f"sessions lost: {what}", flood.lost, "", 0, method=method)
            yield Row(row + "p99", f"p99 against before: {what}", flood.late, "x", 2.0, "lower", False, method)
            elsewhere = f"the same while they flood others: {WHAT[kind]}"
            yield Row(row + "p99_elsewhere", elsewhere, flood.late_elsewhere, "x", gate=False, method=method)
            yield Row(row + "udp_loss", f"questions without an answer: {what}", flood.loss * 100, "%", 5.0, method=method)
            yield Row(row + "newcomer", f"until one has a session: {what}", flood.newcomer_s, "s", 5, "lower", False, method)
            yield Row(row + "memory", f"memory taken: {what}", flood.grown / MB, "MB", 32, method=method)
            yield Row(row + "cpu", f"of one processor: {WHAT[kind]}", flood.share * 100, "%", method=method)
            yield Row(row + "recovery", f"until all is as before: {what}", flood.recovery_s, "s", 10, method=method)
