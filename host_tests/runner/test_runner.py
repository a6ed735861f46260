"""The test runner tells the truth: what fails, breaks, runs out of memory or is skipped on MicroPython is reported so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from on_micropython import ALL, declared, parse
from picoswarm_tools.runtimes import ROOT

RUNTIMES = {runtime.name: runtime for runtime in ALL}

MIXED = """
from support import Skip, raises

def test_passes():
    raises(ValueError, int, "x")

def test_fails():
    one = 1
    assert one == 2

def test_breaks():
    {}["missing"]

def test_needs_more_memory():
    bytearray(8_000_000)

def test_skips():
    raise Skip("no such part here")

def test_prints():
    print("seen")
    print("unfinished line", end="")

def test_forgets_to_run():
    yield 1
"""


@pytest.fixture(params=["micropython32", "qemu-m3", "qemu-m0"])
def outcomes(request, tmp_path):
    """Run the text of a test file on each runtime; returns its Run."""

    def run(text: str):
        path = tmp_path / "test_of_the_runner.py"
        path.write_text(text)
        return RUNTIMES[request.param].run(path, list(declared(path)[1]), tmp_path)

    return run


def test_each_outcome_is_reported_as_it_is(outcomes):
    run = outcomes(MIXED).outcomes
    assert {name: outcome.outcome for name, outcome in run.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_breaks": "failed",
        "test_needs_more_memory": "failed",
        "test_skips": "skipped",
        "test_prints": "passed",
        "test_forgets_to_run": "failed",
    }
    assert "AssertionError" in run["test_fails"].text
    assert "line 9, in test_fails" in run["test_fails"].text
    assert "KeyError: missing" in run["test_breaks"].text
    assert "MemoryError" in run["test_needs_more_memory"].text
    assert run["test_skips"].text == "no such part here"
    assert run["test_prints"].printed == "seen\nunfinished line"


def test_an_error_at_import_fails_every_test(outcomes):
    run = outcomes("import no_such_module\n\ndef test_never_starts(): pass\n")
    assert not run.outcomes
    assert run.otherwise.outcome == "failed"
    assert "no_such_module" in run.otherwise.text
    assert "test_of_the_runner" in run.otherwise.text


def test_a_skip_at_import_skips_the_file(outcomes):
    run = outcomes('from support import Skip\nraise Skip("needs a radio")\ndef test_never_starts(): pass\n')
    assert (run.otherwise.outcome, run.otherwise.text) == ("skipped", "needs a radio")


def test_an_end_in_the_middle_fails_what_did_not_run(outcomes):
    run = outcomes("import sys\n\ndef test_a(): pass\n\ndef test_b(): sys.exit(0)\n\ndef test_c(): pass\n")
    assert [name for name, outcome in run.outcomes.items() if outcome.outcome == "passed"] == ["test_a"]
    assert run.otherwise.outcome == "failed"
    assert "in test_b" in run.otherwise.text


def test_silence_is_a_failure():
    run = parse("", "exit code 0")
    assert run.otherwise.outcome == "failed"
    assert "exit code 0" in run.otherwise.text


def test_the_exit_code_tells_failure(tmp_path):
    from picoswarm_tools.runtimes import run_micropython

    env = {"MICROPYPATH": f"{tmp_path}:{ROOT}/host_tests:.frozen"}
    for text, code in (("pass", 0), ("assert False", 1)):
        (tmp_path / "test_code.py").write_text(f"def test_one(): {text}\n")
        done = run_micropython(["-m", "micropython_runner", "test_code"], 64, env)
        assert done.returncode == code


def _pytest(tmp_path, **env):
    """pytest on one unit file, with a build folder that holds no runtime."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--runtime", "micropython32"]
    inherited = {k: v for k, v in os.environ.items() if k not in ("CI", "PICOSWARM_STRICT") and "XDIST" not in k}
    return subprocess.run(
        [*command, str(ROOT / "host_tests/unit/test_compat.py")],
        env=inherited | {"PICOSWARM_BUILD": str(tmp_path)} | env,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_a_missing_runtime_is_skipped_with_the_command_that_mends_it(tmp_path):
    done = _pytest(tmp_path)
    assert done.returncode == 0
    assert "on micropython32: micropython is not built: run `make micropython`" in done.stdout


@pytest.mark.parametrize("variable", [{"CI": "true"}, {"PICOSWARM_STRICT": "1"}])
def test_a_missing_runtime_fails_where_all_must_be_there(tmp_path, variable):
    done = _pytest(tmp_path, **variable)
    assert done.returncode == 1
    assert "micropython is not built: run `make micropython`" in done.stdout


def test_every_runtime_gives_every_test_its_item():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q"]
    done = subprocess.run([*command, str(Path("host_tests/unit/test_compat.py"))], cwd=ROOT, capture_output=True, text=True)
    for suffix in ("", *(f"[{name}]" for name in RUNTIMES)):
        assert f"test_compat.py::test_ticks_diff_is_signed{suffix}\n" in done.stdout
