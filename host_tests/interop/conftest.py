"""The helpers of this folder, and those of the gateway's and the mesh's tests, are modules beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "gateway", HERE.parent / "multi"):
    sys.path.insert(0, str(folder))

from small_mesh import SmallMesh  # noqa: E402


@pytest.fixture
def mesh(tmp_path: Path) -> SmallMesh:
    """A mesh with its own network key, still without nodes."""
    return SmallMesh(tmp_path)
