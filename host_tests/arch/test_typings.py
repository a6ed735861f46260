"""The type stubs in typings/ say what the library is: checked against the modules themselves, as they import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import picoswarm

ROOT = Path(__file__).resolve().parents[2]
STUBS = ROOT / "typings" / "picoswarm"


LATE = ROOT / "host_tests" / "arch" / "late_names.txt"  # what a class has only once somebody asks for it


def stubtest(stubs: Path) -> subprocess.CompletedProcess[str]:
    options = ["--ignore-missing-stub", "--concise", "--allowlist", str(LATE)]
    return subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "picoswarm", *options],
        env={**os.environ, "MYPYPATH": str(stubs), "PYTHONPATH": str(ROOT / "lib")},
        cwd=stubs,
        capture_output=True,
        text=True,
    )


def test_stubs_agree_with_the_modules():
    checked = stubtest(STUBS.parent)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_calls_of_a_node_that_come_late_are_as_their_stubs_say():
    stub = ast.parse((STUBS / "node.pyi").read_text())
    (node,) = (each for each in stub.body if isinstance(each, ast.ClassDef) and each.name == "Node")
    typed = {each.name: each.args for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    names = ("services.py", "steering.py", "asking.py", "waiting.py")
    homes = [ast.parse((ROOT / "lib" / "picoswarm" / name).read_text()) for name in names]
    (services,) = (each for each in homes[0].body if isinstance(each, ast.ClassDef) and each.name == "Services")
    defined = [each for home in (*homes, services) for each in home.body]
    made = {each.name: each.args for each in defined if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    late = [line.rpartition(".")[2] for line in LATE.read_text().splitlines()]
    assert late.pop() == "gateway"  # which has two forms in its stub
    for name in late:
        assert [arg.arg for arg in typed[name].args[1:]] == [arg.arg for arg in made[name].args[1:]], name
        assert [ast.dump(each) for each in typed[name].defaults] == [ast.dump(each) for each in made[name].defaults], name


def test_a_wrong_stub_is_noticed(tmp_path):
    """Otherwise the test above says nothing: its tool runs on modules that load their names late."""
    for stub in STUBS.glob("*.pyi"):
        target = tmp_path / "picoswarm" / stub.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(stub.read_text().replace("full: bool = False", "whole: bool = False"))
    checked = stubtest(tmp_path)
    assert checked.returncode == 1 and "picoswarm.node.Node.lookup" in checked.stdout


def test_every_public_name_has_a_stub_and_a_home():
    tree = ast.parse((STUBS / "__init__.pyi").read_text())
    named = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named == {name for _, names in picoswarm._HOMES for name in names}
    for name in named:
        assert getattr(picoswarm, name) is not None


def test_the_version_is_the_distributions():
    assert picoswarm.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_importing_the_package_loads_no_module_of_it():
    program = "import sys, picoswarm; print([name for name in sys.modules if name.startswith('picoswarm.')])"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True)
    assert done.stdout.strip() == b"[]", done.stdout + done.stderr
