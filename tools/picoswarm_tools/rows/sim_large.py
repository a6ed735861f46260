"""Rows of what large meshes cost in the simulator, of the scenarios `hour-1000` and `city-10k`. A quarter of an hour on a
machine that has nothing else to do; processor time does not gate, because machines differ."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from ..report import Row
from ..sim import scenario
from ..sim.growth import alone
from ..sim.play import Run, play


def _hour() -> Run:
    run = play(*scenario.find("hour-1000"))
    run.lines = []
    return run


def measure() -> Iterator[Row]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        run = pool.submit(_hour).result()
    found = run.summary
    method = (
        "scenario hour-1000: 1,000 boards and a gateway for one virtual hour, 3 links and one message a minute each, three "
        f"subscribers a topic, the gateway among them, churn 5 %/h, 10 % loss; {found['publish.due']:,.0f} messages due"
    )
    name = "sim.1000x1h"
    yield Row(f"{name}.cpu_seconds", "processor time of the run", run.cpu_seconds, "s", 600, gate=False, method=method)
    yield Row(f"{name}.gigabytes", "memory of the run", run.megabytes / 1024, "GB", method=method)
    share = found["publish.delivery"]
    yield Row(f"{name}.delivery", "due messages delivered within 10 s", share, "share", 0.99, "higher", method=method)
    yield Row(f"{name}.p99", "until delivery, 99th percentile", found["publish.seconds.p99"], "s", method=method)
    yield Row(f"{name}.repeated", "that an application got twice", found["publish.repeated"], "messages", 0, method=method)
    seconds, gigabytes, city = alone(10_000)
    method = "scenario city-10k: 10,000 boards start within 7 virtual minutes, in three stages, and stay for 10 more"
    yield Row("sim.10000.cpu_seconds", "processor time of the run", seconds, "s", 1200, gate=False, method=method)
    yield Row("sim.10000.gigabytes", "memory of the run", gigabytes, "GB", 4, method=method)
    yield Row(
        "sim.10000.joined", "boards that joined within 60 s", city["join.share"], "share", 0.98, "higher", method=method
    )
    yield Row("sim.10000.hops", "nodes that a look-up asked, mean", city["lookup.hops.mean"], "nodes", method=method)
