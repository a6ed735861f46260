"""Every figure that can be measured is one that `make report` knows."""

from __future__ import annotations

from picoswarm_tools import rows, runtimes
from picoswarm_tools.report import GROUPS

FOLDER = runtimes.ROOT / "tools" / "picoswarm_tools" / "rows"


def test_every_module_with_rows_is_in_the_report():
    measured = {f"{rows.__name__}.{path.stem}" for path in FOLDER.glob("*.py") if "def measure" in path.read_text()}
    assert measured == {module for module, _ in GROUPS}
