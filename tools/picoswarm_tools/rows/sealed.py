"""Rows of sealed records: what encryption leaves of the throughput of a bare socket, beside asyncio's streams on the same
interpreter. Both ends run on 32-bit MicroPython with viper kernels (unix/sealed_bench.py); the plain ones are those of
unix/mux_bench.py.

    python -m picoswarm_tools.rows.sealed
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Iterator

from .. import mpy, runtimes
from ..report import Row
from ..swarm import free_ports
from . import mux

SIZE = 1024
COUNT = 4_000
PLAIN_COUNT = 40_000
ROUNDS = 5
BENCH = mux.BENCH.with_name("sealed_bench.py")
PEERS = {"send": "sink", "receive": "source"}


def device() -> tuple[list[str], dict[str, str]]:
    """(command, environment) of either end."""
    folder = mpy.library_folder("x86", mux.LEVEL).with_name("sealed-bench")
    library = mpy.compile_library("x86", mux.LEVEL, mpy.PARTS)
    mpy.compile_beside([BENCH], folder, "x86", mux.LEVEL, mpy.PARTS)
    command = [str(runtimes.find("micropython")), "-X", f"heapsize={mux.HEAP_KB}k", "-m", BENCH.stem]
    return command, {**os.environ, "MICROPYPATH": f"{library}:{folder}:.frozen"}


def user_seconds(what: str, count: int, size: int = SIZE) -> float:
    """CPU time in user mode of one end that sends or receives so many messages. Raises RuntimeError where one is missing."""
    command, environment = device()
    port = free_ports(1)[0]
    arguments = [*command, PEERS[what], str(port), str(count), str(size)]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=mux.alone) as peer:
        said = peer.stdout.readline()
        if said != "ready\n":
            peer.kill()
            raise RuntimeError(f"{PEERS[what]}: {said}")
        arguments = [*command, what, str(port), str(count), str(size)]
        measured = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, preexec_fn=mux.alone)
        _, status, usage = os.wait4(measured.pid, 0)
        measured.returncode = os.waitstatus_to_exitcode(status)
        told = measured.stdout.read().decode()
        measured.stdout.close()
        if measured.returncode or told:
            peer.kill()
            raise RuntimeError(f"{what}: {told}")
        told = peer.communicate(timeout=60)[0]
        if peer.returncode or told:
            raise RuntimeError(f"{PEERS[what]}: {told}")
    return usage.ru_utime


def pairs(rounds: int = ROUNDS, count: int = COUNT, plain_count: int = PLAIN_COUNT) -> Iterator[tuple[float, ...]]:
    """User seconds for a message: sent sealed, plain; received sealed, plain. One after the other, without what it takes
    to start."""
    idle = {what: statistics.median(user_seconds(what, 0) for _ in range(3)) for what in PEERS}
    plain = {
        f"plain_{what}": statistics.median(mux.user_seconds(f"plain_{what}", 0, SIZE)[0] for _ in range(3)) for what in PEERS
    }
    for _ in range(rounds):
        figures = []
        for what in PEERS:
            figures.append((user_seconds(what, count) - idle[what]) / count)
            name = f"plain_{what}"
            figures.append((mux.user_seconds(name, plain_count, SIZE)[0] - plain[name]) / plain_count)
        yield tuple(figures)


def measure() -> Iterator[Row]:
    sent, plain_sent, received, plain_received = zip(*pairs(), strict=True)
    method = (
        f"{mux.ON_UNIX}, viper kernels at both ends, user CPU time, {ROUNDS} rounds in turn, loopback, messages of {SIZE} "
        "bytes, a record each; asyncio's write and drain, and readexactly, unencrypted"
    )
    both = [a + b for a, b in zip(sent, received, strict=True)]
    plain_both = [a + b for a, b in zip(plain_sent, plain_received, strict=True)]
    for name, what, plain, sealed, goal in (
        ("", "1 KB messages, sealed, sent and received: times asyncio's plain streams", plain_both, both, 0.10),
        (".send", "the same, sent", plain_sent, sent, None),
        (".receive", "the same, received", plain_received, received, None),
    ):
        ratio = statistics.median(a / b for a, b in zip(plain, sealed, strict=True))
        yield Row(f"secure.throughput.ratio{name}", what, ratio, "x", goal, "higher", method=method)


if __name__ == "__main__":
    for row in measure():
        print(f"{row.id:32} {row.value:8.4f} {row.unit}")
