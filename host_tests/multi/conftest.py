"""The helpers of this folder are modules beside the tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lan import Lan  # noqa: E402


@pytest.fixture
def lan():
    """A LAN of two hosts."""
    made = Lan()
    try:
        made.open()
        yield made
    finally:
        made.close()
