"""The measurement of sealed records runs, and loses no message on the way."""

from __future__ import annotations

import pytest
from picoswarm_tools.rows import sealed


@pytest.mark.parametrize("what", sealed.PEERS)
@pytest.mark.parametrize("size", [1, 1024])
def test_all_that_is_sealed_at_one_end_is_opened_at_the_other(what, size):
    assert sealed.user_seconds(what, 200, size) >= 0  # it raises where one is missing
