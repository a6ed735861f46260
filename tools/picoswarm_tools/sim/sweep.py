"""Many seeds of one scenario: in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import msgspec

from .play import Run, play
from .scenario import Scenario


def one(name: str, scenario: dict[str, Any], seed: int) -> Run:
    """A run without its lines, for another process or machine."""
    run = play(name, msgspec.convert(scenario, Scenario), seed)
    run.lines = []
    return run


def in_processes(name: str, scenario: Scenario, seeds: list[int], jobs: int) -> Iterator[Run]:
    """The runs of these seeds, in their order, `jobs` at a time, each in a fresh process: what one leaves in memory, no
    other pays for."""
    plain = msgspec.to_builtins(scenario)
    # With more than one task a process CPython waits for ever for one that has done its share (python/cpython issue 115634).
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for future in [pool.submit(one, name, plain, seed) for seed in seeds]:
            yield future.result()


def on_dask(name: str, scenario: Scenario, seeds: list[int], address: str) -> Iterator[Run]:
    """The runs of these seeds, in their order, on the cluster whose scheduler is at `address`, whose workers have picoswarm
    installed. Raises ModuleNotFoundError without the extra [dask], OSError where there is no scheduler."""
    from distributed import Client

    plain = msgspec.to_builtins(scenario)
    with Client(address, set_as_default=False) as client:
        for future in [client.submit(one, name, plain, seed, pure=False) for seed in seeds]:
            yield future.result()
