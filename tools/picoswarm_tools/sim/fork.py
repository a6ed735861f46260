"""Several futures of one simulation: each is a forked copy of this process, so that all of them begin in the same state.

A grown mesh is dear (minutes) and engines cannot be copied, but a process can. What a future does to the mesh, no other
sees. POSIX only.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any


class Future:
    """One forked run of `work()`; its result must pickle."""

    def __init__(self, work: Callable[[], Any]) -> None:
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            _child(work, writing)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb")

    def result(self) -> Any:
        """Wait for it. Raises RuntimeError, with the copy's own traceback, where `work` raised or the copy died."""
        with self._pipe:
            data = self._pipe.read()
        os.waitpid(self._pid, 0)
        if not data:
            raise RuntimeError("the forked run ended without a result")
        is_done, value = pickle.loads(data)
        if not is_done:
            raise RuntimeError(f"in the forked run:\n{value}")
        return value

    def abandon(self) -> None:
        """End it; nobody wants its result any more."""
        self._pipe.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _child(work: Callable[[], Any], writing: int) -> None:
    try:
        answer = pickle.dumps((True, work()))
    except BaseException:
        answer = pickle.dumps((False, traceback.format_exc()))
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(answer)
    os._exit(0)  # no clean-up: atexit handlers and buffers belong to the parent


def futures(works: list[Callable[[], Any]], jobs: int = 2) -> Iterator[Any]:
    """The results of `works`, each from a fork of the present state, `jobs` of them at a time, in the order given. The
    caller leaves the state alone until the last result."""
    gc.collect()
    gc.freeze()  # so that a copy's collector does not touch, and so copy, every page of the mesh
    running: list[Future] = []
    try:
        for work in works:
            if len(running) == jobs:
                yield running.pop(0).result()
            running.append(Future(work))
        while running:
            yield running.pop(0).result()
    finally:
        for future in running:
            future.abandon()
        gc.unfreeze()
