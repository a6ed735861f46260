"""Rows of how far the simulator is from real processes: twelve nodes, the same script (sim/fidelity.py). The processes run
in real time, so a machine that is busy makes their joins later than they are."""

from __future__ import annotations

from collections.abc import Iterator

from ..report import Row
from ..sim import fidelity


def measure() -> Iterator[Row]:
    real, here = fidelity.measure()
    for name, what, goal in (
        ("datagrams", "datagrams sent", 0.10),
        ("datagram_bytes", "bytes of datagrams", 0.10),
        ("delivered", "messages that applications got", 0.10),
        ("passed_on", "messages written to sessions", 0.10),
        ("join_s", "time to join, median", 0.25),
    ):
        a, b = getattr(real, name), getattr(here, name)
        method = (
            f"{a:,.4g} by {fidelity.NODES} 32-bit MicroPython processes over real sockets, the mean of "
            f"{fidelity.LANES * fidelity.MESHES} meshes; {b:,.4g} here, that of {fidelity.SEEDS} seeds; by the same script "
            f"in {fidelity.TALK_FROM_S + fidelity.TALK_S} s"
        )
        yield Row(
            f"sim.fidelity.{name}",
            f"{what}: the simulator differs by",
            abs(b - a) / a,
            "share",
            goal,
            gate=False,
            method=method,
        )
