"""Coroutines in virtual time: an asyncio loop whose clock is that of a simulation. While every task waits, the simulation
runs on, from event to event, until one of them may go on."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from picoswarm import rekey, services

from .clock import MILLISECOND, SECOND, Clock

_TICKS = 1 << 30


class _Selector(selectors.SelectSelector):
    """Waits by letting the simulation run. There are no sockets."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.has_work: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[Any]:
        clock = self._clock
        limit_us = None if timeout is None else clock.now_us + ceil(max(0.0, timeout) * SECOND)
        while not self.has_work():
            if not clock.step(limit_us):
                if limit_us is None:
                    raise RuntimeError("every task waits, and nothing is due any more")
                clock.now_us = max(clock.now_us, limit_us)
                break
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        selector = _Selector(clock)
        super().__init__(selector)
        self._virtual = clock
        selector.has_work = lambda: bool(self._ready)

    def time(self) -> float:
        return self._virtual.now_us / SECOND


@contextmanager
def _virtual_ticks(clock: Clock) -> Iterator[None]:
    """The modules whose coroutines run in virtual time look at its clock. Nor do they collect garbage, which for many nodes
    in one process would take longer than all the rest."""
    modules = (services, rekey)
    before = [(module.ticks_ms, module.collect) for module in modules]
    for module in modules:
        module.ticks_ms = lambda: clock.now_us // MILLISECOND % _TICKS
        module.collect = lambda: None
    try:
        yield
    finally:
        for module, (ticks_ms, collect) in zip(modules, before, strict=True):
            module.ticks_ms, module.collect = ticks_ms, collect


def run(clock: Clock, main: Callable[[], Awaitable[None]]) -> None:
    """Run `main()` to its end in the virtual time of `clock`; `asyncio.sleep` lets it pass."""
    loop = VirtualLoop(clock)
    with _virtual_ticks(clock):
        try:
            loop.run_until_complete(main())  # type: ignore[arg-type]
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
