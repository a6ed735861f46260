"""Puts the project's own folders on the module path, and the unit tests on every runtime (on_micropython.py)."""

import gc
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
for _folder in ("lib", "firmware/lib", "tools", "gateway", "host_tests/unit", "host_tests"):
    sys.path.insert(0, str(_HERE.parent / _folder))

from on_micropython import *  # noqa: E402, F403  (the hooks of a conftest are those of its plugin)


def pytest_collection_finish():
    """Five thousand items stay to the end: no collection has to look at them again, which took a fifth of all the time."""
    gc.collect()
    gc.freeze()
