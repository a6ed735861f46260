"""What there is of something: open files, of which each session needs one, and what is allowed in a while."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from .swarm import MERE_SOCKETS

BESIDE = 256  # files that are no sessions: the store, the state, browsers, a broker


def allow_files(sessions: int) -> int:
    """Ask the system for as many open files as so many sessions need. Returns how many sessions there can be."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit
    except ImportError:  # Windows has no such limit
        return sessions
    log = structlog.get_logger("gateway")
    beside = MERE_SOCKETS + BESIDE
    wanted = sessions + beside
    soft, hard = getrlimit(RLIMIT_NOFILE)
    if soft == RLIM_INFINITY or soft >= wanted:
        return sessions
    most = wanted if hard == RLIM_INFINITY else min(wanted, hard)
    if most > soft:
        setrlimit(RLIMIT_NOFILE, (most, hard))
        log.info("open files", before=soft, now=most)
    if most < wanted:
        few = max(0, most - beside)
        log.warning(
            "too few open files are allowed for so many sessions: raise the limit (`ulimit -Hn`, systemd: LimitNOFILE=)",
            sessions=sessions,
            files_needed=wanted,
            files_allowed=most,
            sessions_possible=few,
        )
        return few
    return sessions


class Allowance:
    """So many at once, then one in `each_s` seconds."""

    def __init__(self, most: int, each_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = self._left = float(most)
        self._each_s = each_s
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """Whether there was one left; it is gone now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) / self._each_s)
        self._at = now
        is_left = self._left >= 1
        self._left -= is_left
        return is_left
