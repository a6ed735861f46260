"""The gateway as something that is left running: killed and started again, as a service, in a container, by its manual."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import urllib.request
from pathlib import Path

from picoswarm_gateway.api import Api
from picoswarm_gateway.gateway import Gateway
from picoswarm_gateway.hub import EVENTS
from picoswarm_tools import cli, manual, runtimes
from picoswarm_tools.rows import gateway_start
from small_mesh import SmallMesh

ROOT = Path(__file__).resolve().parents[2]
PAGE = manual.PAGE.read_text("utf-8")
UNIT = ROOT / "gateway" / "systemd" / "picoswarm-gateway.service"
DOCKERFILE = ROOT / "gateway" / "Dockerfile"


def test_a_killed_gateway_is_back_with_its_key_and_its_state(tmp_path, record_property):
    SmallMesh(tmp_path).store("gateway")
    folder = tmp_path / "gateway"
    ids = set()
    slowest = 0.0
    for _ in range(3):
        process, seconds = gateway_start.start(folder)
        port = re.search(r"\[http\]\nport = (\d+)", (folder / "gateway.toml").read_text())[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/history?series=sessions&seconds=86400") as answer:
            points = json.load(answer)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state") as answer:
            ids.add(json.load(answer)["id"])
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        slowest = max(slowest, seconds)
    assert len(ids) == 1 and points
    with sqlite3.connect(folder / "state.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    record_property("measured", f"ready after {slowest:.2f} s at most")


def test_the_unit_is_one_that_systemd_takes():
    if not shutil.which("systemd-analyze"):
        raise runtimes.Missing("systemd-analyze is not installed: apt-get install systemd")
    done = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True)
    assert done.returncode == 0 and UNIT.name not in done.stderr, done.stderr


def test_the_unit_and_the_container_give_it_no_rights():
    unit = UNIT.read_text()
    for line in ("DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=\n", "UMask=0077"):
        assert line in unit
    assert re.findall(r"^USER (.*)$", DOCKERFILE.read_text(), re.MULTILINE) == ["picoswarm"]


def test_what_the_container_copies_is_there():
    for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE.read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    ignored = (ROOT / ".dockerignore").read_text()
    assert all(f"!{name}\n" in ignored for name in ("lib", "gateway", "tools", "pyproject.toml", "README.md", "LICENSE"))


def test_the_manual_has_the_configuration_of_now():
    assert manual.page() == PAGE, "run `make docs`"
    row = "| `http.port` | `8742` | 0: any free one |"
    assert row in PAGE and '| `log.level` | `"info"` | one of `debug`, `info`, `warning`, `error` |' in PAGE


def test_the_manual_has_each_path_event_and_command(tmp_path):
    gateway = Gateway(SmallMesh(tmp_path).config())
    for route in Api(gateway.operations, "", []).app.routes:
        assert f"{route.path}" in PAGE, route.path
    for event in EVENTS:
        assert f"| `{event}` |" in PAGE
    for command, (module, *_) in cli.COMMANDS.items():
        assert not module.startswith("picoswarm_gateway") or f"picoswarm {command}" in PAGE
