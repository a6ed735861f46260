"""Rows of the mux: what channels cost over a bare socket, beside asyncio's streams on the same interpreter; what goes when.

Both programs are unix/mux_bench.py. Under the Mux lies a layer that only adds lengths: the cipher has rows of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from picoswarm.channel import Channel
from picoswarm.mux import Mux
from picoswarm.profile import Profile

from .. import mpy, runtimes
from ..report import Row

LEVEL = 3
HEAP_KB = 200
ROUNDS = 5
WARM = 4_000  # messages, after which garbage is collected now and then on both sides
COUNT = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--smc-check=all")
BENCH = runtimes.ROOT / "tools" / "picoswarm_tools" / "unix" / "mux_bench.py"
# Ours, asyncio's: what runs on MicroPython, and its peer on CPython.
PEERS = {
    "send_full": "sink",
    "send_each": "sink",
    "plain_send": "plain_sink",
    "receive": "source",
    "plain_receive": "plain_source",
    "echo": "client",
    "plain_echo": "plain_client",
}
ON_UNIX = "32-bit unix build, .mpy -O3"
URGENT, BULK = 1, 2


class Ran(NamedTuple):
    """Of the program on MicroPython: CPU seconds in user mode, and what it said on stderr; and what its peer said."""

    seconds: float
    log: str
    told: str


def device() -> tuple[list[str], dict[str, str]]:
    """(command, environment) of the measured program."""
    folder = mpy.library_folder("x86", LEVEL).with_name("mux-bench")
    library = mpy.compile_library("x86", LEVEL, mpy.PARTS)
    mpy.compile_beside([BENCH], folder, "x86", LEVEL, mpy.PARTS)
    command = [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP_KB}k", "-m", BENCH.stem]
    return command, {**os.environ, "MICROPYPATH": f"{library}:{folder}:.frozen"}


def alone() -> None:
    """Both programs share one core: which of them waits does then not depend on what else the machine does."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def run(what: str, count: int, size: int, under: Sequence[str] = ()) -> Ran:
    """Both programs, to their end. `under`: what counts for the one on MicroPython; without it they share one core."""
    environment = {**os.environ, "PYTHONPATH": str(runtimes.ROOT / "lib")}
    arguments = [sys.executable, str(BENCH), PEERS[what], "0", str(count), str(size)]
    share = None if under else alone
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=share) as peer:
        port = peer.stdout.readline().strip()
        command, environment = device()
        arguments = [*under, *command, what, port, str(count), str(size)]
        with tempfile.TemporaryFile("w+") as counted:
            measured = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=counted, preexec_fn=share)
            _, status, usage = os.wait4(measured.pid, 0)
            counted.seek(0)
            log = counted.read()
        measured.returncode = os.waitstatus_to_exitcode(status)
        said = measured.stdout.read().decode()
        measured.stdout.close()
        if measured.returncode or said:
            peer.kill()
            raise RuntimeError(f"{what}: {said}{log}")
        return Ran(usage.ru_utime, log, peer.communicate(timeout=60)[0])


def user_seconds(what: str, count: int, size: int) -> tuple[float, str]:
    """(CPU time in user mode of the program on MicroPython, what its peer says at the end)."""
    ran = run(what, count, size)
    return ran.seconds, ran.told


def instructions(what: str, count: int, size: int) -> int:
    """Instructions in user mode of the program on MicroPython. Raises Missing."""
    if not shutil.which(COUNT[0]):
        raise runtimes.Missing("valgrind is not installed, which counts instructions: run `sudo apt-get install valgrind`")
    (found,) = re.findall(r"I +refs: +([\d,]+)", run(what, count, size, COUNT).log)
    return int(found.replace(",", ""))


def ratio(ours: str, plain: str, size: int) -> float:
    """Our instructions a message by asyncio's, once the heap is full of garbage for the first time."""
    each = [instructions(what, 3 * WARM, size) - instructions(what, WARM, size) for what in (ours, plain)]
    return each[0] / each[1]


def time_ratio(ours: str, plain: str, count: int, size: int) -> float:
    """Our time by asyncio's: of `ROUNDS` runs of each, in turn, without what it takes to start. Of sums, and long ones: many
    a system finds out by some hundred samples a second what of a program's time is that of user mode."""
    idle = {what: statistics.median(user_seconds(what, 0, size)[0] for _ in range(3)) for what in (ours, plain)}
    spent = dict.fromkeys((ours, plain), 0.0)
    for _ in range(ROUNDS):
        for what in spent:
            spent[what] += user_seconds(what, count, size)[0] - idle[what]
    return spent[ours] / spent[plain]


def allocated(count: int, step: int) -> float:
    command, environment = device()
    done = subprocess.run([*command, "alloc", str(step), str(count), "64"], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return json.loads(done.stdout) / count


class Ends:
    """Two Muxes that hear each other at once; `a` sends."""

    def __init__(self, channels: tuple[Channel, ...]):
        profile = Profile()
        self.a, self.b = (Mux(profile, channels, is_initiator, 0) for is_initiator in (True, False))
        self.now = 0
        self.out = bytearray(profile.record)
        for mux in (self.a, self.b):
            mux.on_message = lambda channel, view: None
            mux.start(bytes(channel.id for channel in channels), profile.record, 0)
        for _ in range(2):
            self.record()

    def record(self) -> list[tuple[int, int]]:
        """(channel, bytes) of the frames of the next record of `a`, with what `b` says to it."""
        found, at = [], 0
        n = self.a.fill(self.out, 0, len(self.out), self.now)
        while at < n:
            size = 3 + ((self.out[at + 1] & 15) << 8 | self.out[at + 2])
            found.append((self.out[at], size))
            at += size
        if self.b.receive(self.out, 0, n, self.now):
            raise RuntimeError("a record was refused")
        n = self.b.fill(self.out, 0, len(self.out), self.now)
        if n and self.a.receive(self.out, 0, n, self.now):
            raise RuntimeError("a record was refused")
        self.now += 2
        self.a.tick(self.now)
        return found

    def load(self, channel: int, size: int) -> None:
        """Fill the queue of a channel."""
        while self.a.try_send(channel, bytes(size)):
            pass


def urgent_wait() -> int:
    """The most records of a bulk transfer that go before the first frame of an urgent message of 1 KB, over 100 of them."""
    ends = Ends((Channel(URGENT, 10, 4, 4096, 1024), Channel(BULK, 1, 32, 16384, 1024)))
    longest = 0
    for i in range(100):
        for _ in range(40 + i % 7):
            ends.load(BULK, 700 + i)
            ends.record()
        ends.load(BULK, 700 + i)
        ends.a.try_send(URGENT, bytes(1024))
        waited = 0
        while URGENT not in [channel for channel, _ in ends.record()]:
            waited += 1
            ends.load(BULK, 700)
        longest = max(longest, waited)
    return longest


def share_error() -> float:
    """How far the shares of priorities 10 and 1 are from ten to one, over 1,000 records, in per cent."""
    ends = Ends((Channel(URGENT, 10, 32, 8192, 1000), Channel(BULK, 1, 32, 8192, 1000)))
    sent = {0: 0, URGENT: 0, BULK: 0}
    for _ in range(1000):
        for channel in (URGENT, BULK):
            ends.load(channel, 97)
        for channel, size in ends.record():
            sent[channel] += size
    return abs(sent[URGENT] / sent[BULK] / 10 - 1) * 100


# Row, ours, asyncio's, bytes of a message, messages of a timed run, goal: times as fast, or of its cost.
RATIOS = (
    ("send_batched", "send_full", "plain_send", 64, 100_000, 3, "64 B messages, as many as fit in a record"),
    ("send_flushed", "send_each", "plain_send", 512, 100_000, 1.5, "512 B messages, a record each"),
    ("receive", "receive", "plain_receive", 64, 100_000, 1.5, "64 B messages"),
    ("echo", "echo", "plain_echo", 64, 50_000, 1.2, "a 64 B message and its answer"),
)
BESIDE = {"plain_send": "write and drain", "plain_receive": "readexactly", "plain_echo": "readexactly, write and drain"}


def measure() -> Iterator[Row]:
    counted = f"{ON_UNIX}, instructions by valgrind, loopback, peer on CPython"
    timed = f"{ON_UNIX}, user CPU time, {ROUNDS} runs of each in turn, loopback, peer on CPython"
    for name, ours, plain, size, count, goal, what in RATIOS:
        is_speed = name != "echo"
        what = f"{what}: {'times' if is_speed else 'by'} asyncio's {BESIDE[plain]}"
        better = "higher" if is_speed else "lower"
        for more, method, cost, limit in (
            ("", counted, ratio(ours, plain, size), goal),
            (".time", timed, time_ratio(ours, plain, count, size), None),
        ):
            value = 1 / cost if is_speed else cost
            yield Row(f"mux.{name}.ratio{more}", what, value, "x", limit, better, method=method)
    yield Row(
        "mux.echo.longest_ms",
        "the longest of 1,000 such round trips",
        int(user_seconds("echo", 1_000, 64)[1]),
        "ms",
        39,
        gate=False,
        method="wall clock at the peer",
    )
    one = "two Muxes, 980 messages, records of seven, sent and received, collector off"
    yield Row("mux.alloc_per_frame", "allocated per message of 64 B", allocated(980, 0), "bytes", 16, method=one)
    yield Row(
        "mux.alloc_per_frame.varied",
        "the same where each message is longer or shorter than the last: a view for each",
        allocated(980, 13),
        "bytes",
        method=one,
    )
    yield Row(
        "priority.urgent_wait_records",
        "records of a bulk transfer before the first frame of an urgent message of 1 KB",
        urgent_wait(),
        "records",
        2,
        method="priorities 10 and 1, the worst of 100 moments",
    )
    yield Row(
        "priority.share_error",
        "how far the shares of priorities 10 and 1 are from ten to one",
        share_error(),
        "%",
        10,
        method="1,000 records, both queues always full",
    )
