"""The import rule and the purity of levels 1 to 3, read from the syntax trees of the library's own files."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from picoswarm_tools import mpy

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib" / "picoswarm"
MODULES = sorted(path.stem for path in LIBRARY.glob("*.py"))
OURS_ABOVE = {"picoswarm_gateway", "picoswarm_tools"}
# What the standard modules of a stock MicroPython firmware are called, as far as the library uses them.
STOCK = {
    "array",
    "asyncio",
    "binascii",
    "collections",
    "errno",
    "esp32",
    "gc",
    "hashlib",
    "json",
    "machine",
    "micropython",
    "network",
    "os",
    "random",
}
STOCK |= {"select", "socket", "struct", "sys", "time"}


def load_levels():
    """levels.py, by its path: tests are not a package."""
    spec = importlib.util.spec_from_file_location("levels", Path(__file__).with_name("levels.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


levels = load_levels()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def relative_imports(tree: ast.Module) -> set[str]:
    """Modules of the package that a module imports, `from . import x` and `from .x import y` alike."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found


def absolute_imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_below_it(module):
    here = levels.level_of(module)
    for imported in relative_imports(tree_of(LIBRARY / f"{module}.py")):
        assert levels.level_of(imported) < here, f"{module} imports {imported}, which does not stand below it"


@pytest.mark.parametrize("module", MODULES)
def test_the_library_depends_on_stock_firmware_modules_only(module):
    allowed = STOCK | levels.HOST_ONLY.get(module, set())
    found = absolute_imports(tree_of(LIBRARY / f"{module}.py"))
    assert found <= allowed, f"{module} imports {sorted(found - allowed)}"
    assert not found & OURS_ABOVE


@pytest.mark.parametrize("module", [name for level in levels.PURE_LEVELS for name in levels.LEVELS[level]])
def test_levels_1_to_3_are_pure(module):
    path = LIBRARY / f"{module}.py"
    assert path.exists(), f"levels.py lists {module}, which does not exist"
    tree = tree_of(path)
    assert not absolute_imports(tree) & levels.IMPURE_MODULES
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & levels.IMPURE_CALLS
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not names & {"ticks_ms", "random_bytes"}, "time and randomness come in as arguments"


@pytest.mark.parametrize("module", [name for name in MODULES if name != "compat"])
def test_only_compat_asks_which_runtime_it_is_on(module):
    text = (LIBRARY / f"{module}.py").read_text()
    for question in ("sys.implementation", "sys.platform", "MICROPYTHON", "sys.maxsize", "hasattr(gc"):
        assert question not in text


@pytest.mark.parametrize("folder", ["gateway", "tools", "examples", "firmware"])
def test_code_above_the_library_uses_its_public_names(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "picoswarm":
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{path.relative_to(ROOT)} reaches into {node.module}: {private}"


# Modules for who uses a family of full nodes, documented as such.
FAMILIES = {"picoswarm.bitcoin", "picoswarm.cometbft", "picoswarm.ethereum", "picoswarm.p2pgateway"}


def test_an_example_needs_only_the_package_itself():
    for path in (ROOT / "examples").glob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("picoswarm."):
                if node.module in FAMILIES:
                    continue
                pytest.fail(f"{path.relative_to(ROOT)} imports {node.module}: a user's program needs only `picoswarm`")


def test_importing_the_package_loads_no_module_of_it():
    """The package is a lazy table of names: a board pays for what it uses."""
    import subprocess

    code = "import sys, picoswarm; print([m for m in sys.modules if m.startswith('picoswarm.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "lib")}
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("module", ["seeking", "relay"])
def test_what_is_forgotten_alone_takes_nothing_along_that_would_stay(module):
    stays = {member for home in ("compat", "swarm") for member in mpy.BUNDLES[home]}
    imports = [node for node in tree_of(LIBRARY / f"{module}.py").body if isinstance(node, ast.ImportFrom) and node.level]
    assert {node.module for node in imports} <= stays


def test_nothing_in_the_library_can_send_frames_that_are_not_sealed():
    """Measurements put a mux on a bare socket. In the library only a session has one, and a session seals."""
    bare = (ROOT / "tools" / "picoswarm_tools" / "unix" / "mux_bench.py").read_text()
    assert "class PlainRecords" in bare
    for module in MODULES:
        text = (LIBRARY / f"{module}.py").read_text()
        assert "PlainRecords" not in text
        if module not in ("mux", "session"):
            assert "mux" not in relative_imports(tree_of(LIBRARY / f"{module}.py")), module
    tree = tree_of(LIBRARY / "session.py")
    assert {"mux", "sealed"} <= relative_imports(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = set()
    for node in calls:
        owner = ast.unparse(node.func.value)
        if owner == "self.mux" and node.func.attr in ("fill", "receive"):
            around = next(f for f in functions if f.lineno <= node.lineno <= f.end_lineno)
            found.add(node.func.attr)
            wanted = "seal" if node.func.attr == "fill" else "open"
            assert any(isinstance(n, ast.Attribute) and n.attr == wanted for n in ast.walk(around)), ast.unparse(node)
    assert found == {"fill", "receive"}
