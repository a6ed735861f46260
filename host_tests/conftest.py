"""Puts the project's own folders on the module path, and the unit tests on every runtime (on_micropython.py)."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
for _folder in ("lib", "firmware/lib", "tools", "gateway", "host_tests/unit", "host_tests"):
    sys.path.insert(0, str(_HERE.parent / _folder))

from on_micropython import *  # noqa: E402, F403  (the hooks of a conftest are those of its plugin)
