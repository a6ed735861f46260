"""Puts the project's own folders on the module path, the unit tests on every runtime (on_micropython.py), and all in lanes
(lanes.py)."""

import gc
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
for _folder in ("lib", "firmware/lib", "tools", "gateway", "host_tests/unit", "host_tests"):
    sys.path.insert(0, str(_HERE.parent / _folder))

from lanes import *  # noqa: E402, F403  (the hooks of a conftest are those of its plugins)
from on_micropython import *  # noqa: E402, F403


def pytest_collection_finish():
    """Five thousand items stay to the end: no collection has to look at them again, which took a fifth of all the time."""
    gc.collect()
    gc.freeze()
