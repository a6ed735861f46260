"""A swarm looks at its sessions when one of them may need it (`Swarm._calm_ms`). Here it looks each second besides, as it
would without, and no look that it could have saved finds anything to do: so what goes over the wire is the same."""

from __future__ import annotations

from typing import Any

import pytest
from picoswarm import lanes
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.swarm import Swarm
from picoswarm_tools.sim import scenario
from picoswarm_tools.sim.play import play

SECOND = 1000


class Looks:
    """What came of looks. `saved_at`: when each swarm would look next by itself."""

    def __init__(self) -> None:
        self.needed = self.saved = 0
        self.found: list[tuple[Any, Any]] = []  # by those that could have been saved: before and after
        self._saved_at: dict[Swarm, int] = {}
        self._scan, self._stir = Swarm._scan, Swarm.stir

    def scan(self, swarm: Swarm, now: int) -> None:
        """In the place of Swarm._scan."""
        is_saved = swarm in self._saved_at and ticks_diff(now, self._saved_at[swarm]) < 0
        before = state(swarm, now)
        self._scan(swarm, now)
        if not is_saved:
            self.needed += 1
            self._saved_at[swarm] = swarm._scan_at
        else:
            self.saved += 1
            if before != state(swarm, now):
                self.found.append((before, state(swarm, now)))
        swarm._scan_at = ticks_add(now, SECOND)

    def stir(self, swarm: Swarm, now: int) -> None:
        """In the place of Swarm.stir."""
        if swarm in self._saved_at:
            kept, swarm._scan_at = swarm._scan_at, self._saved_at[swarm]
            self._stir(swarm, now)
            self._saved_at[swarm], swarm._scan_at = swarm._scan_at, kept


def state(swarm: Swarm, now: int) -> list[Any]:
    """What a look may change or act upon: but for scores, which are made less when they are compared, and a missed peer that
    answered, which may wait for its visit."""
    found: list[Any] = [list(swarm.sessions), bool(swarm.events), swarm.cut_off]
    for session in swarm.sessions:
        mux = session.mux
        queues = [each is None for each in mux._rows[lanes._QUEUE :: lanes._STEP]] if mux else []
        marks = mux._marks if mux else 0
        found.append((session.stage, session.deadline, len(session.buf), session.due(now) >= 0, marks, queues))
    return found


@pytest.mark.parametrize("name", ["home-20", "flaky-wifi"])
def test_a_look_that_is_saved_would_have_found_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks()
    monkeypatch.setattr(Swarm, "_scan", lambda swarm, now: looks.scan(swarm, now))
    monkeypatch.setattr(Swarm, "stir", lambda swarm, now: looks.stir(swarm, now))
    _, found = scenario.find(name)
    found.minutes = min(found.minutes, 6)
    play(name, found)
    assert looks.saved > 500 and not looks.found, (looks.needed, looks.saved, looks.found[:2])
