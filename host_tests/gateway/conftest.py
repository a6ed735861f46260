"""The helpers of this folder are modules beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_mesh import SmallMesh  # noqa: E402


@pytest.fixture
def mesh(tmp_path: Path) -> SmallMesh:
    """A mesh with its own network key, still without nodes."""
    return SmallMesh(tmp_path)
