"""The program of a full node says what went wrong first, though more goes wrong in the same full heap."""

from __future__ import annotations

import os
import subprocess

import pytest
from picoswarm_tools import runtimes
from picoswarm_tools.probe import PROGRAMS

# A node whose heap is full, whatever it is asked.
FULL = """
class Node:
    id = bytes(32)
    fault = None

    def __init__(self, *arguments, **options):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        raise MemoryError("in close")

    async def lookup(self, id32):
        raise MemoryError("in lookup")

    def stats(self):
        self.fault = MemoryError("in a turn")
        raise MemoryError("in stats")
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [("find " + "00" * 32, ["in lookup", "in close"]), ("stats", ["in a turn", "in stats", "in close"])],
)
def test_a_full_heap_in_close_hides_nothing_that_came_before(tmp_path, command, said):
    library = tmp_path / "picoswarm"
    library.mkdir()
    library.joinpath("__init__.py").write_text(FULL)
    library.joinpath("compat.py").write_text("async def readable(stream):\n    pass\n\n\ndef collect():\n    pass\n")
    binary = runtimes.find("micropython")
    ended = subprocess.run(
        [binary, PROGRAMS / "small_node.py", "node", "1"],
        input=command + "\n",
        env={**os.environ, "MICROPYPATH": f"{tmp_path}:.frozen"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode
    lines = (ended.stdout + ended.stderr).splitlines()
    errors = [line.removeprefix("MemoryError: ") for line in lines if line.startswith("MemoryError: ")]
    assert list(dict.fromkeys(errors)) == said
