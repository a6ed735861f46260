"""What is measured beside other work runs before it where that is safe, and the rows say whether it did."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from picoswarm_tools.rows import gateway

PROCESSES = (SimpleNamespace(pid=101), SimpleNamespace(pid=102))

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_RR"), reason="only Linux lets processes run ahead")


def changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, is_allowed: bool = True) -> tuple[bool, list]:
    """What `ahead` says, and what it asked of the system, under this limit of time."""
    asked = []

    def change(pid: int, policy: int, param: os.sched_param) -> None:
        if not is_allowed:
            raise PermissionError
        asked.append((pid, policy, param.sched_priority))

    path = tmp_path / "limit"
    path.write_text(limit)
    monkeypatch.setattr(gateway, "TIME_LIMIT", path)
    monkeypatch.setattr(os, "sched_setscheduler", change)
    return gateway.ahead(*PROCESSES), asked


def test_the_processes_run_ahead_but_not_their_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
    assert changes(monkeypatch, tmp_path, "950000\n") == (True, [(101, policy, 1), (102, policy, 1)])


def test_nothing_runs_ahead_where_the_system_would_let_it_run_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert changes(monkeypatch, tmp_path, "-1\n") == (False, [])


def test_nothing_runs_ahead_without_the_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert changes(monkeypatch, tmp_path, "950000\n", is_allowed=False) == (False, [])


def test_a_row_says_whether_its_processes_ran_ahead():
    loads = [gateway.Load(1, 1.0, 1.0, 1, 1.0, 1.0, is_ahead) for is_ahead in (True, False)]
    assert gateway.echoes(loads[:1]).endswith("both ran ahead of others")
    assert gateway.echoes(loads).endswith("both did not run ahead of others")
