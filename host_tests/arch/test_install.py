"""The two ways in which a stranger installs the project: pip on a computer, mip on a board."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path

import pytest
from mpremote.mip import _install_package
from picoswarm_tools import board_pages, boards, package
from picoswarm_tools.runtimes import run_micropython

ROOT = Path(__file__).resolve().parents[2]


class Folder:
    """What mpremote's installer needs of a board's file system, as a folder of this machine."""

    def __init__(self, root: Path):
        self.root = root

    def fs_exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def fs_mkdir(self, path: str) -> None:
        (self.root / path).mkdir()

    def fs_writefile(self, path: str, data: bytes, progress_callback=None) -> None:
        (self.root / path).write_bytes(data)


@pytest.fixture
def loopback_url():
    """This checkout served on a loopback port, as a package host would serve it."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(ROOT))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_pip_installs_every_package_that_there_is():
    """One that is missing is found by nobody who works in the checkout, and at once by who installs it."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = set()
    for name, folder in known["package-dir"].items():
        for path in (ROOT / folder).rglob("__init__.py"):
            there.add(".".join((name, *path.parent.relative_to(ROOT / folder).parts)))
    assert there == set(known["packages"])


def test_pip_installs_into_an_empty_environment(tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # A copy, because setuptools leaves its work beside the sources.
    for name in ("lib", "gateway", "tools"):
        shutil.copytree(ROOT / name, tmp_path / "project" / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "project")
    run(python, "-m", "pip", "-q", "--disable-pip-version-check", "install", str(tmp_path / "project"))
    where = run(python, "-c", "import picoswarm; print(picoswarm.__file__)")
    assert str(tmp_path / "venv") in where, "the installed copy, not a source tree"
    assert "picoswarm" in run(tmp_path / "venv" / "bin" / "picoswarm", "--version")
    run(python, "-c", "from picoswarm import crypto, ed25519; assert crypto.KERNELS == 'host'")


def frozen_by(manifest: Path) -> tuple[list[str], set[str]]:
    """(what of MicroPython's a manifest includes, modules and packages that it freezes), as MicroPython's build reads it."""
    included, frozen = [], set()

    def include(path: str) -> None:
        if path.startswith("$("):
            included.append(path)
        else:
            also, more = frozen_by((manifest.parent / path).resolve())
            included.extend(also)
            frozen.update(more)

    def freeze(name: str, files: Iterable[str] = (), base_path: str = ".", opt: int | None = None) -> None:
        assert name != "picoswarm" or list(files) == package.device_modules(), "no board loads what is for CPython alone"
        assert (manifest.parent / base_path / name).exists(), f"{manifest} freezes {name}, which is not there"
        frozen.add(name)

    names = {"include": include, "module": freeze, "package": freeze, "metadata": lambda **_: None}
    with contextlib.chdir(manifest.parent):
        exec(compile(manifest.read_text(), manifest, "exec"), names)
    return included, frozen


@pytest.mark.parametrize("board", [each["board"] for each in boards.boards()])
def test_a_frozen_firmware_has_all_that_a_board_starts_with(board):
    included, frozen = frozen_by(ROOT / "boards" / board / "manifest.py")
    assert included == ["$(PORT_DIR)/boards/manifest.py"], "which mounts the file system, and has asyncio"
    assert frozen == {"picoswarm", "swarmboard", "profile.py", "boot.py", "main.py", "landing.py", "apps.py"}


def test_mip_installs_on_a_board(tmp_path, loopback_url):
    """mpremote's own installer, an HTTP server, and the 32-bit MicroPython that imports what it got."""
    (tmp_path / "lib").mkdir()
    _install_package(Folder(tmp_path), loopback_url + "/package.json", "", "lib", None, False)
    code = "from picoswarm import crypto; print(crypto.hkdf(b'key', b'info', 4).hex())"
    done = run_micropython(["-c", code], env={"MICROPYPATH": f"{tmp_path}/lib:.frozen"}, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "lib")
    assert done.stdout == reference.stdout


def test_package_json_lists_every_module_of_the_library():
    assert (ROOT / "package.json").read_text() == package.package_json(), "run `make docs`"


def test_the_board_tables_are_what_the_data_say():
    assert (ROOT / "docs" / "boards.md").read_text() == board_pages.page(), "run `make docs`"
    assert (ROOT / "README.md").read_text() == board_pages.readme(), "run `make docs`"
    assert set(boards.measured()["boards"]) == {board["board"] for board in boards.boards()}, "run `make board-memory`"


def test_a_measured_board_is_one_of_the_present_profile():
    """The figures were taken with other numbers, where somebody changed a profile: a part of them follows from the profile
    alone."""
    kept = boards.measured()["profiles"]
    for board in boards.boards():
        assert kept[board["board"]] == boards.numbers_of(board["board"]), f"{board['board']}: run `make board-memory`"


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert json.loads((ROOT / "package.json").read_text())["version"] == version
    release = version.split(".dev")[0]
    assert f'version="{release}"' in (ROOT / "firmware" / "manifest.py").read_text()
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == "## Unreleased" if ".dev" in version else headings[0].startswith(f"## {release}")


@pytest.mark.parametrize("board", boards.boards(), ids=lambda board: board["board"])
def test_every_board_has_its_data_a_profile_that_checks_and_a_manifest(board):
    folder = ROOT / "boards" / board["board"]
    namespace: dict = {}
    exec((folder / "profile.py").read_text(), namespace)
    profile = namespace["PROFILE"].check()
    assert (folder / "manifest.py").exists()
    assert board["heap_bytes"] > 64_000
    # Sessions, one that is being dialed and one that waits at the door have a connection each.
    assert profile.links + profile.dials + 1 <= board["tcp_connections"]
    assert 2 * profile.alpha <= board["udp_datagrams_queued"], "each question may be answered by two datagrams"


@pytest.mark.parametrize("board", boards.boards(), ids=lambda board: board["board"])
def test_a_flash_map_fits_the_flash_and_nothing_lies_over_another(board):
    end = 0
    for part in board["flash_map"]:
        assert int(part["at"], 16) >= end, part
        end = int(part["at"], 16) + part["bytes"]
    assert end == board["flash_kb"] * 1024
    assert board["flash_map"][-1]["what"] == "file system"
    assert ("esptool_chip" in board) != ("uf2_family" in board)
    assert board["tested_level"] in board_pages.LEVELS
