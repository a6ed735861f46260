"""pytest plugin: the unit tests once more on each MicroPython runtime, as items like `test_x[micropython32]`.

A test file says where it runs by `RUNTIMES = ("cpython", "micropython", "qemu")` at its top level; without it, the first
two. "micropython" is the unix port under a board's heap less a margin (MARGIN_KB says why), "qemu" the two Cortex-M builds,
for files that need neither files nor sockets and are about machine code, which differs; "board" the smaller of the two, for
those about the rest, which is the same bytecode on both (PICOSWARM_LONG=1: both); "small" is the unix port with the files
that a board gets, for what does not fit beside the others. Names are read from the syntax tree, so collection imports
nothing; a file runs in one process for each runtime, at the first of its items, with the library and the tests precompiled
as a board has them.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from picoswarm_tools import mpy, qemu, runtimes
from picoswarm_tools.vocabulary import Refused

HERE = Path(__file__).resolve().parent
UNIT = HERE / "unit"
BOARD_KB = 64  # the heap that a file of unit tests has to fit into
# What a file leaves of it. A large object needs its bytes in one piece, and where the heap is torn depends on all that came
# before: a file that fits into the last KB fails when a line is added to a module that it loads, or a compiler is newer. So
# the tests run with less than they may have, and who comes near to the edge hears of it here, not where it is in the way.
MARGIN_KB = 4
FOLDERS = (UNIT, HERE / "noalloc")  # file names are unique over both
DEFAULT = ("cpython", "micropython")
LONG = os.environ.get("PICOSWARM_LONG") == "1"
STRICT = os.environ.get("PICOSWARM_STRICT") == "1" or os.environ.get("CI") == "true"
TIMEOUT_S = 1800 if LONG else 600  # of a file: a loaded machine is no fault of it


class Failure(Exception):
    """A test failed on a MicroPython; the message is what is shown."""


@dataclass
class Outcome:
    """Of one test: passed, failed or skipped, why, and what was printed meanwhile."""

    outcome: str
    text: str = ""
    printed: str = ""
    heap: str = ""


@dataclass
class Run:
    """Of one file on one runtime: the tests that came to an end, and what is said of those that did not."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    otherwise: Outcome = field(default_factory=lambda: Outcome("failed", "the runner said nothing of this test"))


def parse(output: str, ending: str) -> Run:
    """The records of micropython_runner.py; `ending` says how the process ended."""
    run, name, printed, done = Run(), None, "", False
    for line in output.split("\n"):  # splitlines() would split at the record separator too
        text, separator, record = line.partition("\x1e")
        printed += text if separator else text + "\n"
        if not separator:
            continue
        record = json.loads(record)
        done = done or "done" in record
        if "file" in record:
            run.otherwise = Outcome(record["file"], record["text"], printed)
            return run
        if record.get("outcome") == "started":
            name, printed = record["test"], ""
        elif name:
            heap = f"heap after it: {record['heap']:,} B used, {record['free']:,} B free"
            run.outcomes[name] = Outcome(record["outcome"], record["text"], printed, heap)
            name = None
    if not done:
        during = f"in {name}" if name else "before the first test" if not run.outcomes else "after a test"
        run.otherwise = Outcome("failed", f"the run ended {during}: {ending}\n{printed}")
    return run


class UnixPort:
    """The unix port under a heap of `heap_kb`."""

    def __init__(self, name: str, bits: int, arch: str, heap_kb: int, level: int = 0):
        self.name, self._bits, self._arch, self._heap_kb, self._level = name, bits, arch, heap_kb, level
        self.title = f"{name} under {heap_kb} KB of heap"
        self.declared_as = {"micropython", "small"} if level == 3 else {"micropython"}

    def run(self, path: Path, names: list[str], folder: Path) -> Run:
        """Run the tests `names` of the file `path` in the empty `folder`."""
        runtimes.find("micropython64" if self._bits == 64 else "micropython")
        library, tests, complaint = _compile(path, self._arch, self._level)
        # By links, since each module keeps its path on the heap: where a checkout lies is nothing that decides a test.
        for link, goal in (("lib", library), ("t", tests), ("f", HERE.parent / "firmware" / "lib")):
            (folder / link).symlink_to(goal)
        env = {"MICROPYPATH": "lib:t:f:.frozen"}
        args = ["-m", "micropython_runner", path.stem, *names]
        try:
            done = runtimes.run_micropython(args, self._heap_kb, env, folder, TIMEOUT_S, self._bits)
            output, ending = done.stdout, f"exit code {done.returncode}"
        except subprocess.TimeoutExpired as late:
            output, ending = (late.stdout or b"").decode(errors="replace"), f"not done after {TIMEOUT_S} s"
        return _with_complaint(parse(output, ending), complaint)


class Emulator:
    """A Cortex-M build under qemu."""

    def __init__(self, name: str, board: str, is_for_all: bool):
        self.name, self.title, self._board = name, name, board
        self.declared_as = {"qemu", "board"} if is_for_all else {"qemu"}

    def run(self, path: Path, names: list[str], folder: Path) -> Run:
        """Run the tests `names` of the file `path`; `folder` is not used: there are no files there."""
        library, tests, complaint = _compile(path, qemu.arch(self._board))
        files = {f"picoswarm/{p.name}": p.read_bytes() for p in (library / "picoswarm").glob("*.mpy")}
        files |= {f"{name}.mpy": (tests / f"{name}.mpy").read_bytes() for name in _modules(path)}
        main = f"import micropython_runner\nmicropython_runner.run({path.stem!r}, {names!r})\n"
        try:
            output, ending = qemu.run(self._board, files, main, TIMEOUT_S), "by itself"
        except qemu.QemuError as error:
            output, ending = str(error), "an exception or a time-out"
        return _with_complaint(parse(output, ending), complaint)


ALL = [UnixPort("micropython32", 32, "x86", BOARD_KB - MARGIN_KB)]
ALL += [Emulator("qemu-m3", "m3", LONG), Emulator("qemu-m0", "m0", True)]
# The files that a board gets, with modules put together: a test loads more than it needs, and often has two nodes.
ALL.append(UnixPort("micropython32-O3", 32, "x86", 192, level=3))
if LONG:  # its big-int kernels are what boards without native code run
    ALL.append(UnixPort("micropython64", 64, "x64", 128))


@cache
def _imports(path: Path) -> list[str]:
    """The modules that a file imports names from."""
    return [
        node.module for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.ImportFrom) and node.module
    ]


def _helpers(path: Path) -> list[str]:
    """The modules beside the unit tests that a test file imports, itself or through another, and `support` always."""
    names, todo = {"support"}, [path]
    while todo:
        for name in _imports(todo.pop()):
            if name not in names and (UNIT / f"{name}.py").exists():
                names.add(name)
                todo.append(UNIT / f"{name}.py")
    return sorted(names)


def _modules(path: Path) -> list[str]:
    return [path.stem, *_helpers(path), "micropython_runner"]


def _compile(path: Path, arch: str, level: int = 0) -> tuple[Path, Path, str]:
    """(folder of the library, folder of the tests, what of the library was refused)."""
    complaint, form = "", mpy.PARTS if level == mpy.BOARD_LEVEL else ""
    try:
        mpy.compile_library(arch, level, form)
    except mpy.CompileError as error:  # concerns the tests that import the module, and they fail by that
        complaint = str(error)
    tests = runtimes.build_folder() / "mpy" / f"{mpy.library_folder(arch, level, form).name}-tests"
    helpers = [UNIT / f"{name}.py" for name in _helpers(path)]
    mpy.compile_beside([path, *helpers], tests, arch, level, form)
    mpy.compile_files([HERE / "micropython_runner.py"], tests, arch)
    return mpy.library_folder(arch, level, form), tests, complaint


def _with_complaint(run: Run, complaint: str) -> Run:
    if complaint:
        for outcome in [*run.outcomes.values(), run.otherwise]:
            if outcome.outcome == "failed":
                outcome.text += f"\nmpy-cross refused a module of the library:\n{complaint}"
    return run


def declared(path: Path) -> tuple[tuple[str, ...], dict[str, int]]:
    """(RUNTIMES, line of each test by name) of a test file, from its syntax tree."""
    where, tests = DEFAULT, {}
    for node in ast.parse(path.read_bytes(), str(path)).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "RUNTIMES" for target in node.targets):
            where = ast.literal_eval(node.value)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            tests[node.name] = node.lineno - 1
    unknown = set(where) - {"cpython", "micropython", "small", "qemu", "board"}
    if unknown or not where:
        raise ValueError(f"{path}: RUNTIMES names {unknown or 'nothing'}")
    return where, tests


class MicroPythonItem(pytest.Item):
    """One test on one MicroPython."""

    def __init__(self, *, test: str, line: int, **more):
        super().__init__(**more)
        self.test, self._line = test, line

    def runtest(self):
        outcome = self.parent.outcome(self.test)
        for title, text in (("stdout", outcome.printed), ("heap", outcome.heap)):
            if text:
                self.add_report_section("call", title, text)
        if outcome.outcome == "skipped":
            pytest.skip(outcome.text)
        if outcome.outcome != "passed":
            raise Failure(outcome.text)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, Failure):
            return f"on {self.parent.runtime.title}:\n{excinfo.value}"
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, self._line, self.name


class MicroPythonFile(pytest.File):
    """A test file on one runtime; it runs when the first of its items does."""

    def __init__(self, *, runtime, **more):
        super().__init__(**more)
        self.runtime = runtime
        self._run: Run | None = None

    def collect(self):
        for test, line in declared(self.path)[1].items():
            yield MicroPythonItem.from_parent(self, name=f"{test}[{self.runtime.name}]", test=test, line=line)

    def outcome(self, test: str) -> Outcome:
        if self._run is None:
            wanted = [item.test for item in self.session.items if item.parent is self]
            folder = self.config._tmp_path_factory.mktemp(f"{self.path.stem}-{self.runtime.name}", numbered=True)
            try:
                self._run = self.runtime.run(self.path, wanted, folder)
            except runtimes.Missing as missing:
                self._run = Run(otherwise=Outcome("failed" if STRICT else "skipped", str(missing)))
            except (mpy.CompileError, Refused) as error:
                self._run = Run(otherwise=Outcome("failed", str(error)))
        return self._run.outcomes.get(test, self._run.otherwise)


def _is_unit(path: Path) -> bool:
    return path.parent in FOLDERS and path.name.startswith("test_") and path.suffix == ".py"


def _chosen(config, name: str) -> bool:
    return not config.getoption("--runtime") or name in config.getoption("--runtime")


def pytest_addoption(parser):
    names = ["cpython", *(runtime.name for runtime in ALL)]
    parser.addoption("--runtime", action="append", choices=names, help="unit tests on this runtime only")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    collectors = yield
    if not _is_unit(file_path):
        return collectors
    where = declared(file_path)[0]
    if "cpython" not in where or not _chosen(parent.config, "cpython"):
        collectors = []
    return collectors + [
        MicroPythonFile.from_parent(parent, path=file_path, runtime=runtime)
        for runtime in ALL
        if runtime.declared_as & set(where) and _chosen(parent.config, runtime.name)
    ]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """On CPython the unit tests' own Skip is pytest's."""
    try:
        return (yield)
    except Exception as error:
        if type(error).__name__ == "Skip" and _is_unit(pyfuncitem.path):
            pytest.skip(str(error))
        raise


def _tell_missing():
    """Wraps a phase of a test: a runtime that is not there skips the test, and fails it where all must be there. The text of
    Missing names the command that mends it."""
    try:
        return (yield)
    except runtimes.Missing as missing:
        (pytest.fail if STRICT else pytest.skip)(str(missing))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _tell_missing())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _tell_missing())


def pytest_terminal_summary(terminalreporter, config):
    """Which runtimes the tests ran on, and every reason why something was skipped."""
    ran, reasons, measured = Counter(), Counter(), []
    names = {runtime.name for runtime in ALL}
    for kind in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(kind, []):
            runtime = "host"  # the tests that are of CPython only
            suffix = report.nodeid.rpartition("[")[2].rstrip("]")
            if suffix in names:
                runtime = suffix
            elif "unit/" in report.nodeid:
                runtime = "cpython"
            ran[runtime, kind] += 1
            test = report.nodeid.rpartition("::")[2]
            measured += [f"measured by {test}: {text}" for name, text in report.user_properties if name == "measured"]
            if kind == "skipped" and isinstance(report.longrepr, tuple):
                reasons[runtime, report.longrepr[2].removeprefix("Skipped: ")] += 1
    terminalreporter.section("what ran, what was skipped and why", "-")
    for runtime in dict.fromkeys(name for name, _ in ran):
        counts = ", ".join(f"{ran[runtime, k]} {k}" for k in ("passed", "failed", "skipped") if ran[runtime, k])
        terminalreporter.line(f"{runtime:14} {counts}")
    for (runtime, reason), count in sorted(reasons.items()):
        terminalreporter.line(f"skipped {count} on {runtime}: {reason}")
    if not reasons:
        terminalreporter.line("nothing was skipped")
    for line in measured:
        terminalreporter.line(line)
